-- Groups of dead jobs, each with its newest job and what somebody said about it.
SELECT
    g.fingerprint AS "fingerprint!", g.jobs AS "jobs!", g.lanes AS "lanes!", g.last_died_at AS "last_seen_at!",
    least(g.first_died_at, said.first_seen_at) AS "first_seen_at!",
    newest.id AS "newest!", newest.kind AS "kind!", newest.error_class AS "error_class!", newest.http_status,
    left(newest.last_error, 2000) AS "message!",
    said.resolved_at AS "resolved_at?", said.resolved_by AS "resolved_by?", said.reason AS "reason?"
FROM (
    SELECT *
    FROM syncline.dead_group_totals
    WHERE ($1::text IS NULL OR fingerprint = $1)
      AND jobs > 0
      AND last_died_at IS NOT NULL
    ORDER BY last_died_at DESC, fingerprint
    LIMIT $2
) AS g
-- It may have gone since they were counted.
CROSS JOIN LATERAL (
    SELECT id, kind, error_class, http_status, last_error
    FROM syncline.dead_jobs d
    WHERE d.fingerprint = g.fingerprint
    ORDER BY id DESC
    LIMIT 1
) AS newest
LEFT JOIN syncline.dead_groups said ON said.fingerprint = g.fingerprint
ORDER BY g.last_died_at DESC, g.fingerprint
