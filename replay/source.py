"""Reads a file of recorded rides: gzipped CSV of `trip,bike,recorded_at,longitude,latitude`."""

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

HEADER = ["trip", "bike", "recorded_at", "longitude", "latitude"]
EPOCH = datetime(1970, 1, 1)
NAME = re.compile(r"[!-~]{1,100}")
TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?", re.ASCII)


class SourceError(Exception):
    """The file cannot be replayed; the text says why, with the line where there is one."""


class Point(NamedTuple):
    """A recorded position: nanoseconds of local time since 1970, degrees."""

    time_ns: int
    longitude: float
    latitude: float


@dataclass
class Ride:
    """One trip of the file; `reports` in time order (those of one time in file order), `began_ns` its first time."""

    trip: str
    bike: str
    began_ns: int
    reports: list[Point] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        """The distinct points in time order: of several with one time, the first in the file."""
        first: dict[int, Point] = {}
        for point in self.reports:
            first.setdefault(point.time_ns, point)
        return list(first.values())

    @property
    def span_s(self) -> float:
        return (self.reports[-1].time_ns - self.reports[0].time_ns) / 1e9 if self.reports else 0.0


def load(path: Path, limit: int | None = None) -> list[Ride]:
    """The first `limit` rides of the file (all when None), in the order in which they first appear.

    Raises SourceError for a file that is missing, no gzip, or not in the format.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            return parse(lines, limit)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file; DATA (--data) names a .csv.gz of rides") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(f"{path}: not a whole gzip file ({error})") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not text in UTF-8 ({error.reason})") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error


def parse(lines: Iterable[str], limit: int | None = None) -> list[Ride]:
    """As `load`, from the lines of the unpacked file."""
    rides: dict[str, Ride] = {}
    owners: dict[tuple[str, int], str] = {}
    for number, (trip, bike, point) in _rows(lines):
        ride = rides.get(trip)
        if ride is None:
            if limit is not None and len(rides) >= limit:
                continue
            ride = rides[trip] = Ride(trip, bike, point.time_ns)
        if ride.bike != bike:
            raise SourceError(f"line {number}: trip {trip} is of bike {ride.bike} above and of bike {bike} here")
        ride.began_ns = min(ride.began_ns, point.time_ns)
        # each ride is shifted by itself, so a time that a bike shares between two rides would no longer look repeated
        if owners.setdefault((bike, point.time_ns), trip) == trip:
            ride.reports.append(point)
    if not rides:
        raise SourceError("holds no rides")
    for ride in rides.values():
        ride.reports.sort(key=lambda point: point.time_ns)
    return list(rides.values())


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, tuple[str, str, Point]]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None)
        if header != HEADER:
            raise SourceError(f"the first line must be {','.join(HEADER)}")
        for row in reader:
            try:
                yield reader.line_num, _row(row)
            except ValueError as error:
                raise SourceError(f"line {reader.line_num}: {error}") from error
    except csv.Error as error:
        raise SourceError(f"line {reader.line_num}: {error}") from error


def _row(row: list[str]) -> tuple[str, str, Point]:
    if len(row) != len(HEADER):
        raise ValueError(f"{len(row)} columns instead of {len(HEADER)}")
    trip, bike, recorded_at, longitude, latitude = row
    if not NAME.fullmatch(trip) or not NAME.fullmatch(bike):
        raise ValueError("trip and bike must each be 1 to 100 visible ASCII characters")
    point = Point(parse_time(recorded_at), _degrees(longitude, 180), _degrees(latitude, 90))
    return trip, bike, point


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of a local naive time such as `2018-06-28 14:09:32.585999966`; raises ValueError."""
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no local time such as 2018-06-28 14:09:32")
    day, clock, fraction = match.groups()
    elapsed = datetime.fromisoformat(f"{day} {clock}") - EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def _degrees(text: str, limit: int) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None
    if not -limit <= value <= limit:
        raise ValueError(f"{text} is not within -{limit} and {limit} degrees")
    return value
