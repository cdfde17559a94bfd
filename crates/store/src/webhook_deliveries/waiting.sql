-- What waits in a shard, oldest first, as long as it is not too much at once.
WITH first AS (
    SELECT
        id, received_at, body_hash, body_sealed, body_key_id, secret_id, replays, trace_context,
        sum(octet_length(body_sealed)) OVER (ORDER BY id) - octet_length(body_sealed) AS bytes_before
    FROM (
        SELECT id, received_at, body_hash, body_sealed, body_key_id, secret_id, replays, trace_context
        FROM syncline.webhook_deliveries
        WHERE shard = $1
          AND verdict = 'received'
        ORDER BY id
        LIMIT $2
    ) AS oldest
),
-- One look at each day's index for all of them.
twins AS (
    SELECT DISTINCT ON (body_hash) body_hash, id, account_id
    FROM syncline.webhook_deliveries
    WHERE body_hash = ANY (ARRAY(SELECT body_hash FROM first))
      AND verdict = 'processed'
    ORDER BY body_hash, id DESC
)
SELECT
    first.id AS "id: DeliveryId",
    first.received_at,
    first.body_hash,
    first.body_sealed,
    first.body_key_id,
    first.secret_id,
    first.trace_context,
    first.replays > 0 AS "is_replay!",
    twins.id AS "twin_id?: DeliveryId",
    twins.account_id AS "twin_account_id: AccountId"
FROM first
LEFT JOIN twins USING (body_hash)
WHERE bytes_before < $3
ORDER BY first.id
