"""The GBFS 3.0 documents beside the bikes, as plain data, made of the settings."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from shared.fares import Fares
from shared.gbfs_settings import GbfsSettings

Json = dict[str, Any]
VERSION = "3.0"
FEEDS = ("gbfs_versions", "system_information", "vehicle_types", "vehicle_status", "system_pricing_plans")
ALERTS = "system_alerts"


DAY_S = 86_400


def format_seconds(moment: float) -> str:
    """Unix time as RFC 3339 in UTC, whole seconds."""
    day, second = divmod(int(moment // 1), DAY_S)
    return _date(day) + _CLOCK[second // 60] + _SECONDS[second % 60]


@lru_cache(maxsize=1000)
def _date(day: int) -> str:
    return time.strftime("%Y-%m-%dT", time.gmtime(day * DAY_S))


# Looked up: a hundred thousand bikes have as many times.
_CLOCK = [f"{minute // 60:02}:{minute % 60:02}:" for minute in range(24 * 60)]
_SECONDS = [f"{second:02}Z" for second in range(60)]


def format_time(moment: datetime) -> str:
    return format_seconds(moment.timestamp())


class Documents:
    """`begun_at`: since when the amounts hold, that is since this process started. `base_url` ends without a slash."""

    def __init__(self, settings: GbfsSettings, fares: Fares, begun_at: datetime) -> None:
        self._settings, self._fares, self._begun_at = settings, fares, max(begun_at, settings.changed_at)

    def gbfs(self, base_url: str, now: datetime) -> Json:
        names = [*FEEDS, *([ALERTS] if self.current_alerts(now) else [])]
        feeds = [{"name": name, "url": feed_url(base_url, name)} for name in ("gbfs", *names)]
        return self._document({"feeds": feeds})

    def gbfs_versions(self, base_url: str) -> Json:
        return self._document({"versions": _versions(base_url)})

    def manifest(self, base_url: str) -> Json:
        dataset = {"system_id": self._settings.system["system_id"], "versions": _versions(base_url)}
        return self._document({"datasets": [dataset]})

    def system_information(self) -> Json:
        return self._document(self._settings.system)

    def vehicle_types(self) -> Json:
        plan_id = self._settings.pricing_plan["plan_id"]
        prices = {"default_pricing_plan_id": plan_id, "pricing_plan_ids": [plan_id]}
        return self._document(
            {"vehicle_types": [{**each.published, **prices} for each in self._settings.types.values()]}
        )

    def system_pricing_plans(self) -> Json:
        fares, plan = self._fares, self._settings.pricing_plan
        amounts = {"unlock": str(fares.unlock), "per_minute": str(fares.per_minute), "currency": fares.currency}
        described = [{**each, "text": each["text"].format(**amounts)} for each in plan["description"]]
        segment = {"start": 0, "rate": float(fares.per_minute), "interval": 1}
        priced = {
            "currency": fares.currency,
            "price": float(fares.unlock),
            "description": described,
            # A price for each started minute, as trip_service reckons it.
            **({"per_min_pricing": [segment]} if fares.per_minute else {}),
        }
        return self._document({"plans": [{**plan, **priced}]}, self._begun_at)

    def system_alerts(self, now: datetime) -> Json | None:
        """None when there are none."""
        alerts = self.current_alerts(now)
        return self._document({"alerts": alerts}) if alerts else None

    def current_alerts(self, now: datetime) -> list[Json]:
        """Those that are not over."""
        return [_alert(each) for each in self._settings.alerts if not _is_over(each, now)]

    def _document(self, data: Mapping[str, Any], changed_at: datetime | None = None) -> Json:
        return {
            "last_updated": format_time(changed_at or self._settings.changed_at),
            "ttl": self._settings.others_ttl_s,
            "version": VERSION,
            "data": data,
        }


def feed_url(base_url: str, name: str) -> str:
    """Where a feed of this version is."""
    return f"{base_url}/gbfs/{VERSION}/{name}.json"


def _versions(base_url: str) -> list[Json]:
    return [{"version": VERSION, "url": feed_url(base_url, "gbfs")}]


def _is_over(alert: Json, now: datetime) -> bool:
    times = alert.get("times", [])
    return bool(times) and all("end" in each and each["end"].astimezone(UTC) <= now for each in times)


def _alert(alert: Json) -> Json:
    shown = {name: format_time(value) if isinstance(value, datetime) else value for name, value in alert.items()}
    if "times" in alert:
        shown["times"] = [{name: format_time(moment) for name, moment in each.items()} for each in alert["times"]]
    return shown
