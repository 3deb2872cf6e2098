"""Rides real trips through the public HTTP doors and compares what the system then knows with the source."""
