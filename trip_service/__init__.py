"""The rides: who rode which bike, from when to when, along which way, for how much."""
