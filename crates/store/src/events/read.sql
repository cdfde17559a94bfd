SELECT
    last_position - coalesce(cardinality(merge_ids), 1) + ordinal AS "position!",
    type AS "event_type: EventType",
    organization_id,
    account_id AS "account_id: AccountId",
    model_id,
    merge_id,
    detail,
    occurred_at
FROM syncline.events
-- A row about records is an event for each; any other is one by itself.
CROSS JOIN LATERAL unnest(coalesce(merge_ids, '{null}')) WITH ORDINALITY AS told (merge_id, ordinal)
WHERE last_position > $1
  AND last_position <= $2
  AND last_position - coalesce(cardinality(merge_ids), 1) + ordinal > $1
  AND ($3::text IS NULL OR organization_id = $3)
  AND ($4::text[] IS NULL OR type = ANY ($4))
ORDER BY last_position, ordinal
LIMIT $5
