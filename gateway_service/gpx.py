"""A trip's route as GPX 1.1."""

from typing import Any

from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment

from shared.fields import parse_time

MEDIA_TYPE = "application/gpx+xml"


def gpx_of(feature: dict[str, Any]) -> str:
    """The Feature of `TripService.route` as one track with one segment."""
    properties = feature["properties"]
    segment = GPXTrackSegment()
    coordinates = (feature["geometry"] or {}).get("coordinates", [])
    for (longitude, latitude), recorded_at in zip(coordinates, properties["recorded_at"], strict=True):
        segment.points.append(GPXTrackPoint(latitude, longitude, time=parse_time(recorded_at)))
    document = GPX()
    document.creator = "bike-company"
    document.tracks.append(GPXTrack(name=properties["trip_id"]))
    document.tracks[0].segments.append(segment)
    return str(document.to_xml(version="1.1"))
