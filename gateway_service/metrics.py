"""What the gateway counts of the business, and how its view of the fleet is."""

from shared.metrics import DURATION_BUCKETS, counter, gauge, histogram

POSITIONS_ACCEPTED = counter("positions_accepted", "Positions answered with 202: the broker has them.")
FLEET_BIKES = gauge("fleet_view_bikes", "Bikes that this gateway knows for the GBFS feed.")
FLEET_AGE = gauge("fleet_view_age_seconds", "How long ago this gateway's view of the fleet was complete.")
FEED_BUILDS = histogram(
    "gbfs_build_duration_seconds", "How long building vehicle_status.json took.", (), DURATION_BUCKETS
)
