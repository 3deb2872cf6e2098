"""The error of this package."""


class ComposeError(Exception):
    """What went wrong, and what to do about it, in a line or two for the person at the terminal."""
