"""What the gateway counts of the business."""

from shared.metrics import counter

POSITIONS_ACCEPTED = counter("positions_accepted", "Positions answered with 202: the broker has them.")
