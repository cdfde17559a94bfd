-- Waiting jobs out of the live table, into history as cancelled, or without a trace. Their unique keys
-- were locked by the statement before, so none of those can start meanwhile and come back with a new row.
WITH chosen AS MATERIALIZED (
    SELECT id
    FROM syncline.jobs
    WHERE id = ANY ($1) AND started_at IS NULL
    ORDER BY id
    FOR UPDATE
),
gone AS (
    DELETE FROM syncline.jobs j USING chosen WHERE j.id = chosen.id RETURNING j.*
),
freed AS (
    DELETE FROM syncline.unique_keys k
    USING gone
    WHERE k.kind = gone.kind AND k.unique_key = gone.unique_key AND k.job_id = gone.id
),
forgotten AS (
    DELETE FROM syncline.cancellations c USING gone WHERE c.job_id = gone.id
),
kept AS (
    INSERT INTO syncline.job_history (
        id, lane, kind, queue, priority, state, attempt, max_attempts, payload, organization_id,
        tags, error_class, last_error, created_at, run_at, finished_at, parent_id, trace_context
    )
    SELECT
        id, lane, kind, queue, priority, 'cancelled', attempt, max_attempts, payload, organization_id,
        tags, 'cancelled', $2, created_at, run_at, now(), parent_id, trace_context
    FROM gone
    WHERE $2::text IS NOT NULL
    RETURNING kind, queue, finished_at
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT
        queue, kind, CASE WHEN attempt > 0 THEN 'retrying' ELSE 'waiting' END,
        date_bin('1 minute', run_at, to_timestamp(0)), -count(*)
    FROM gone
    GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT queue, kind, 'cancelled', date_trunc('day', finished_at, 'UTC'), count(*)
    FROM kept
    GROUP BY 1, 2, 4
)
SELECT id FROM gone
