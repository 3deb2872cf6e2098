"""How the properties are tried: briefly, and without a deadline that a busy machine would miss."""

from hypothesis import settings

settings.register_profile("unit", max_examples=40, deadline=None)
settings.load_profile("unit")
