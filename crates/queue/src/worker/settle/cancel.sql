-- Jobs that will never work: out of the live table, into history.
WITH ended AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[]
    ) AS t (id, attempt, worker_id, epoch, error_class, message)
),
gone AS (
    DELETE FROM syncline.jobs j
    USING ended
    -- The fence.
    WHERE j.id = ended.id
      AND j.attempt = ended.attempt
      AND j.worker_id = ended.worker_id
      AND j.epoch = ended.epoch
    RETURNING j.*, ended.error_class, ended.message
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
    FROM unnest($7::uuid[], $8::text[]) AS told (id, notes)
    JOIN gone ON gone.id = told.id
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, state, bucket, sign * jobs
    FROM (SELECT queue, kind, count(*) AS jobs FROM gone GROUP BY queue, kind) AS ended_jobs
    CROSS JOIN (
        VALUES ('running', to_timestamp(0), -1), ('cancelled', date_trunc('day', now(), 'UTC'), 1)
    ) AS moved (state, bucket, sign)
)
INSERT INTO syncline.job_history (
    id, lane, kind, queue, priority, state, attempt, max_attempts, payload, organization_id,
    tags, worker_id, error_class, last_error, created_at, run_at, started_at, finished_at,
    parent_id, trace_context
)
SELECT
    id, lane, kind, queue, priority, 'cancelled', attempt, max_attempts, payload, organization_id,
    tags, worker_id, error_class, message, created_at, run_at, started_at, now(),
    parent_id, trace_context
FROM gone
RETURNING id
