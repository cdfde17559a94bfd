-- Jobs whose worker died during their last attempt. The lanes are locked.
WITH gone AS (
    DELETE FROM syncline.jobs j
    USING syncline.lanes l
    WHERE j.lane = ANY ($1)
      AND l.lane = j.lane
      AND j.started_at IS NOT NULL
      AND j.attempt >= j.max_attempts
    RETURNING j.*, l.owner
)
INSERT INTO syncline.dead_jobs (
    id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key,
    organization_id, tags, worker_id, error_class, last_error,
    created_at, run_at, started_at, finished_at
)
SELECT
    id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key,
    organization_id, tags, owner, 'crashed', 'its worker ended without a word',
    created_at, run_at, started_at, now()
FROM gone
