-- What stands between a waiting job and its start. One row, when it still waits.
SELECT
    j.lane AS "lane!", j.kind AS "kind!", j.queue AS "queue!", j.attempt AS "attempt!", j.run_at AS "run_at!",
    j.last_error,
    now() AS "now!",
    pause.scope AS "pause_scope?", pause.name AS "pause_name?", pause.paused_by AS "paused_by?",
    pause.reason AS "pause_reason?", pause.paused_until AS "paused_until?",
    lane.owner AS "owner?", nullif(lane.due_at, 'infinity') AS "due_at?",
    nullif(lane.blocked_until, 'infinity') AS "blocked_until?",
    lane.blocked_reason AS "blocked_reason?",
    owner.state AS "owner_state?", owner.wanted AS "owner_wanted?", owner.host AS "owner_host?",
    owner.pid AS "owner_pid?", owner.lease_until AS "lease_until?",
    coalesce((owner.slots ->> j.queue)::integer, 0) > 0 AS "is_served_by_owner!",
    EXISTS (
        SELECT
        FROM syncline.workers
        WHERE state = 'running' AND lease_until > now() AND wanted IS NULL
    ) AS "is_any_worker!",
    EXISTS (
        SELECT
        FROM syncline.workers
        WHERE state = 'running' AND lease_until > now() AND wanted IS NULL
          AND coalesce((slots ->> j.queue)::integer, 0) > 0
    ) AS "is_queue_served!",
    (
        SELECT id
        FROM syncline.jobs other
        WHERE other.lane = j.lane AND other.limit_key = j.limit_key AND other.started_at IS NOT NULL
        LIMIT 1
    ) AS same_limit_key,
    j.limit_key,
    (
        SELECT job_id
        FROM syncline.unique_keys k
        WHERE k.kind = j.kind AND k.unique_key = j.unique_key AND k.job_id <> j.id
    ) AS same_unique_key,
    running.id AS "running_id?", running.jobs AS "running_jobs?",
    -- Counted no further than people care.
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM syncline.jobs other
            WHERE other.lane = j.lane
              AND (other.priority, other.run_at) < (j.priority, j.run_at)
              AND other.run_at <= now()
              AND other.started_at IS NULL
            LIMIT 1000
        ) AS first
    ) AS "jobs_before!",
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM syncline.lanes other
            WHERE other.owner IS NULL AND other.due_at < lane.due_at
            LIMIT 1000
        ) AS first
    ) AS "lanes_before!"
FROM syncline.jobs j
LEFT JOIN syncline.lanes lane ON lane.lane = j.lane
LEFT JOIN syncline.workers owner ON owner.id = lane.owner
LEFT JOIN LATERAL (
    SELECT min(id::text)::uuid AS id, count(*) AS jobs
    FROM (
        SELECT id FROM syncline.jobs other WHERE other.lane = j.lane AND other.started_at IS NOT NULL LIMIT 100
    ) AS looked_at
) AS running ON true
LEFT JOIN LATERAL (
    SELECT *
    FROM syncline.pauses
    WHERE (paused_until IS NULL OR paused_until > now())
      AND (
          scope = 'everything'
          OR (scope = 'queue' AND name = j.queue)
          OR (scope = 'kind' AND name = j.kind)
          OR (scope = 'lane' AND name = j.lane)
          OR (scope = 'organization' AND name = j.organization_id)
      )
    -- The one that holds longest.
    ORDER BY paused_until DESC NULLS FIRST, scope
    LIMIT 1
) AS pause ON true
WHERE j.id = $1 AND j.started_at IS NULL
