-- A job that is done, within the transaction of its effects, which passed the fence.
WITH gone AS (
    DELETE FROM syncline.jobs WHERE id = $1 RETURNING *
),
keys AS (
    DELETE FROM syncline.unique_keys k
    USING gone
    WHERE gone.is_unique_while_running
      AND k.kind = gone.kind
      AND k.unique_key = gone.unique_key
      AND k.job_id = gone.id
),
noted AS (
    INSERT INTO syncline.attempt_notes (job_id, started_at, finished_at, notes)
    SELECT id, started_at, now(), $3::text::json
    FROM gone
    WHERE $3::text IS NOT NULL
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, state, bucket, change
    FROM gone
    CROSS JOIN (
        VALUES ('running', to_timestamp(0), -1), ('completed', date_trunc('day', now(), 'UTC'), 1)
    ) AS moved (state, bucket, change)
)
INSERT INTO syncline.job_history (
    id, lane, kind, queue, priority, state, attempt, max_attempts, payload, result,
    organization_id, tags, worker_id, last_error, created_at, run_at, started_at, finished_at,
    parent_id, trace_context
)
SELECT
    id, lane, kind, queue, priority, 'completed', attempt, max_attempts, payload, $2,
    organization_id, tags, worker_id, last_error, created_at, run_at, started_at, now(),
    parent_id, trace_context
FROM gone
