"""The table of source against system, and the first differences."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from replay.comparison import Comparison

SHOWN = 10


def table(results: list[Comparison]) -> Table:
    """Rides, distinct points by bike and time, distance, rides that differ."""
    expected = {(each.outcome.bike_id, point.recorded_at) for each in results for point in each.outcome.expected}
    unsent = sum(len(each.outcome.ride.points) for each in results if not each.outcome.expected)
    stored = {(each.outcome.bike_id, point.recorded_at) for each in results for point in each.system_points}
    shown = Table(title="Source against system")
    shown.add_column("")
    shown.add_column("source", justify="right")
    shown.add_column("system", justify="right")
    shown.add_row("rides ended", f"{len(results):,}", f"{sum(each.ended for each in results):,}")
    shown.add_row("distinct points by bike and time", f"{len(expected) + unsent:,}", f"{len(stored):,}")
    source_km = sum(each.source_m for each in results) / 1000
    system_km = sum(each.system_m for each in results) / 1000
    shown.add_row("total distance, km", f"{source_km:,.3f}", f"{system_km:,.3f}")
    distances = sum(each.distance_differs for each in results)
    shown.add_row("rides over 1 % and 5 m off in distance", "", f"{distances:,}")
    shown.add_row("rides that differ in anything", "", f"{sum(bool(each.differences) for each in results):,}")
    return shown


def print_report(console: Console, results: list[Comparison]) -> bool:
    """Prints both; whether everything is the same."""
    console.print(table(results))
    differing = [each for each in results if each.differences]
    for each in differing[:SHOWN]:
        ride = each.outcome.ride
        said = "; ".join(each.differences)
        where = f"trip {each.outcome.trip_id} (ride {ride.trip} of bike {ride.bike})"
        console.print(f"[red]differs[/red] {escape(where)}: {escape(said)}", soft_wrap=True, highlight=False)
    if len(differing) > SHOWN:
        console.print(f"... and {len(differing) - SHOWN} more rides")
    console.print("[red]Something differs.[/red]" if differing else "[green]No difference.[/green]")
    return not differing
