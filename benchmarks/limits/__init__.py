"""Physical limits: what remains when a part of the way is left out."""
