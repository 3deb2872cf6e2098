"""What bike_service counts of the business."""

from shared.metrics import counter

POSITIONS_APPLIED = counter("positions_applied", "Valid positions of known bikes that were taken into account.")
BIKE_MOVES = counter("bike_moves", "Bikes moved by a batch of positions, each counted once a batch.")
