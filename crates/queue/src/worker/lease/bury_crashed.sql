-- Jobs whose worker died during their last attempt. The lanes and the jobs are locked.
WITH gone AS (
    DELETE FROM syncline.jobs
    WHERE id = ANY ($1) AND attempt >= max_attempts
    RETURNING *
),
keys AS (
    DELETE FROM syncline.unique_keys k
    USING gone
    WHERE gone.is_unique_while_running
      AND k.kind = gone.kind
      AND k.unique_key = gone.unique_key
      AND k.job_id = gone.id
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, state, to_timestamp(0), sign * jobs
    FROM (SELECT queue, kind, count(*) AS jobs FROM gone GROUP BY queue, kind) AS ended_jobs
    CROSS JOIN (VALUES ('running', -1), ('dead', 1)) AS moved (state, sign)
)
INSERT INTO syncline.dead_jobs (
    id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key,
    organization_id, tags, worker_id, error_class, last_error,
    created_at, run_at, started_at, finished_at, is_unique_while_running, parent_id, trace_context
)
SELECT
    id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key,
    organization_id, tags, worker_id, 'crashed', 'its worker ended without a word',
    created_at, run_at, started_at, now(), is_unique_while_running, parent_id, trace_context
FROM gone
