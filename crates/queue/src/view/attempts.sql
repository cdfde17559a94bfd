-- The failed attempts of a job: those that did not end it, and the one that did. A dead job that was
-- retried counts its attempts from one again, so their time tells the order.
SELECT
    attempt AS "attempt!", worker_id, started_at AS "started_at!", finished_at AS "finished_at!",
    outcome AS "outcome!", error_class AS "error_class!", message AS "message!", http_status
FROM syncline.job_attempts
WHERE job_id = $1
UNION ALL
SELECT
    attempt, worker_id, started_at, finished_at, 'dead', error_class, last_error, http_status
FROM syncline.dead_jobs
WHERE id = $1 AND started_at IS NOT NULL
UNION ALL
SELECT
    attempt, worker_id, started_at, finished_at, 'cancelled',
    coalesce(error_class, ''), coalesce(last_error, ''), NULL
FROM syncline.job_history
WHERE id = $1 AND state = 'cancelled' AND started_at IS NOT NULL
ORDER BY "started_at!", "finished_at!"
