WITH judged AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::uuid[],
        $9::text[], $10::text[]
    ) AS j (
        id, received_at, verdict, detail, duplicate_of, event, merge_account_id, account_id, job_ids, secret_id
    )
),
-- Seldom, and without touching the row else: who drains side by side must not wait for each other here.
used AS (
    INSERT INTO syncline.webhook_secrets AS known (id, first_used_at, last_used_at)
    SELECT secret_id, min(received_at), max(received_at)
    FROM judged
    GROUP BY secret_id
    HAVING NOT EXISTS (
        SELECT
        FROM syncline.webhook_secrets
        WHERE id = judged.secret_id
          AND last_used_at > max(judged.received_at) - interval '1 minute'
    )
    ORDER BY secret_id
    ON CONFLICT (id) DO UPDATE
    SET last_used_at = greatest(known.last_used_at, excluded.last_used_at)
)
UPDATE syncline.webhook_deliveries AS delivery
SET verdict = judged.verdict,
    verdict_detail = judged.detail,
    processed_at = clock_timestamp(),
    duplicate_of = judged.duplicate_of,
    event = judged.event,
    merge_account_id = judged.merge_account_id,
    account_id = judged.account_id,
    job_ids = judged.job_ids::uuid[]
FROM judged
WHERE delivery.id = judged.id
  AND delivery.received_at = judged.received_at
  AND delivery.received_at BETWEEN $11 AND $12 -- so that only their days are looked at
  AND delivery.verdict = 'received'
