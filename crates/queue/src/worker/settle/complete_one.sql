-- A job that is done, within the transaction of its effects, which passed the fence.
WITH gone AS (
    DELETE FROM syncline.jobs WHERE id = $1 RETURNING *
)
INSERT INTO syncline.job_history (
    id, lane, kind, queue, priority, state, attempt, max_attempts, payload, result,
    organization_id, tags, worker_id, last_error, created_at, run_at, started_at, finished_at
)
SELECT
    id, lane, kind, queue, priority, 'completed', attempt, max_attempts, payload, $2,
    organization_id, tags, $3, last_error, created_at, run_at, started_at, now()
FROM gone
