"""The tables, as the product's migrations make them, as far as they are used here."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, Double, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# As many connections as the product's services may have.
ENGINE_OPTIONS = {"pool_size": 20, "max_overflow": 10, "connect_args": {"options": "-c timezone=UTC"}}
SESSION_OPTIONS = {"expire_on_commit": False}


class Bikes(DeclarativeBase):
    """bike_service's database."""


class Trips(DeclarativeBase):
    """trip_service's database."""


class Bike(Bikes):
    """A bike."""

    __tablename__ = "bikes"

    id: Mapped[str] = mapped_column(UUID(as_uuid=False), primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    longitude: Mapped[float | None] = mapped_column(Double)
    latitude: Mapped[float | None] = mapped_column(Double)
    located_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    battery_percent: Mapped[float | None] = mapped_column(Double)
    battery_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    vehicle_type_id: Mapped[str | None] = mapped_column(Text)
    trip_id: Mapped[str | None] = mapped_column(UUID(as_uuid=False))
    rider_id: Mapped[str | None] = mapped_column(Text)
    checked_out_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revision: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Trip(Trips):
    """A trip."""

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
    distance_m: Mapped[float] = mapped_column(Double)
    duration_s: Mapped[int | None] = mapped_column(Integer)
    fare_amount: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    fare_currency: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(BigInteger, server_default="1")
