UPDATE syncline.webhook_endpoints
SET failures = failures + 1,
    failing_since = coalesce(failing_since, now()),
    last_status = $2,
    last_error = $3,
    retry_at = now() + make_interval(secs => $4),
    retry_job_id = $7,
    disabled_at = CASE WHEN $5 OR has_failed_long THEN now() END,
    disabled_reason = CASE WHEN $5 THEN 'gone' WHEN has_failed_long THEN 'failing' END
FROM (
    SELECT failing_since < now() - make_interval(secs => $6) AS has_failed_long
    FROM syncline.webhook_endpoints
    WHERE id = $1
    -- Whoever changes it meanwhile comes first.
    FOR NO KEY UPDATE
) AS before
WHERE id = $1
  AND disabled_at IS NULL
RETURNING disabled_reason AS "disabled_reason: DisabledReason"
