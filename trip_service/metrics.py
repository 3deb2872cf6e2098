"""What trip_service counts of the business, after the commit of it."""

from shared.metrics import counter

TRIPS_STARTED = counter("trips_started", "Trips started.")
TRIPS_ENDED = counter("trips_ended", "Trips ended, by who ended them: rider, operator or system.", ["ended_by"])
TRIPS_CANCELLED = counter("trips_cancelled", "Trips cancelled.")
POSITIONS_STORED = counter("positions_stored", "Positions stored that were not there before.")
POSITIONS_REPEATED = counter("positions_repeated", "Valid positions that were there already, by bike and time.")

TOMBSTONES = counter("sweeper_tombstones", "Trip ids put to rest because their check-out has no trip.")
RELEASES = counter("sweeper_releases", "Bikes released by the sweeper: checked out without an active trip.")
CHECK_OUTS_AGAIN = counter("sweeper_check_outs_again", "Bikes of active trips that the sweeper checked out again.")
