-- Jobs that are done: out of the live table, into history.
WITH ended AS (
    SELECT *
    FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[])
        AS t (id, attempt, worker_id, epoch)
),
-- The fence.
held AS MATERIALIZED (
    SELECT j.id, ended.worker_id
    FROM ended
    JOIN syncline.jobs j ON j.id = ended.id AND j.attempt = ended.attempt
    JOIN syncline.lanes l
        ON l.lane = j.lane AND l.owner = ended.worker_id AND l.epoch = ended.epoch
    WHERE j.started_at IS NOT NULL
    FOR KEY SHARE OF l
),
gone AS (
    DELETE FROM syncline.jobs j
    USING held
    WHERE j.id = held.id
    RETURNING j.*, held.worker_id
)
INSERT INTO syncline.job_history (
    id, lane, kind, queue, priority, state, attempt, max_attempts, payload, organization_id,
    tags, worker_id, last_error, created_at, run_at, started_at, finished_at
)
SELECT
    id, lane, kind, queue, priority, 'completed', attempt, max_attempts, payload, organization_id,
    tags, worker_id, last_error, created_at, run_at, started_at, now()
FROM gone
RETURNING id
