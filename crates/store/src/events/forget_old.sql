WITH oldest AS (
    -- Ids are nearly in the order of time. What has no place yet was read by nobody.
    SELECT id, occurred_at
    FROM syncline.events
    WHERE last_position IS NOT NULL
    ORDER BY last_position
    LIMIT $2
),
forgotten AS (
    DELETE FROM syncline.events
    WHERE id IN (
        SELECT id
        FROM oldest
        WHERE occurred_at < now() - make_interval(secs => $1)
    )
    RETURNING last_position
),
remembered AS (
    UPDATE syncline.event_feed
    SET forgotten_through = greatest(forgotten_through, newest)
    FROM (SELECT max(last_position) AS newest FROM forgotten) AS gone
    WHERE newest IS NOT NULL
)
SELECT count(*) AS "forgotten!"
FROM forgotten
