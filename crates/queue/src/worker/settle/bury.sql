-- Jobs whose last attempt failed: out of the live table, to the dead.
WITH ended AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::smallint[]
    ) AS t (id, attempt, worker_id, epoch, error_class, message, http_status)
),
-- The fence.
held AS MATERIALIZED (
    SELECT j.id, ended.worker_id, ended.error_class, ended.message, ended.http_status
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
    RETURNING j.*, held.worker_id, held.error_class, held.message, held.http_status
)
INSERT INTO syncline.dead_jobs (
    id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key,
    organization_id, tags, worker_id, error_class, last_error, http_status,
    created_at, run_at, started_at, finished_at
)
SELECT
    id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key,
    organization_id, tags, worker_id, error_class, message, http_status,
    created_at, run_at, started_at, now()
FROM gone
RETURNING id
