"""The GBFS settings file as marshmallow judges it; what it loads is what the feeds hold (GBFS 3.0)."""

import string
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from shared.fields import UTCDateTime
from shared.gbfs_fields import (
    Address,
    Day,
    Email,
    Identifier,
    Language,
    Line,
    PhoneNumber,
    Texts,
    TimeZone,
    WebAddress,
    Whole,
)
from shared.validation import StrictSchema

FORM_FACTORS = ("bicycle", "cargo_bicycle", "scooter_standing", "scooter_seated", "moped", "other")
PROPULSIONS = ("human", "electric_assist", "electric")
RETURN_CONSTRAINTS = ("free_floating", "roundtrip_station", "any_station", "hybrid")
ALERT_TYPES = ("system_closure", "station_closure", "station_move", "other")
ACCESSORIES = ("automatic", "manual", "cruise_control", "navigation")
DAY_S, YEAR_S = 86_400, 366 * 86_400


class RentalAppSchema(StrictSchema):
    store_uri = Address(required=True)
    discovery_uri = Address(required=True)


class RentalAppsSchema(StrictSchema):
    android = fields.Nested(RentalAppSchema)
    ios = fields.Nested(RentalAppSchema)


class SystemSchema(StrictSchema):
    """`system_information.json`."""

    system_id = Identifier(required=True)
    languages = fields.List(Language(), required=True, validate=validate.Length(1))
    name = Texts(required=True)
    short_name = Texts()
    operator = Texts()
    opening_hours = Line(required=True)
    timezone = TimeZone(required=True)
    start_date = Day()
    termination_date = Day()
    url = WebAddress()
    purchase_url = WebAddress()
    phone_number = PhoneNumber()
    email = Email()
    feed_contact_email = Email(required=True)
    license_id = Identifier()
    license_url = WebAddress()
    attribution_organization_name = Texts()
    attribution_url = WebAddress()
    terms_url = Texts(is_address=True)
    terms_last_updated = Day()
    privacy_url = Texts(is_address=True)
    privacy_last_updated = Day()
    rental_apps = fields.Nested(RentalAppsSchema)

    @validates_schema
    def judge_pairs(self, data: dict[str, Any], **kwargs: Any) -> None:
        if "license_id" in data and "license_url" in data:
            raise ValidationError("Not together with license_id.", "license_url")
        for name in ("terms", "privacy"):
            if f"{name}_url" in data and f"{name}_last_updated" not in data:
                raise ValidationError(f"Needed with {name}_url.", f"{name}_last_updated")


