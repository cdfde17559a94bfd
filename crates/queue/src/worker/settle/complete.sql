-- Jobs that are done: out of the live table, into history.
WITH ended AS (
    SELECT *
    FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[])
        AS t (id, attempt, worker_id, epoch)
),
gone AS (
    DELETE FROM syncline.jobs j
    USING ended
    -- The fence.
    WHERE j.id = ended.id
      AND j.attempt = ended.attempt
      AND j.worker_id = ended.worker_id
      AND j.epoch = ended.epoch
    RETURNING j.*
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
