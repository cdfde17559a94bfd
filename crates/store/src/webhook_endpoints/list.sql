SELECT
    id AS "id: EndpointId",
    organization_id,
    url,
    description,
    event_types,
    position,
    delivered_at,
    failures,
    failing_since,
    last_status,
    last_error,
    retry_at,
    disabled_at,
    disabled_reason AS "disabled_reason: DisabledReason",
    old_secret_sealed IS NOT NULL AS "has_old_secret!",
    created_at,
    updated_at
FROM syncline.webhook_endpoints
WHERE ($1::text IS NULL OR organization_id = $1)
  AND ($2::uuid IS NULL OR id > $2)
ORDER BY id
LIMIT $3
