"""The statements of `repositories` that are longer than their use: routes, distances, what is forgotten."""

from sqlalchemy import text

MEASURE = text("""
    WITH lengths AS MATERIALIZED (
        -- The version is of the same moment as the route: what arrives after it makes the trip stale again.
        SELECT trips.id, trips.route_version AS version, coalesce(sum(step), 0) AS metres
        FROM trips LEFT JOIN LATERAL (
            -- The first position has none before it, and no step.
            SELECT CASE WHEN lag(longitude) OVER path IS NOT NULL THEN
                great_circle_m(lag(longitude) OVER path, lag(latitude) OVER path, longitude, latitude)
            END AS step
            FROM positions
            WHERE positions.bike_id = trips.bike_id AND recorded_at >= trips.started_at
                AND recorded_at <= coalesce(trips.ended_at, 'infinity')
                -- Said once more with values, so that only the partitions of these days are looked at.
                AND recorded_at >= :since AND recorded_at <= coalesce(CAST(:until AS timestamptz), 'infinity')
            WINDOW path AS (ORDER BY recorded_at)
        ) AS steps ON true
        WHERE trips.id = ANY(CAST(:ids AS uuid[]))
        GROUP BY trips.id
    ), kept AS (
        UPDATE trips SET distance_m = lengths.metres, distance_version = lengths.version
        FROM lengths
        WHERE trips.id = lengths.id AND trips.distance_version <= lengths.version
            -- Locked in one order, so that two that measure the same trips cannot wait for each other.
            AND trips.id = ANY(ARRAY(
                SELECT id FROM trips WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE
            ))
    )
    SELECT id::text, version, metres FROM lengths
""")
ROUTE = text("""
    SELECT recorded_at, longitude, latitude FROM positions
    WHERE bike_id = :bike_id AND recorded_at >= :started_at
        AND recorded_at <= coalesce(CAST(:ended_at AS timestamptz), 'infinity')
    ORDER BY recorded_at
""")
LAST_POSITIONS = text("""
    SELECT span.trip_id::text, recorded_at, longitude, latitude
    FROM unnest(CAST(:trips AS uuid[]), CAST(:bikes AS uuid[]), CAST(:starts AS timestamptz[]))
        AS span (trip_id, bike_id, started_at)
    CROSS JOIN LATERAL (
        SELECT recorded_at, longitude, latitude FROM positions
        WHERE positions.bike_id = span.bike_id AND recorded_at >= span.started_at AND recorded_at <= :until
            -- So that only the partitions of these days are looked at.
            AND recorded_at >= :since
        ORDER BY recorded_at DESC LIMIT 1
    ) AS last
""")
TOUCH = text("""
    UPDATE trips SET route_version = route_version + 1
    WHERE id = ANY(ARRAY(
        SELECT trips.id
        FROM unnest(CAST(:ids AS uuid[]), CAST(:firsts AS timestamptz[]), CAST(:lasts AS timestamptz[]))
            AS new (bike_id, first, last)
        JOIN trips ON trips.bike_id = new.bike_id AND trips.status <> 'void'
            AND tstzrange(started_at, coalesce(ended_at, 'infinity'), '[]') && tstzrange(first, last, '[]')
            -- The routes of older trips are dropped, and their distances stand.
        WHERE CAST(:kept_since AS timestamptz) IS NULL OR started_at >= :kept_since
        ORDER BY trips.id FOR UPDATE OF trips
    ))
""")
FORGOTTEN = text("""
    SELECT id::text FROM trips
    WHERE status = 'active' AND started_at < :since AND NOT EXISTS (
        -- A clock far ahead must not keep its trip for ever.
        SELECT FROM positions WHERE positions.bike_id = trips.bike_id AND recorded_at BETWEEN :since AND now()
    )
    ORDER BY started_at LIMIT :limit
""")
