"""The errors of this package."""


class BenchmarkError(Exception):
    """A wrong answer, or a row that is missing: the figures of such a run count for nothing."""


class UsageError(Exception):
    """What was asked for cannot be run; the text says what can."""
