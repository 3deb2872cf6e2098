"""The tables of the fleet."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Double, Text, func
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.idempotency import IdempotencyMixin
from shared.inbox import InboxMixin
from shared.outbox import OutboxMixin


class Base(DeclarativeBase):
    """Everything in this service's database; indexes and constraints are in the migrations."""


class Bike(Base):
    """One bike. A check-out is (trip_id, rider_id, checked_out_at), there while the status is `in_use`.

    `vehicle_id` is the public id of the GBFS feed, a new one after each trip; it is read for that feed only. A bike
    without `vehicle_type_id`, added by code that knows no types, is of the default type.

    The database also keeps `sphere`, the location as a point on the unit sphere, for the nearest bikes.
    """

    __tablename__ = "bikes"

    id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, server_default="available")
    longitude: Mapped[float | None] = mapped_column(Double)
    latitude: Mapped[float | None] = mapped_column(Double)
    located_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    battery_percent: Mapped[float | None] = mapped_column(Double)
    battery_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    vehicle_type_id: Mapped[str | None] = mapped_column(Text)
    vehicle_id: Mapped[str] = mapped_column(UUID(as_uuid=False), server_default=func.gen_random_uuid(), deferred=True)
    trip_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    rider_id: Mapped[str | None] = mapped_column(Text)
    checked_out_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revision: Mapped[int] = mapped_column(BigInteger, server_default="1")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    @property
    def location(self) -> tuple[float, float] | None:
        """(longitude, latitude) in degrees, or None when the bike has never been heard of."""
        if self.longitude is None or self.latitude is None:
            return None
        return self.longitude, self.latitude


class Outbox(OutboxMixin, Base):
    """Events of this service that are not published yet."""


class Inbox(InboxMixin, Base):
    """Events that this service has handled."""


class IdempotencyKey(IdempotencyMixin, Base):
    """Answers to `POST /v1/bikes`."""
