"""The fleet, its outbox, inbox and idempotency keys."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS cube")
    op.execute("""
        CREATE TABLE bikes (
            id uuid PRIMARY KEY,
            name text CONSTRAINT bikes_name_key UNIQUE,
            status text NOT NULL DEFAULT 'available'
                CHECK (status IN ('available', 'reserved', 'in_use', 'out_of_service', 'retired')),
            longitude double precision CHECK (longitude BETWEEN -180 AND 180),
            latitude double precision CHECK (latitude BETWEEN -90 AND 90),
            located_at timestamptz,
            battery_percent double precision CHECK (battery_percent BETWEEN 0 AND 100),
            battery_at timestamptz,
            trip_id uuid CONSTRAINT bikes_trip_id_key UNIQUE,
            rider_id text,
            checked_out_at timestamptz,
            revision bigint NOT NULL DEFAULT 1,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            -- On the unit sphere there is neither a 180th meridian nor a pole, and nearest by chord is nearest by
            -- great circle.
            sphere cube GENERATED ALWAYS AS (
                CASE WHEN latitude IS NOT NULL AND longitude IS NOT NULL THEN
                    cube(ARRAY[
                        cos(radians(latitude)) * cos(radians(longitude)),
                        cos(radians(latitude)) * sin(radians(longitude)),
                        sin(radians(latitude))
                    ])
                END
            ) STORED,
            CHECK ((longitude IS NULL) = (latitude IS NULL) AND (longitude IS NULL) = (located_at IS NULL)),
            CHECK ((status = 'in_use') = (trip_id IS NOT NULL)),
            CHECK ((trip_id IS NULL) = (rider_id IS NULL) AND (trip_id IS NULL) = (checked_out_at IS NULL))
        )
    """)
    op.execute("CREATE INDEX bikes_by_status ON bikes (status, id)")
    op.execute("CREATE INDEX bikes_to_rent_by_sphere ON bikes USING gist (sphere) WHERE status = 'available'")
    op.execute("CREATE INDEX bikes_by_place ON bikes USING gist (point(longitude, latitude))")
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
        CREATE TABLE inbox (
            event_id text NOT NULL,
            handler text NOT NULL,
            handled_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (event_id, handler)
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
    op.execute("CREATE INDEX inbox_by_age ON inbox (handled_at)")
    op.execute("CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE idempotency_keys, inbox, outbox, bikes")
