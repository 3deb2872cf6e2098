"""`vehicle_status.json`: each bike as bytes that are kept until it changes, and all of them put together.

Nothing of a bike's own stands in it but what the specification asks for, the charge in whole per cent: the finer, the
better could a bike be told from others before and after a trip.
"""

import json
import logging
from collections.abc import Sequence

import eventlet
from eventlet import tpool

from gateway_service.fleet_view import Bike
from gateway_service.gbfs_body import Body
from gateway_service.gbfs_documents import VERSION, format_seconds
from shared.gbfs_settings import GbfsSettings, VehicleType

log = logging.getLogger(__name__)

# About a millisecond of work, after which others may run.
SLICE = 500
UNKNOWN = -1


class VehicleWriter:
    """Writes bikes as the settings say."""

    def __init__(self, settings: GbfsSettings) -> None:
        self._ttl_s, self._stale_after_s = settings.vehicles_ttl_s, settings.stale_after_s
        self._charges = {kind.id: _charges(kind) for kind in settings.types.values()}
        self._plan_id = settings.pricing_plan["plan_id"]
        self._unknown: set[str] = set()
        self._fixed: dict[tuple[str, str], str] = {}
        # In pieces, with the public id between.
        uris = json.dumps(settings.rental_uris, separators=(",", ":"), sort_keys=True)
        self._links = f',"rental_uris":{uris}'.split("{vehicle_id}") if settings.rental_uris else [""]

    def encode(self, bike: Bike) -> bytes:
        """The bike as JSON; empty when the feed cannot have it: of a type that the settings do not know, or nowhere."""
        charges, spot = self._charges.get(bike.type_id), bike.spot
        if charges is None and bike.type_id not in self._unknown:
            self._unknown.add(bike.type_id)
            log.warning("bikes of a type that is not in the settings are left out", extra={"type": bike.type_id})
        if charges is None or spot.longitude is None or spot.latitude is None:
            return b""
        fixed = self._fixed.get((bike.type_id, bike.status)) or self._fix(bike.type_id, bike.status)
        return (
            f'{{"vehicle_id":"{bike.vehicle_id}","lat":{spot.latitude:.6f},'
            f'"lon":{spot.longitude:.6f},"last_reported":"{format_seconds(spot.at)}"{fixed}'
            f"{charges[UNKNOWN if spot.charge is None else int(spot.charge)]}{bike.vehicle_id.join(self._links)}}}"
        ).encode()

    def _fix(self, type_id: str, status: str) -> str:
        """What all bikes of a type and status have in common."""
        common = {
            "is_reserved": status == "reserved",
            "is_disabled": status == "out_of_service",
            "vehicle_type_id": type_id,
            "pricing_plan_id": self._plan_id,
        }
        fixed = self._fixed[type_id, status] = "," + json.dumps(common, separators=(",", ":"))[1:-1]
        return fixed

    def build(self, bikes: Sequence[Bike], as_of: float) -> Body:
        """The document as it was `as_of` (Unix time). Others run meanwhile; what lasts is done in a native thread."""
        oldest, texts = as_of - self._stale_after_s, list[bytes]()
        for start in range(0, len(bikes), SLICE):
            part = bikes[start : start + SLICE]
            texts += [text for bike in part if bike.spot.at >= oldest and (text := bike.encoded(self.encode))]
            eventlet.sleep(0)
        known = f'"last_updated":"{format_seconds(as_of)}","ttl":{self._ttl_s},"version":"{VERSION}"'
        head = f'{{{known},"data":{{"vehicles":['
        body: Body = tpool.execute(put_together, head.encode(), texts, self._ttl_s)
        return body


def _charges(kind: VehicleType) -> dict[int, str]:
    """What is said of a bike's charge, by whole per cent."""
    if kind.max_range_m is None:
        return dict.fromkeys([UNKNOWN, *range(101)], "")
    said = {
        percent: f',"current_range_meters":{kind.max_range_m * percent // 100},"current_fuel_percent":{percent / 100}'
        for percent in range(101)
    }
    # Of a battery that nobody has heard of nothing is promised.
    return {**said, UNKNOWN: ',"current_range_meters":0'}


def put_together(head: bytes, texts: Sequence[bytes], ttl_s: int) -> Body:
    """The whole document. Of native code mostly, which lets other threads run."""
    return Body(b"".join((head, b",".join(texts), b"]}}")), ttl_s)
