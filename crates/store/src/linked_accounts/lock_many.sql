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
WHERE id = ANY ($1)
ORDER BY id
FOR UPDATE
