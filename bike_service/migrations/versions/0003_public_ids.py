"""What the GBFS feed needs of a bike: its type, and a public id that changes after each trip.

Code that does not know the columns still works: its bikes are of the default type, and keep their public id.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE bikes
            ADD COLUMN vehicle_type_id text,
            ADD COLUMN vehicle_id uuid NOT NULL DEFAULT gen_random_uuid()
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE bikes DROP COLUMN vehicle_type_id, DROP COLUMN vehicle_id")
