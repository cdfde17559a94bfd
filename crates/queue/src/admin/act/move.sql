-- Waiting jobs to another time or place in their lane's order; null leaves either as it is.
WITH chosen AS MATERIALIZED (
    SELECT id, run_at, attempt
    FROM syncline.jobs
    WHERE id = ANY ($1) AND started_at IS NULL
    ORDER BY id
    FOR NO KEY UPDATE
),
moved AS (
    UPDATE syncline.jobs j
    SET run_at = CASE WHEN $2 THEN now() ELSE coalesce($3, j.run_at) END,
        priority = coalesce($4, j.priority)
    FROM chosen
    WHERE j.id = chosen.id
    RETURNING j.id, j.lane, j.kind, j.queue, j.attempt, j.run_at, chosen.run_at AS run_before
),
-- Reading the jobs of an owned lane is its owner's business, once it lets go: the lock makes it wait.
told AS (
    INSERT INTO syncline.lanes AS l (lane, due_at, is_urgent)
    SELECT lane, min(run_at), bool_or(queue <> $5)
    FROM moved
    GROUP BY lane
    ORDER BY lane
    ON CONFLICT (lane) DO UPDATE
    SET due_at = least(
            coalesce(l.due_at, 'infinity'),
            greatest(excluded.due_at, coalesce(l.blocked_until, '-infinity'))
        ),
        is_urgent = l.is_urgent OR excluded.is_urgent
    WHERE l.owner IS NULL
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, state, bucket, sum(change)
    FROM (
        SELECT
            queue, kind, CASE WHEN attempt > 0 THEN 'retrying' ELSE 'waiting' END AS state,
            date_bin('1 minute', at, to_timestamp(0)) AS bucket, change
        FROM moved
        CROSS JOIN LATERAL (VALUES (run_before, -1), (run_at, 1)) AS t (at, change)
    ) AS changes
    GROUP BY queue, kind, state, bucket
    HAVING sum(change) <> 0
)
SELECT id FROM moved
