"""The GBFS documents as the OpenAPI document describes them; the specification itself says what each field means."""

from typing import Any

from marshmallow import INCLUDE, Schema, fields

from shared.fields import Number, UTCDateTime
from shared.vehicle_types import VehicleTypeId


def many(schema: type[Schema]) -> fields.List:
    return fields.List(fields.Nested(schema), required=True)


class PartSchema(Schema):
    """Whatever more the specification has may stand in it."""

    class Meta:
        unknown = INCLUDE


class TranslatedSchema(PartSchema):
    """A text in one language."""

    text = fields.String(required=True)
    language = fields.String(required=True)


class GbfsDocumentSchema(PartSchema):
    """What every feed has."""

    last_updated = UTCDateTime(required=True)
    ttl = fields.Integer(required=True)
    version = fields.String(required=True)


class VersionSchema(PartSchema):
    """A version of the feeds."""

    version = fields.String(required=True)
    url = fields.Url(required=True)


class DatasetSchema(PartSchema):
    """A system's feeds."""

    system_id = fields.String(required=True)
    versions = many(VersionSchema)


class DatasetsSchema(PartSchema):
    """All systems."""

    datasets = many(DatasetSchema)


class ManifestSchema(GbfsDocumentSchema):
    """`manifest.json`."""

    data = fields.Nested(DatasetsSchema, required=True)


class FeedLinkSchema(PartSchema):
    """Where a feed is."""

    name = fields.String(required=True)
    url = fields.Url(required=True)


class FeedLinksSchema(PartSchema):
    """All feeds."""

    feeds = many(FeedLinkSchema)


class DiscoverySchema(GbfsDocumentSchema):
    """`gbfs.json`."""

    data = fields.Nested(FeedLinksSchema, required=True)


class VersionListSchema(PartSchema):
    """All versions."""

    versions = many(VersionSchema)


class VersionsSchema(GbfsDocumentSchema):
    """`gbfs_versions.json`."""

    data = fields.Nested(VersionListSchema, required=True)


class SystemSchema(PartSchema):
    """The system."""

    system_id = fields.String(required=True)
    languages = fields.List(fields.String(), required=True)
    name = many(TranslatedSchema)
    opening_hours = fields.String(required=True)
    timezone = fields.String(required=True)
    feed_contact_email = fields.String(required=True)


class SystemInformationSchema(GbfsDocumentSchema):
    """`system_information.json`."""

    data = fields.Nested(SystemSchema, required=True)


class VehicleTypeSchema(PartSchema):
    """A kind of bike."""

    vehicle_type_id = VehicleTypeId(required=True)
    form_factor = fields.String(required=True)
    propulsion_type = fields.String(required=True)
    max_range_meters = Number(minimum=0)


class VehicleTypeListSchema(PartSchema):
    """All kinds."""

    vehicle_types = many(VehicleTypeSchema)


class VehicleTypesSchema(GbfsDocumentSchema):
    """`vehicle_types.json`."""

    data = fields.Nested(VehicleTypeListSchema, required=True)


class PricingPlanSchema(PartSchema):
    """What a trip costs."""

    plan_id = fields.String(required=True)
    name = many(TranslatedSchema)
    currency = fields.String(required=True)
    price = Number(required=True, minimum=0)
    is_taxable = fields.Boolean(required=True)
    description = many(TranslatedSchema)


class PricingPlanListSchema(PartSchema):
    """All plans."""

    plans = many(PricingPlanSchema)


class PricingPlansSchema(GbfsDocumentSchema):
    """`system_pricing_plans.json`."""

    data = fields.Nested(PricingPlanListSchema, required=True)


class AlertSchema(PartSchema):
    """An alert."""

    alert_id = fields.String(required=True)
    type = fields.String(required=True)
    summary = many(TranslatedSchema)


class AlertListSchema(PartSchema):
    """All alerts."""

    alerts = many(AlertSchema)


class AlertsSchema(GbfsDocumentSchema):
    """`system_alerts.json`."""

    data = fields.Nested(AlertListSchema, required=True)


class VehicleSchema(PartSchema):
    """A bike that can be seen; its id is another after each trip."""

    vehicle_id = fields.UUID(required=True)
    lat = Number(required=True, minimum=-90, maximum=90)
    lon = Number(required=True, minimum=-180, maximum=180)
    last_reported = UTCDateTime(required=True)
    is_reserved = fields.Boolean(required=True)
    is_disabled = fields.Boolean(required=True)
    vehicle_type_id = VehicleTypeId(required=True)
    pricing_plan_id = fields.String(required=True)
    current_range_meters = Number(minimum=0)
    current_fuel_percent = Number(minimum=0, maximum=1)
    rental_uris: Any = fields.Dict(keys=fields.String(), values=fields.String())


class VehiclesSchema(PartSchema):
    """All bikes that can be seen."""

    vehicles = many(VehicleSchema)


class VehicleStatusSchema(GbfsDocumentSchema):
    """`vehicle_status.json`."""

    data = fields.Nested(VehiclesSchema, required=True)
