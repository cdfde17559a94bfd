-- The failed attempts of a job: those that did not end it, and the one that did.
SELECT
    attempt AS "attempt!", started_at AS "started_at!", finished_at AS "finished_at!",
    outcome AS "outcome!", error_class AS "error_class!", message AS "message!", http_status
FROM syncline.job_attempts
WHERE job_id = $1
UNION ALL
SELECT attempt, started_at, finished_at, 'dead', error_class, last_error, http_status
FROM syncline.dead_jobs
WHERE id = $1 AND started_at IS NOT NULL
UNION ALL
SELECT attempt, started_at, finished_at, 'cancelled', error_class, last_error, NULL
FROM syncline.job_history
WHERE id = $1 AND state = 'cancelled' AND started_at IS NOT NULL
ORDER BY "attempt!"
