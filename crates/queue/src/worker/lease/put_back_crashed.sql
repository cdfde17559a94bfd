-- Jobs whose worker died, with attempts left: tried again after a jittered, growing delay, so that a job
-- that kills its workers does not do so at full speed. The lanes are locked.
WITH crashed AS (
    SELECT j.id, j.kind, j.unique_key, j.attempt, j.started_at, l.owner
    FROM syncline.jobs j
    JOIN syncline.lanes l ON l.lane = j.lane
    WHERE j.lane = ANY ($1) AND j.started_at IS NOT NULL
    FOR UPDATE OF j
),
back AS (
    UPDATE syncline.jobs j
    SET started_at = NULL,
        run_at = now()
            + random() * make_interval(secs => least(900, power(2, least(j.attempt, 20)) - 1)),
        last_error = 'its worker ended without a word'
    FROM crashed
    WHERE j.id = crashed.id
),
keys AS (
    INSERT INTO syncline.unique_keys (kind, unique_key, job_id)
    SELECT kind, unique_key, id
    FROM crashed
    WHERE unique_key IS NOT NULL
    ORDER BY kind, unique_key
    ON CONFLICT (kind, unique_key) DO NOTHING
)
INSERT INTO syncline.job_attempts (
    job_id, attempt, worker_id, started_at, finished_at, outcome, error_class, message
)
SELECT
    id, attempt, owner, started_at, now(), 'crashed', 'crashed', 'its worker ended without a word'
FROM crashed
