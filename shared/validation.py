"""Reading outside data with a marshmallow schema; errors come out as the contract's `errors` object."""

from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, ValidationError

from shared.errors import Invalid


class StrictSchema(Schema):
    """A schema that rejects unknown fields."""

    class Meta:
        unknown = RAISE


def flatten(messages: Any, path: str = "") -> dict[str, list[str]]:
    """Marshmallow's nested messages as `{"positions.3.recorded_at": ["..."]}`; the whole input is `body`."""
    if isinstance(messages, str):
        return {path or "body": [messages]}
    if isinstance(messages, list):
        return {path or "body": [str(message) for message in messages]}
    flat: dict[str, list[str]] = {}
    for key, value in messages.items():
        step = path if key == "_schema" else f"{path}.{key}" if path else str(key)
        for where, texts in flatten(value, step).items():
            flat.setdefault(where, []).extend(texts)
    return flat


def load(schema: Schema, data: Any, detail: str = "The input is invalid.") -> Any:
    """`schema.load(data)`; raises Invalid with flattened `errors` when it does not fit."""
    try:
        return schema.load(data)
    except ValidationError as error:
        raise Invalid(detail, {"errors": flatten(error.messages)}) from None


def load_arguments(schema: Schema, **arguments: Any) -> Mapping[str, Any]:
    """RPC arguments through `schema`; those that are None count as not given. Raises Invalid."""
    given = {name: value for name, value in arguments.items() if value is not None}
    loaded: Mapping[str, Any] = load(schema, given, "The arguments are invalid.")
    return loaded
