"""The tables of the rides."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, Double, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.fields import Money, Point
from shared.idempotency import IdempotencyMixin
from shared.outbox import OutboxMixin


class Base(DeclarativeBase):
    """Everything in this service's database; indexes and constraints are in the migrations."""


class Trip(Base):
    """One trip. `distance_m` is that of the route at `distance_version`; it is stale while `route_version` is newer."""

    __tablename__ = "trips"

    id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    bike_id: Mapped[str] = mapped_column(UUID(as_uuid=False))
    rider_id: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_by: Mapped[str | None] = mapped_column(Text)
    start_longitude: Mapped[float | None] = mapped_column(Double)
    start_latitude: Mapped[float | None] = mapped_column(Double)
    end_longitude: Mapped[float | None] = mapped_column(Double)
    end_latitude: Mapped[float | None] = mapped_column(Double)
    distance_m: Mapped[float] = mapped_column(Double, server_default="0")
    duration_s: Mapped[int | None] = mapped_column(Integer)
    fare_amount: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    fare_currency: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(BigInteger, server_default="1")
    route_version: Mapped[int] = mapped_column(BigInteger, server_default="1")
    distance_version: Mapped[int] = mapped_column(BigInteger, server_default="0")

    @property
    def start_location(self) -> Point | None:
        """(longitude, latitude) where the bike stood, or None if nobody knew."""
        return _point(self.start_longitude, self.start_latitude)

    @property
    def end_location(self) -> Point | None:
        """(longitude, latitude) where the trip ended, or None."""
        return _point(self.end_longitude, self.end_latitude)

    @property
    def fare(self) -> dict[str, str] | None:
        """The price as the contract shows it, or None."""
        if self.fare_amount is None or self.fare_currency is None:
            return None
        return Money.of(self.fare_amount, self.fare_currency)


def _point(longitude: float | None, latitude: float | None) -> Point | None:
    return None if longitude is None or latitude is None else (longitude, latitude)


class Outbox(OutboxMixin, Base):
    """Events of this service that are not published yet."""


class IdempotencyKey(IdempotencyMixin, Base):
    """Answers to `POST /v1/trips`."""
