-- Groups of dead jobs, each with its newest job and what somebody said about it.
SELECT
    g.fingerprint AS "fingerprint!", g.jobs AS "jobs!", g.lanes AS "lanes!", g.last_seen_at AS "last_seen_at!",
    least(g.first_seen_at, said.first_seen_at) AS "first_seen_at!",
    newest.id AS "newest!", newest.kind AS "kind!", newest.error_class AS "error_class!", newest.http_status,
    left(newest.last_error, 2000) AS "message!",
    said.resolved_at AS "resolved_at?", said.resolved_by AS "resolved_by?", said.reason AS "reason?"
FROM (
    SELECT
        fingerprint, count(*) AS jobs, count(DISTINCT lane) AS lanes, min(finished_at) AS first_seen_at,
        max(finished_at) AS last_seen_at
    FROM syncline.dead_jobs
    WHERE $1::text IS NULL OR fingerprint = $1
    GROUP BY fingerprint
    ORDER BY last_seen_at DESC, fingerprint
    LIMIT $2
) AS g
CROSS JOIN LATERAL (
    SELECT id, kind, error_class, http_status, last_error
    FROM syncline.dead_jobs d
    WHERE d.fingerprint = g.fingerprint
    ORDER BY id DESC
    LIMIT 1
) AS newest
LEFT JOIN syncline.dead_groups said ON said.fingerprint = g.fingerprint
ORDER BY g.last_seen_at DESC, g.fingerprint
