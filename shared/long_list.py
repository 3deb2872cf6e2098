"""A list of many items that is validated without keeping the process from its other work."""

from collections.abc import Mapping
from typing import Any

import eventlet
from marshmallow import ValidationError, fields

SLICE = 100


class LongList(fields.List):
    """A list that lets other requests run while it is validated, and is not validated at all when too long."""

    def __init__(self, inner: Any, *, maximum: int, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self.maximum = maximum

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if not 1 <= len(value) <= self.maximum:
            raise ValidationError(f"Length must be between 1 and {self.maximum}.")
        result: list[Any] = []
        errors: dict[int, Any] = {}
        for start in range(0, len(value), SLICE):
            try:
                result += super()._deserialize(value[start : start + SLICE], attr, data, **kwargs)
            except ValidationError as error:
                by_index: Any = error.messages
                errors |= {start + index: messages for index, messages in by_index.items()}
            eventlet.sleep(0)
        if errors:
            raise ValidationError(errors)
        return result
