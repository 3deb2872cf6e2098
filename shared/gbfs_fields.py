"""Marshmallow fields of the GBFS settings: texts in several languages, addresses, dates, as GBFS takes them."""

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, validate

ID = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?", re.ASCII)
ZONE = re.compile(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2}", re.ASCII)
EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
Translated = list[dict[str, str]]
"""As GBFS writes a text: `[{"text", "language"}]`."""


class Identifier(fields.String):
    """An id of 1 to 100 letters, digits, `_`, `.` and `-`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=_matching(ID, "Must be 1 to 100 letters, digits, _, . or -."), **kwargs)


class Line(fields.String):
    """A text that is not empty."""

    def __init__(self, maximum: int = 2000, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(1, maximum), **kwargs)


class Address(fields.String):
    """An absolute URI; with `schemes` one of these. `placeholder`: a `{name}` that may stand in it."""

    def __init__(self, schemes: tuple[str, ...] = (), placeholder: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schemes, self.placeholder = schemes, placeholder

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        plain = text.replace(f"{{{self.placeholder}}}", "x") if self.placeholder else text
        if not is_address(plain, self.schemes):
            raise ValidationError(
                "Must be an absolute URL" + (f" ({' or '.join(self.schemes)})." if self.schemes else ".")
            )
        return text


def is_address(text: str, schemes: tuple[str, ...] = ()) -> bool:
    """Whether `text` is an absolute URI of plain characters, of one of `schemes` if there are any."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if not parts.scheme or ":" not in text or re.search(r"[^\x21-\x7e]|[{}<>\"\\^`|]", text):
        return False
    return not schemes or (parts.scheme in schemes and bool(parts.hostname))


class WebAddress(Address):
    """An http or https URL."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(("http", "https"), **kwargs)


class Texts(fields.Field[Translated]):
    """`{en: ..., de: ...}` in the file, `[{"text", "language"}]` in the feeds; `is_address`: each text is a URL."""

    def __init__(self, is_address: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._each: fields.String = WebAddress() if is_address else Line()

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Translated:
        if not isinstance(value, dict) or not value:
            raise ValidationError("Must be a text for each language, such as {en: Bike}.")
        translated: Translated = []
        errors: dict[str, Any] = {}
        for language, text in value.items():
            if not isinstance(language, str) or not LANGUAGE.fullmatch(language):
                errors[str(language)] = ["Not a language such as en or pt-BR."]
                continue
            try:
                translated.append({"text": str(self._each.deserialize(text)), "language": language})
            except ValidationError as error:
                errors[language] = error.messages
        if errors:
            raise ValidationError(errors)
        return translated


class Language(fields.String):
    """A language as GBFS takes it (BCP 47, without the rarer parts)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=_matching(LANGUAGE, "Not a language such as en or pt-BR."), **kwargs)


class TimeZone(fields.String):
    """A name of the time zone database, `Area/Place`."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        name = super()._deserialize(value, attr, data, **kwargs)
        # A slim system may have no time zones to look it up in.
        known = zoneinfo.available_timezones()
        if not ZONE.fullmatch(name) or (known and name not in known):
            raise ValidationError("Not a time zone such as Europe/Zurich.")
        return name


class Day(fields.String):
    """A date, YYYY-MM-DD."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        fields.Date(format="%Y-%m-%d").deserialize(text)
        return text


class Email(fields.String):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=_matching(EMAIL, "Not an email address."), **kwargs)


class PhoneNumber(fields.String):
    """E.164."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            validate=_matching(re.compile(r"\+[1-9][0-9]{1,14}"), "Not a number such as +41445550100."), **kwargs
        )


class Whole(fields.Integer):
    """A whole number from `minimum` on."""

    def __init__(self, minimum: int = 0, maximum: int | None = None, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(minimum, maximum), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if isinstance(value, bool | str):
            raise self.make_error("invalid")
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number


def _matching(pattern: re.Pattern[str], message: str) -> Any:
    def check(text: str) -> None:
        if not pattern.fullmatch(text):
            raise ValidationError(message)

    return check
