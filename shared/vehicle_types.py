"""The type of a bike: one of those that the GBFS settings of this process have."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from marshmallow import ValidationError, fields

from shared import gbfs_settings


@cache
def known_types() -> tuple[str, ...]:
    """The ids of all types."""
    return tuple(gbfs_settings.of_environment(os.environ).types)


@cache
def default_type() -> str:
    """The type of a bike that has not been given one."""
    return gbfs_settings.of_environment(os.environ).default_type_id


class VehicleTypeId(fields.Field[str]):
    """The id of a type; one that a bike does not have is written as the default."""

    def _serialize(self, value: str | None, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return value or default_type()

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        known = known_types()
        if not isinstance(value, str) or value not in known:
            raise ValidationError(f"Must be one of: {', '.join(known)}.")
        return value
