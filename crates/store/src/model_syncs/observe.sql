WITH observed AS (
    SELECT *
    FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::boolean[],
        $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::text[]
    ) AS o (
        model_id, status, last_sync_result, is_initial_sync,
        merge_last_sync_start, next_sync_start, ready_through, refusal
    )
)
INSERT INTO syncline.model_syncs AS stored (
    account_id, model_id, status, last_sync_result, is_initial_sync,
    merge_last_sync_start, next_sync_start, available_through, refusal, refused_at
)
SELECT
    $1, model_id, status, last_sync_result, is_initial_sync,
    merge_last_sync_start, next_sync_start, ready_through, refusal,
    CASE WHEN refusal IS NOT NULL THEN now() END
FROM observed
ORDER BY model_id -- so that two who observe the same account at once lock its rows in the same order
ON CONFLICT (account_id, model_id) DO UPDATE SET
    status = coalesce(excluded.status, stored.status),
    last_sync_result = coalesce(excluded.last_sync_result, stored.last_sync_result),
    is_initial_sync = coalesce(excluded.is_initial_sync, stored.is_initial_sync),
    merge_last_sync_start = coalesce(excluded.merge_last_sync_start, stored.merge_last_sync_start),
    next_sync_start = coalesce(excluded.next_sync_start, stored.next_sync_start),
    available_through = greatest(stored.available_through, excluded.available_through),
    -- A refusal ends with the first window that is stored, or after a while, so that it is tried again.
    refusal = CASE
        WHEN excluded.refusal IS NOT NULL THEN excluded.refusal
        -- What is said here each time ends when it is not said any more.
        WHEN stored.refusal IN ('not_selected', 'unknown_model') THEN NULL
        WHEN stored.refused_at > now() - make_interval(hours => $10) THEN stored.refusal
    END,
    refused_at = CASE
        WHEN excluded.refusal IS NOT NULL THEN coalesce(stored.refused_at, now())
        WHEN stored.refusal IN ('not_selected', 'unknown_model') THEN NULL
        WHEN stored.refused_at > now() - make_interval(hours => $10) THEN stored.refused_at
    END,
    updated_at = now()
RETURNING CASE
    WHEN refusal IS NULL
        AND status IS DISTINCT FROM 'DISABLED'
        AND available_through > coalesce(fetched_through, '-infinity')
    THEN model_id
END AS due
