"""Reading outside data with a marshmallow schema; errors come out as the contract's `errors` object."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, pre_load

from shared import origins
from shared.errors import Invalid
from shared.origins import Origin

# No object that we take has so many members; naming each unknown one of a flood would help nobody but its sender.
MAX_MEMBERS = 50
MAX_ERRORS = 100
MAX_CALLS = 1000
# A name that nobody declared is the sender's own text, and may be as long as its message.
MAX_NAME = 100


class StrictSchema(Schema):
    """A schema that rejects unknown fields, and far too many of them at once."""

    class Meta:
        unknown = RAISE

    @pre_load
    def bound_members(self, data: Any, **kwargs: Any) -> Any:
        if isinstance(data, dict) and len(data) > MAX_MEMBERS:
            raise ValidationError(f"An object of {len(data)} members, more than {MAX_MEMBERS}.")
        return data


def flatten(messages: Any, path: str = "") -> dict[str, list[str]]:
    """Marshmallow's nested messages as `{"positions.3.recorded_at": ["..."]}`; the whole input is `body`."""
    if isinstance(messages, str):
        return {path or "body": [messages]}
    if isinstance(messages, list):
        return {path or "body": [str(message) for message in messages]}
    flat: dict[str, list[str]] = {}
    for key, value in messages.items():
        name = str(key)[:MAX_NAME]
        step = path if key == "_schema" else f"{path}.{name}" if path else name
        for where, texts in flatten(value, step).items():
            flat.setdefault(where, []).extend(texts)
    return flat


def load(schema: Schema, data: Any, detail: str = "The input is invalid.") -> Any:
    """`schema.load(data)`; raises Invalid with flattened `errors` when it does not fit."""
    try:
        return schema.load(data)
    except ValidationError as error:
        errors = flatten(error.messages)
        if len(errors) > MAX_ERRORS:
            detail = f"{detail} The first {MAX_ERRORS} of {len(errors)} errors are named."
            errors = dict(islice(errors.items(), MAX_ERRORS))
        raise Invalid(detail, {"errors": errors}) from None


def load_arguments(schema: Schema, /, **arguments: Any) -> Mapping[str, Any]:
    """RPC arguments through `schema`; those that are None count as not given. Raises Invalid."""
    given = {name: value for name, value in arguments.items() if value is not None}
    loaded: Mapping[str, Any] = load(schema, given, "The arguments are invalid.")
    return loaded


def load_calls(schema: Schema, calls: Any) -> list[Mapping[str, Any] | Invalid]:
    """The keyword arguments of each of `calls` (see `shared.rpc_batch`) through `schema`, or why they do not fit.

    With the arguments comes `origin` (see `shared.origins`): whose the call is.

    Raises Invalid when `calls` is no list of up to MAX_CALLS objects.
    """
    if not isinstance(calls, list) or len(calls) > MAX_CALLS or not all(isinstance(call, dict) for call in calls):
        message = f"Not a list of up to {MAX_CALLS} objects."
        raise Invalid("The arguments are invalid.", {"errors": {"calls": [message]}})
    return [_load_call(schema, call, origin) for call, origin in zip(calls, origins.current(len(calls)), strict=True)]


def _load_call(schema: Schema, call: dict[str, Any], origin: Origin | None) -> Mapping[str, Any] | Invalid:
    # A schema may have a faster way for what has no fault; it takes nothing that the schema would refuse.
    compiled = getattr(schema, "read_compiled", None)
    known: Mapping[str, Any] | None = None if compiled is None else compiled(call)
    if known is not None:
        return {**known, "origin": origin}
    try:
        return {**load_arguments(schema, **call), "origin": origin}
    except Invalid as error:
        return error
