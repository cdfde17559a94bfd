-- Jobs whose worker died, with attempts left: tried again after a jittered, growing delay, so that a job
-- that kills its workers does not do so at full speed. The lanes and the jobs are locked.
WITH crashed AS (
    SELECT id, worker_id, started_at
    FROM syncline.jobs
    WHERE id = ANY ($1)
),
back AS (
    UPDATE syncline.jobs j
    SET started_at = NULL,
        worker_id = NULL,
        epoch = NULL,
        run_at = now()
            + random() * make_interval(secs => least(900, power(2, least(j.attempt, 20)) - 1)),
        last_error = 'its worker ended without a word'
    FROM crashed
    WHERE j.id = crashed.id
    RETURNING
        j.id, j.kind, j.queue, j.run_at, j.attempt, j.unique_key, j.is_unique_while_running,
        crashed.worker_id, crashed.started_at
),
keys AS (
    INSERT INTO syncline.unique_keys (kind, unique_key, job_id)
    SELECT kind, unique_key, id
    FROM back
    WHERE unique_key IS NOT NULL AND NOT is_unique_while_running
    ORDER BY kind, unique_key
    ON CONFLICT (kind, unique_key) DO NOTHING
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, 'running', to_timestamp(0), -count(*)
    FROM back
    GROUP BY queue, kind
    UNION ALL
    SELECT queue, kind, 'retrying', date_bin('1 minute', run_at, to_timestamp(0)), count(*)
    FROM back
    GROUP BY 1, 2, 4
)
INSERT INTO syncline.job_attempts (
    job_id, attempt, worker_id, started_at, finished_at, outcome, error_class, message
)
SELECT
    id, attempt, worker_id, started_at, now(), 'crashed', 'crashed',
    'its worker ended without a word'
FROM back
