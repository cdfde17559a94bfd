-- Jobs whose last attempt failed: out of the live table, to the dead.
WITH ended AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::smallint[]
    ) AS t (id, attempt, worker_id, epoch, error_class, message, http_status)
),
gone AS (
    DELETE FROM syncline.jobs j
    USING ended
    -- The fence.
    WHERE j.id = ended.id
      AND j.attempt = ended.attempt
      AND j.worker_id = ended.worker_id
      AND j.epoch = ended.epoch
    RETURNING j.*, ended.error_class, ended.message, ended.http_status
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
    SELECT gone.id, gone.started_at, now(), notes::json
    FROM unnest($8::uuid[], $9::text[]) AS told (id, notes)
    JOIN gone ON gone.id = told.id
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, state, to_timestamp(0), sign * jobs
    FROM (SELECT queue, kind, count(*) AS jobs FROM gone GROUP BY queue, kind) AS ended_jobs
    CROSS JOIN (VALUES ('running', -1), ('dead', 1)) AS moved (state, sign)
)
INSERT INTO syncline.dead_jobs (
    id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key,
    organization_id, tags, worker_id, error_class, last_error, http_status,
    created_at, run_at, started_at, finished_at, is_unique_while_running, parent_id, trace_context
)
SELECT
    id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key,
    organization_id, tags, worker_id, error_class, message, http_status,
    created_at, run_at, started_at, now(), is_unique_while_running, parent_id, trace_context
FROM gone
RETURNING id
