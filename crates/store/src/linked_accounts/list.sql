SELECT
    id AS "id: _",
    organization_id,
    category,
    end_user_origin_id,
    user_id,
    display_name,
    integration,
    end_user_organization_name,
    end_user_email_address,
    status AS "status: _",
    merge_status,
    merge_account_id,
    integration_name,
    integration_slug,
    initial_sync_completed_at,
    last_polled_at,
    next_poll_at,
    last_error,
    created_at,
    updated_at
FROM syncline.linked_accounts
WHERE ($1::text IS NULL OR organization_id = $1)
  AND ($2::text IS NULL OR category = $2)
  AND ($3::text IS NULL OR status = $3)
  AND ($4::uuid IS NULL OR id > $4)
ORDER BY id
LIMIT $5
