-- Jobs that are done: out of the live table, into history.
WITH ended AS (
    SELECT *
    FROM unnest($1::tid[], $2::uuid[], $3::smallint[], $4::uuid[], $5::bigint[])
        AS t (place, id, attempt, worker_id, epoch)
),
gone AS (
    DELETE FROM syncline.jobs j
    USING ended
    -- The fence, at the place where the row was last seen.
    WHERE j.ctid = ended.place
      AND j.id = ended.id
      AND j.attempt = ended.attempt
      AND j.worker_id = ended.worker_id
      AND j.epoch = ended.epoch
    RETURNING j.*
),
keys AS (
    DELETE FROM syncline.unique_keys k
    USING unnest($6::uuid[], $7::text[], $8::text[]) AS held (id, kind, unique_key)
    WHERE k.kind = held.kind
      AND k.unique_key = held.unique_key
      AND k.job_id = held.id
      AND held.id IN (SELECT id FROM gone)
),
noted AS (
    INSERT INTO syncline.attempt_notes (job_id, started_at, finished_at, notes)
    SELECT gone.id, gone.started_at, now(), notes::json
    FROM unnest($9::uuid[], $10::text[]) AS told (id, notes)
    JOIN gone ON gone.id = told.id
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, state, bucket, sign * jobs
    FROM (SELECT queue, kind, count(*) AS jobs FROM gone GROUP BY queue, kind) AS ended_jobs
    CROSS JOIN (
        VALUES ('running', to_timestamp(0), -1), ('completed', date_trunc('day', now(), 'UTC'), 1)
    ) AS moved (state, bucket, sign)
)
INSERT INTO syncline.job_history (
    id, lane, kind, queue, priority, state, attempt, max_attempts, payload, organization_id,
    tags, worker_id, last_error, created_at, run_at, started_at, finished_at, parent_id,
    trace_context
)
SELECT
    id, lane, kind, queue, priority, 'completed', attempt, max_attempts, payload, organization_id,
    tags, worker_id, last_error, created_at, run_at, started_at, now(), parent_id, trace_context
FROM gone
RETURNING id
