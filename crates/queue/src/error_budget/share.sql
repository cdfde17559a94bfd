-- Writes one process' share of the error budget. The caller holds the lock.
WITH void AS (
    DELETE FROM syncline.error_budget_shares
    WHERE process_id <> $1 AND renewed_at < now() - make_interval(secs => $3)
),
others AS (
    SELECT
        coalesce(sum(permits), 0)::integer AS permits,
        count(*) FILTER (WHERE permits > 0 OR is_short)::integer AS processes,
        coalesce(bool_or(is_short), false) AS are_short
    FROM syncline.error_budget_shares
    WHERE process_id <> $1 AND renewed_at >= now() - make_interval(secs => $3)
),
granted AS (
    SELECT greatest(
        0,
        least(
            $2 - permits,
            CASE
                -- Others are short: the fair share, or what cannot be given back yet.
                WHEN are_short THEN greatest(least($4, $2 / (processes + 1)), least($5, $4), 1)
                ELSE $4
            END
        )
    ) AS permits
    FROM others
)
INSERT INTO syncline.error_budget_shares AS s (process_id, permits, is_short, renewed_at)
SELECT $1, permits, $6, now()
FROM granted
ON CONFLICT (process_id) DO UPDATE
SET permits = excluded.permits, is_short = excluded.is_short, renewed_at = excluded.renewed_at
RETURNING permits
