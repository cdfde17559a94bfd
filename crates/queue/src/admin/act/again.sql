-- Ended jobs, enqueued again as new ones. One whose unique key another pending job holds is not.
WITH wanted AS (
    SELECT *
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::boolean[])
        AS t (id, ended_id, unique_key, limit_key, is_unique_while_running)
),
keys AS (
    INSERT INTO syncline.unique_keys (kind, unique_key, job_id)
    SELECT DISTINCT ON (h.kind, wanted.unique_key) h.kind, wanted.unique_key, wanted.id
    FROM wanted
    JOIN syncline.job_history h ON h.id = wanted.ended_id
    WHERE wanted.unique_key IS NOT NULL
    ORDER BY h.kind, wanted.unique_key, wanted.id
    ON CONFLICT (kind, unique_key) DO NOTHING
    RETURNING job_id
),
added AS (
    INSERT INTO syncline.jobs (
        id, lane, kind, queue, priority, run_at, max_attempts, payload, unique_key, limit_key,
        organization_id, tags, is_unique_while_running, parent_id, trace_context
    )
    SELECT
        wanted.id, h.lane, h.kind, h.queue, h.priority, now(), h.max_attempts, h.payload,
        wanted.unique_key, wanted.limit_key, h.organization_id, h.tags,
        wanted.is_unique_while_running, h.id, h.trace_context
    FROM wanted
    JOIN syncline.job_history h ON h.id = wanted.ended_id
    WHERE wanted.unique_key IS NULL OR wanted.id IN (SELECT job_id FROM keys)
    RETURNING id, lane, kind, queue, run_at
),
-- As in `enqueue.sql`.
told AS (
    INSERT INTO syncline.lanes AS l (lane, due_at, is_urgent)
    SELECT lane, min(run_at), bool_or(queue <> $6)
    FROM added
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
    SELECT queue, kind, 'waiting', date_bin('1 minute', run_at, to_timestamp(0)), count(*)
    FROM added
    GROUP BY 1, 2, 4
)
SELECT id FROM added