class VehicleTypeSchema(StrictSchema):
    """One of `vehicle_types.json`."""

    vehicle_type_id = Identifier(required=True)
    form_factor = fields.String(required=True, validate=validate.OneOf(FORM_FACTORS))
    propulsion_type = fields.String(required=True, validate=validate.OneOf(PROPULSIONS))
    max_range_meters = Whole(1, 10_000_000)
    name = Texts()
    make = Texts()
    model = Texts()
    description = Texts()
    color = Line()
    rider_capacity = Whole()
    cargo_volume_capacity = Whole()
    cargo_load_capacity = Whole()
    wheel_count = Whole()
    max_permitted_speed = Whole()
    rated_power = Whole()
    vehicle_accessories = fields.List(fields.String(validate=validate.OneOf(ACCESSORIES)))
    vehicle_image = WebAddress()
    return_constraint = fields.String(validate=validate.OneOf(RETURN_CONSTRAINTS))

    @validates_schema
    def judge_range(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["propulsion_type"] != "human" and "max_range_meters" not in data:
            raise ValidationError("Needed for what has a motor.", "max_range_meters")


class RentalUrisSchema(StrictSchema):
    android = Address(placeholder="vehicle_id")
    ios = Address(placeholder="vehicle_id")
    web = WebAddress(placeholder="vehicle_id")


class PricingPlanSchema(StrictSchema):
    """The one of `system_pricing_plans.json`; `description` may have {unlock}, {per_minute} and {currency}."""

    plan_id = Identifier(required=True)
    name = Texts(required=True)
    description = Texts(required=True)
    is_taxable = fields.Boolean(required=True, truthy={True}, falsy={False})
    url = WebAddress()

    @validates_schema
    def judge_placeholders(self, data: dict[str, Any], **kwargs: Any) -> None:
        for each in data["description"]:
            try:
                names = {
                    name
                    for _, name, spec, how in string.Formatter().parse(each["text"])
                    if name is not None or spec or how
                }
            except ValueError:
                names = {None}
            if not names <= {"unlock", "per_minute", "currency"}:
                raise ValidationError("Only {unlock}, {per_minute} and {currency} may stand in braces.", "description")


class TtlSchema(StrictSchema):
    vehicle_status = Whole(0, DAY_S, required=True)
    others = Whole(0, YEAR_S, required=True)


class AlertTimeSchema(StrictSchema):
    start = UTCDateTime(required=True)
    end = UTCDateTime()

    @validates_schema
    def judge_order(self, data: dict[str, Any], **kwargs: Any) -> None:
        if "end" in data and data["end"] <= data["start"]:
            raise ValidationError("Must be after the start.", "end")


class AlertSchema(StrictSchema):
    """One of `system_alerts.json`."""

    alert_id = Identifier(required=True)
    type = fields.String(required=True, validate=validate.OneOf(ALERT_TYPES))
    summary = Texts(required=True)
    description = Texts()
    url = Texts(is_address=True)
    times = fields.List(fields.Nested(AlertTimeSchema))
    last_updated = UTCDateTime()


class GbfsSchema(StrictSchema):
    """The whole file."""

    system = fields.Nested(SystemSchema, required=True)
    rental_uris = fields.Nested(RentalUrisSchema, load_default=dict)
    ttl = fields.Nested(TtlSchema, required=True)
    stale_after = Whole(60, YEAR_S, required=True)
    pricing_plan = fields.Nested(PricingPlanSchema, required=True)
    default_vehicle_type = Identifier(required=True)
    vehicle_types = fields.List(fields.Nested(VehicleTypeSchema), required=True, validate=validate.Length(1, 100))
    alerts = fields.List(fields.Nested(AlertSchema), load_default=list)

    @validates_schema
    def judge_together(self, data: dict[str, Any], **kwargs: Any) -> None:
        for name, key in (("vehicle_types", "vehicle_type_id"), ("alerts", "alert_id")):
            ids = [each[key] for each in data[name]]
            if len(set(ids)) < len(ids):
                raise ValidationError(f"Each {key} may stand once.", name)
        if data["default_vehicle_type"] not in {each["vehicle_type_id"] for each in data["vehicle_types"]}:
            raise ValidationError("Must be one of vehicle_types.", "default_vehicle_type")
        apps = data["system"].get("rental_apps", {})
        for name in {"android", "ios"} & data["rental_uris"].keys():
            if name not in apps:
                raise ValidationError({"rental_apps": {name: ["Needed with rental_uris."]}}, "system")

    @validates_schema
    def judge_languages(self, data: dict[str, Any], **kwargs: Any) -> None:
        languages = set(data["system"]["languages"])
        for path, texts in _texts_of(data):
            missing = languages - {each["language"] for each in texts}
            if missing:
                raise ValidationError(f"{path} has no text in {', '.join(sorted(missing))}.", path.split(".")[0])


def _texts_of(data: Any, path: str = "") -> list[tuple[str, list[dict[str, str]]]]:
    """Every text in several languages, with where it stands."""
    if isinstance(data, dict):
        return [each for name, value in data.items() for each in _texts_of(value, f"{path}.{name}".lstrip("."))]
    if isinstance(data, list) and data and isinstance(data[0], dict):
        if set(data[0]) == {"text", "language"}:
            return [(path, data)]
        return [each for index, value in enumerate(data) for each in _texts_of(value, f"{path}.{index}")]
    return []
