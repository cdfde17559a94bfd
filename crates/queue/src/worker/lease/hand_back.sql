-- Jobs of a worker that run nowhere are handed back, each with its attempt.
WITH back AS (
    UPDATE syncline.jobs j
    SET started_at = NULL, worker_id = NULL, epoch = NULL, attempt = j.attempt - 1
    FROM syncline.lanes l
    WHERE l.owner = $1
      AND j.lane = l.lane
      AND j.started_at IS NOT NULL
      AND NOT j.id = ANY ($2)
    RETURNING j.id, j.kind, j.queue, j.attempt, j.run_at, j.unique_key, j.is_unique_while_running
),
keys AS (
    INSERT INTO syncline.unique_keys (kind, unique_key, job_id)
    SELECT kind, unique_key, id
    FROM back
    WHERE unique_key IS NOT NULL AND NOT is_unique_while_running
    ORDER BY kind, unique_key
    ON CONFLICT (kind, unique_key) DO NOTHING
)
INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
SELECT queue, kind, 'running', to_timestamp(0), -count(*)
FROM back
GROUP BY queue, kind
UNION ALL
SELECT
    queue, kind,
    CASE WHEN attempt > 0 THEN 'retrying' ELSE 'waiting' END,
    date_bin('1 minute', run_at, to_timestamp(0)),
    count(*)
FROM back
GROUP BY 1, 2, 3, 4
