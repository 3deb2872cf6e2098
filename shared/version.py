"""The version of this code, the same as in pyproject.toml, which no image holds."""

VERSION = "0.1.0"
