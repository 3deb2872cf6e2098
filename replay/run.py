"""All rides: bikes side by side, the rides of each bike one after the other."""

import secrets
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed

from replay.client import Gateway
from replay.progress import RideProgress
from replay.ride import Outcome, perform
from replay.source import Ride

MOST_BIKES_AT_ONCE = 200


def by_bike(rides: list[Ride]) -> list[list[Ride]]:
    """The rides of each bike in time order; the bike that takes longest first, so that it does not end last alone."""
    queues: dict[str, list[Ride]] = defaultdict(list)
    for ride in sorted(rides, key=lambda ride: ride.began_ns):
        queues[ride.bike].append(ride)
    return sorted(queues.values(), key=span_s, reverse=True)


def span_s(rides: list[Ride]) -> float:
    """Seconds of source time that the rides take one after the other."""
    return sum(ride.span_s for ride in rides)


def ride_all(
    gateway: Gateway, queues: list[list[Ride]], bike_ids: Mapping[str, str], speed: float, progress: RideProgress
) -> list[Outcome]:
    """The outcome of every ride. Raises Unavailable; then, and when interrupted, no ride is left at work."""
    # riders are new in each replay: one left with an active trip by an aborted replay could not start another
    replay_id = secrets.token_hex(4)

    def ride_bike(rides: list[Ride]) -> list[Outcome]:
        outcomes = []
        for ride in rides:
            rider_id = f"replay-{replay_id}-{ride.trip}"
            outcomes.append(perform(gateway, ride, bike_ids[ride.bike], rider_id, speed, progress.reported))
            progress.ridden()
        return outcomes

    with ThreadPoolExecutor(min(len(queues), MOST_BIKES_AT_ONCE)) as pool:
        futures = [pool.submit(ride_bike, queue) for queue in queues]
        try:
            return [outcome for future in as_completed(futures) for outcome in future.result()]
        except BaseException:  # also Ctrl-C, and raised again
            gateway.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
