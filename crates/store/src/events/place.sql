WITH waiting AS (
    SELECT id, sum(coalesce(cardinality(merge_ids), 1)) OVER (ORDER BY id) AS distance
    FROM (
        SELECT id, merge_ids
        FROM syncline.events
        WHERE last_position IS NULL
        ORDER BY id
        LIMIT $1
    ) AS oldest
),
placed AS (
    UPDATE syncline.events AS event
    SET last_position = feed.last_position + distance
    FROM waiting, syncline.event_feed AS feed
    WHERE event.id = waiting.id
)
UPDATE syncline.event_feed
SET last_position = last_position + (SELECT coalesce(max(distance), 0) FROM waiting)
RETURNING (SELECT count(*) FROM waiting) AS "placed!"
