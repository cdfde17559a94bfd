-- A job, wherever it stands.
SELECT
    lane AS "lane!", kind AS "kind!", queue AS "queue!",
    CASE
        WHEN started_at IS NOT NULL THEN 'running'
        WHEN attempt > 0 OR last_error IS NOT NULL THEN 'retryable'
        WHEN run_at > now() THEN 'scheduled'
        ELSE 'available'
    END AS "state!",
    attempt AS "attempt!", max_attempts AS "max_attempts!",
    run_at AS "run_at!", created_at AS "created_at!", started_at,
    NULL::timestamptz AS finished_at, last_error, NULL::text AS error_class,
    organization_id, NULL::jsonb AS result
FROM syncline.jobs
WHERE id = $1
UNION ALL
SELECT
    lane, kind, queue, state, attempt, max_attempts, run_at, created_at, started_at,
    finished_at, last_error, error_class, organization_id, result
FROM syncline.job_history
WHERE id = $1
UNION ALL
SELECT
    lane, kind, queue, 'dead', attempt, max_attempts, run_at, created_at, started_at,
    finished_at, last_error, error_class, organization_id, NULL
FROM syncline.dead_jobs
WHERE id = $1
LIMIT 1
