"""Compresses the time of a ride, and cuts it into the batches in which a vehicle reports."""

from collections.abc import Sequence

NANOSECONDS_PER_MICROSECOND = 1000


def offsets_us(times_ns: Sequence[int], speed: float) -> list[int]:
    """Microseconds after the first time at which each is replayed, `speed` times faster.

    `times_ns` ascend; equal times stay equal, and distinct ones stay distinct and in order at any speed.
    """
    offsets: list[int] = []
    previous: int | None = None
    for time_ns in times_ns:
        if previous is None:
            offsets.append(0)
        elif time_ns == previous:
            offsets.append(offsets[-1])
        else:
            compressed = int((time_ns - times_ns[0]) / speed / NANOSECONDS_PER_MICROSECOND)
            offsets.append(max(compressed, offsets[-1] + 1))
        previous = time_ns
    return offsets


def batches(offsets: Sequence[int], size: int, window_us: int) -> list[slice]:
    """Cuts ascending offsets into runs of about `size` that each span at most `window_us`.

    Equal offsets are never parted (a run may then exceed `size`): the first of them must win in the system, and only
    within one message is it sure to be seen first.
    """
    cuts: list[slice] = []
    start = 0
    for index in range(1, len(offsets) + 1):
        if index == len(offsets):
            cuts.append(slice(start, index))
        elif offsets[index] != offsets[index - 1] and (
            index - start >= size or offsets[index] - offsets[start] > window_us
        ):
            cuts.append(slice(start, index))
            start = index
    return cuts
