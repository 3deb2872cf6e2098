"""Trips, positions, outbox and idempotency keys."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.execute("""
        CREATE TABLE trips (
            id uuid PRIMARY KEY,
            bike_id uuid NOT NULL,
            rider_id text NOT NULL,
            status text NOT NULL CHECK (status IN ('active', 'ended', 'cancelled', 'void')),
            started_at timestamptz NOT NULL,
            ended_at timestamptz CHECK (ended_at >= started_at),
            ended_by text CHECK (ended_by IN ('rider', 'operator', 'system')),
            start_longitude double precision,
            start_latitude double precision,
            end_longitude double precision,
            end_latitude double precision,
            distance_m double precision NOT NULL DEFAULT 0,
            duration_s integer,
            fare_amount numeric(14, 2),
            fare_currency text,
            revision bigint NOT NULL DEFAULT 1,
            route_version bigint NOT NULL DEFAULT 1,
            distance_version bigint NOT NULL DEFAULT 0,
            CHECK ((status IN ('ended', 'cancelled')) = (ended_at IS NOT NULL)),
            CHECK ((status = 'ended') = (fare_amount IS NOT NULL))
        )
    """)
    # The second lock, behind the check-out: no bike, and no rider, is in two active trips.
    op.execute("CREATE UNIQUE INDEX trips_one_active_per_bike ON trips (bike_id) WHERE status = 'active'")
    op.execute("CREATE UNIQUE INDEX trips_one_active_per_rider ON trips (rider_id) WHERE status = 'active'")
    op.execute("CREATE INDEX trips_newest ON trips (started_at DESC, id DESC)")
    op.execute("CREATE INDEX trips_newest_of_bike ON trips (bike_id, started_at DESC, id DESC)")
    op.execute("CREATE INDEX trips_newest_of_rider ON trips (rider_id, started_at DESC, id DESC)")
    op.execute("CREATE INDEX trips_newest_of_status ON trips (status, started_at DESC, id DESC)")
    # The trips that positions of some time may belong to, however many trips a bike has had.
    op.execute("""
        CREATE INDEX trips_by_time ON trips
        USING gist (bike_id, tstzrange(started_at, coalesce(ended_at, 'infinity'), '[]')) WHERE status <> 'void'
    """)
    op.execute("CREATE INDEX trips_stale ON trips (started_at) WHERE distance_version <> route_version")
    op.execute("""
        CREATE TABLE positions (
            bike_id uuid NOT NULL,
            recorded_at timestamptz NOT NULL,
            longitude double precision NOT NULL,
            latitude double precision NOT NULL,
            battery_percent double precision,
            speed_mps double precision,
            accuracy_m double precision,
            PRIMARY KEY (bike_id, recorded_at)
        ) PARTITION BY RANGE (recorded_at)
    """)
    # Over AMQP without a timestamp a position of any age is taken; what fits no day that is kept waits here.
    op.execute("CREATE TABLE positions_default PARTITION OF positions DEFAULT")
    # The haversine formula; the radius is shared.geodesy.EARTH_RADIUS_M.
    op.execute("""
        CREATE FUNCTION great_circle_m(
            lon_a double precision, lat_a double precision, lon_b double precision, lat_b double precision
        ) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT 2 * 6371008.8 * asin(least(1, sqrt(
                sin(radians(lat_b - lat_a) / 2) ^ 2
                + cos(radians(lat_a)) * cos(radians(lat_b)) * sin(radians(lon_b - lon_a) / 2) ^ 2
            )))
        $$
    """)
    op.execute("""
        CREATE TABLE outbox (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_id text NOT NULL UNIQUE,
            type text NOT NULL,
            payload text NOT NULL,
            request_id text,
            created_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("""
        CREATE TABLE idempotency_keys (
            subject text NOT NULL,
            key text NOT NULL,
            fingerprint text NOT NULL,
            resource_id text NOT NULL,
            answer text,
            leased_until timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (subject, key)
        )
    """)
    op.execute("CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE idempotency_keys, outbox, positions, trips")
    op.execute("DROP FUNCTION great_circle_m")
