-- The first due jobs of each lane. Jobs of later times stand between those of one priority and the next in
-- the index, so each priority in the lane gets a look of its own: what waits for later costs nothing.
SELECT
    job.id AS "id!", job.place AS "place!: Place", ours.lane AS "lane!", job.kind AS "kind!",
    job.queue AS "queue!", job.priority AS "priority!", job.run_at AS "run_at!", job.limit_key,
    CASE WHEN NOT job.is_unique_while_running THEN job.unique_key END AS unique_key
FROM unnest($1::text[], $2::bigint[]) AS ours (lane, at_most)
CROSS JOIN LATERAL (
    WITH RECURSIVE level AS (
        (SELECT priority FROM syncline.jobs WHERE lane = ours.lane ORDER BY priority LIMIT 1)
        UNION ALL
        SELECT further.priority
        FROM level
        CROSS JOIN LATERAL (
            SELECT priority
            FROM syncline.jobs
            WHERE lane = ours.lane AND priority > level.priority
            ORDER BY priority
            LIMIT 1
        ) AS further
    )
    SELECT first.*
    FROM level
    CROSS JOIN LATERAL (
        SELECT
            id, ctid AS place, kind, queue, limit_key, unique_key, is_unique_while_running, priority,
            run_at
        FROM syncline.jobs
        WHERE lane = ours.lane
          AND priority = level.priority
          AND run_at <= now()
          AND started_at IS NULL
          AND queue = ANY ($3)
          AND NOT EXISTS (
              SELECT
              FROM syncline.pauses p
              WHERE (p.paused_until IS NULL OR p.paused_until > now())
                AND (
                    p.scope = 'everything'
                    OR (p.scope = 'queue' AND p.name = jobs.queue)
                    OR (p.scope = 'kind' AND p.name = jobs.kind)
                    OR (p.scope = 'lane' AND p.name = ours.lane)
                )
          )
        ORDER BY run_at
        LIMIT ours.at_most
    ) AS first
    ORDER BY priority, run_at, id
    LIMIT ours.at_most
) AS job
