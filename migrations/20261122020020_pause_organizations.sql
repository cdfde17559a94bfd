-- An organization can be paused, too: the jobs of all its accounts, and those that have no account yet.
ALTER TABLE syncline.pauses DROP CONSTRAINT pauses_scope_known;
ALTER TABLE syncline.pauses ADD CONSTRAINT pauses_scope_known
    CHECK (scope IN ('everything', 'queue', 'kind', 'lane', 'organization'));

-- As before, with organizations among what may be paused.
CREATE OR REPLACE FUNCTION syncline.due_jobs(in_lane text, of_queues text[], at_most bigint)
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
                    OR (p.scope = 'organization' AND p.name = j.organization_id)
                )
          )
        ORDER BY j.run_at
        LIMIT at_most
    ) AS first
    ORDER BY first.priority, first.run_at, first.id
    LIMIT at_most
$$;
