-- The first due jobs of a lane that are not paused and of one of these queues, by priority, then by time.
-- A function because whoever claims a lane and whoever owns it ask the same; the planner puts its body in
-- the place of the call. `place` is the ctid.
--
-- Jobs of later times stand between those of one priority and the next in the index, so each priority in
-- the lane gets a look of its own: what waits for later costs nothing.
CREATE FUNCTION syncline.due_jobs(in_lane text, of_queues text[], at_most bigint)
RETURNS TABLE (
    id uuid, place tid, kind text, queue text, priority smallint, run_at timestamptz, limit_key text,
    unique_key text, is_unique_while_running boolean
)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE level AS (
        (SELECT j.priority FROM syncline.jobs j WHERE j.lane = in_lane ORDER BY j.priority LIMIT 1)
        UNION ALL
        SELECT further.priority
        FROM level
        CROSS JOIN LATERAL (
            SELECT j.priority
            FROM syncline.jobs j
            WHERE j.lane = in_lane AND j.priority > level.priority
            ORDER BY j.priority
            LIMIT 1
        ) AS further
    )
    SELECT first.*
    FROM level
    CROSS JOIN LATERAL (
        SELECT
            j.id, j.ctid, j.kind, j.queue, j.priority, j.run_at, j.limit_key, j.unique_key,
            j.is_unique_while_running
        FROM syncline.jobs j
        WHERE j.lane = in_lane
          AND j.priority = level.priority
          AND j.run_at <= now()
          AND j.started_at IS NULL
          AND j.queue = ANY (of_queues)
          AND NOT EXISTS (
              SELECT
              FROM syncline.pauses p
              WHERE (p.paused_until IS NULL OR p.paused_until > now())
                AND (
                    p.scope = 'everything'
                    OR (p.scope = 'queue' AND p.name = j.queue)
                    OR (p.scope = 'kind' AND p.name = j.kind)
                    OR (p.scope = 'lane' AND p.name = in_lane)
                )
          )
        ORDER BY j.run_at
        LIMIT at_most
    ) AS first
    ORDER BY first.priority, first.run_at, first.id
    LIMIT at_most
$$;
