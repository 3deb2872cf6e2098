"""The stations at which bikes stand: those of ValleyBike, with their docks."""

import csv
from pathlib import Path
from typing import NamedTuple

from replay.fleet import Place

DEFAULT = Path(__file__).parents[1] / "replay" / "data" / "valleybike" / "stations.csv"


class Station(NamedTuple):
    number: str
    name: str
    place: Place
    docks: int


def load(path: Path = DEFAULT) -> list[Station]:
    """The stations in the file's order. Raises OSError, and ValueError or KeyError for a file of another form."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [
            Station(
                row["serial_num"], row["name"], (float(row["longitude"]), float(row["latitude"])), int(row["docks"])
            )
            for row in csv.DictReader(lines, strict=True)
        ]
