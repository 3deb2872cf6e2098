"""The fleet: where each bike is, and whether it can be rented."""
