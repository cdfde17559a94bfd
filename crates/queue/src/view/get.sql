-- A job, wherever it stands.
SELECT
    lane AS "lane!", kind AS "kind!", queue AS "queue!", state AS "state!",
    attempt AS "attempt!", max_attempts AS "max_attempts!",
    run_at AS "run_at!", created_at AS "created_at!", started_at, finished_at, last_error,
    error_class, organization_id, parent_id, trace_context, result
FROM syncline.all_jobs
WHERE id = $1
LIMIT 1
