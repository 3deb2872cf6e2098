"""The GBFS settings of this process: one YAML file, that services who must agree (on the types of bikes) both read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from marshmallow import ValidationError

from shared.config import ConfigurationError
from shared.gbfs_schema import GbfsSchema
from shared.validation import flatten

VARIABLE = "GBFS_CONFIG"
DEFAULT = Path(__file__).with_name("gbfs.yaml")
MAX_NAMED = 5
Json = dict[str, Any]


@dataclass(frozen=True)
class VehicleType:
    """`max_range_m` in metres, None for what has no motor; `published`: as `vehicle_types.json` has it."""

    id: str
    max_range_m: int | None
    published: Json


@dataclass(frozen=True)
class GbfsSettings:
    """`system`, `pricing_plan`, `alerts`: as the feeds have them, but the plan without amounts, and times as datetimes.

    `vehicles_ttl_s`, `others_ttl_s`, `stale_after_s`: seconds. `rental_uris`: by platform, with `{vehicle_id}` in them.
    `changed_at`: when the file was.
    """

    system: Json
    rental_uris: Mapping[str, str]
    vehicles_ttl_s: int
    others_ttl_s: int
    stale_after_s: int
    pricing_plan: Json
    default_type_id: str
    types: Mapping[str, VehicleType]
    alerts: list[Json]
    changed_at: datetime


class _Loader(yaml.SafeLoader):
    """Dates stay text, and a key stands once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def of_environment(environ: Mapping[str, str]) -> GbfsSettings:
    """Those of the file that GBFS_CONFIG names, else the defaults. Raises ConfigurationError, naming file and field."""
    return load(Path(environ.get(VARIABLE, "").strip() or DEFAULT))


@cache
def load(path: Path) -> GbfsSettings:
    """The settings in `path`, read once a process. Raises ConfigurationError, naming file and field."""
    try:
        text = path.read_text(encoding="utf-8")
        changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"{VARIABLE}: {str(path)!r} cannot be read: {reason}.") from None
    try:
        # A SafeLoader, which makes plain values only.
        loaded = GbfsSchema().load(yaml.load(text, _Loader))  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{VARIABLE}: {path} is no YAML: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        raise ConfigurationError(f"{VARIABLE}: {path}: {_told(error.messages)}") from None
    types = {
        each["vehicle_type_id"]: VehicleType(
            each["vehicle_type_id"], each.get("max_range_meters") if each["propulsion_type"] != "human" else None, each
        )
        for each in loaded["vehicle_types"]
    }
    return GbfsSettings(
        system=loaded["system"],
        rental_uris=loaded["rental_uris"],
        vehicles_ttl_s=loaded["ttl"]["vehicle_status"],
        others_ttl_s=loaded["ttl"]["others"],
        stale_after_s=loaded["stale_after"],
        pricing_plan=loaded["pricing_plan"],
        default_type_id=loaded["default_vehicle_type"],
        types=types,
        alerts=loaded["alerts"],
        changed_at=changed_at,
    )


def _told(messages: Any) -> str:
    errors = [f"{field}: {' '.join(texts)}" for field, texts in flatten(messages).items()]
    rest = len(errors) - MAX_NAMED
    return " ".join(errors[:MAX_NAMED]) + (f" And {rest} more." if rest > 0 else "")
