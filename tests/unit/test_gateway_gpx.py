import gpxpy
import pytest

from gateway_service.gpx import gpx_of


def feature(coordinates: list, recorded_at: list) -> dict:
    geometry = {"type": "LineString", "coordinates": coordinates} if coordinates else None
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"trip_id": "the trip", "bike_id": "the bike", "recorded_at": recorded_at},
    }


def test_each_position_is_a_track_point():
    times = ["2026-05-01T12:00:00.000005Z", "2026-05-01T12:00:01Z"]
    text = gpx_of(feature([[5.5, 50.25], [5.6, 50.35]], times))
    assert 'xmlns="http://www.topografix.com/GPX/1/1"' in text
    assert 'version="1.1"' in text
    document = gpxpy.parse(text)
    (track,) = document.tracks
    assert track.name == "the trip"
    points = track.segments[0].points
    assert [(point.longitude, point.latitude) for point in points] == [(5.5, 50.25), (5.6, 50.35)]
    assert f"<time>{times[0]}</time>" in text
    assert f"<time>{times[1]}</time>" in text


def test_no_positions_are_an_empty_track():
    document = gpxpy.parse(gpx_of(feature([], [])))
    assert document.tracks[0].segments[0].points == []


def test_a_place_without_a_time_is_a_defect():
    with pytest.raises(ValueError, match="shorter"):
        gpx_of(feature([[5.5, 50.25], [5.6, 50.35]], ["2026-05-01T12:00:00Z"]))
