WITH incoming AS (
    -- Each id once: the latest version, and of equal ones the last.
    SELECT DISTINCT ON (merge_id)
        merge_id, remote_id, data::jsonb AS data, modified_at, created_at, is_deleted
    FROM unnest(
        $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::boolean[]
    ) WITH ORDINALITY AS page (merge_id, remote_id, data, modified_at, created_at, is_deleted, position)
    ORDER BY merge_id, modified_at DESC NULLS LAST, position DESC
),
judged AS (
    SELECT
        incoming.*,
        coalesce(stored.is_deleted, true) AS was_absent,
        CASE
            WHEN stored.merge_id IS NULL THEN 'inserted'
            WHEN incoming.modified_at < stored.modified_at THEN 'stale' -- not true when either is null
            WHEN incoming.data = stored.data
                AND incoming.is_deleted = stored.is_deleted
                AND incoming.remote_id IS NOT DISTINCT FROM stored.remote_id
                AND incoming.modified_at IS NOT DISTINCT FROM stored.modified_at THEN 'unchanged'
            ELSE 'updated'
        END AS verdict
    FROM incoming
    LEFT JOIN syncline.model_records AS stored
        ON stored.account_id = $1
        AND stored.model_id = $2
        AND stored.merge_id = incoming.merge_id
),
written AS (
    INSERT INTO syncline.model_records AS stored (
        account_id, model_id, merge_id, remote_id, data, modified_at, created_at, is_deleted,
        first_seen_at, changed_at
    )
    SELECT $1, $2, merge_id, remote_id, data, modified_at, created_at, is_deleted, $3, $3
    FROM judged
    WHERE verdict IN ('inserted', 'updated')
    ON CONFLICT (account_id, model_id, merge_id) DO UPDATE SET
        remote_id = excluded.remote_id,
        data = excluded.data,
        modified_at = excluded.modified_at,
        created_at = excluded.created_at,
        is_deleted = excluded.is_deleted,
        changed_at = excluded.changed_at
),
told AS (
    INSERT INTO syncline.events (type, organization_id, account_id, model_id, merge_ids)
    SELECT type, organization_id, $1, $2, array_agg(merge_id ORDER BY merge_id)
    FROM (
        SELECT
            merge_id,
            CASE
                WHEN is_deleted THEN 'record.deleted'
                WHEN was_absent THEN 'record.created'
                ELSE 'record.updated'
            END AS type
        FROM judged
        WHERE verdict IN ('inserted', 'updated')
    ) AS changes
    JOIN syncline.linked_accounts AS account ON account.id = $1
    GROUP BY type, organization_id
)
SELECT
    count(*) FILTER (WHERE verdict = 'inserted') AS inserted,
    count(*) FILTER (WHERE verdict = 'updated') AS updated,
    count(*) FILTER (WHERE verdict = 'unchanged') AS unchanged,
    count(*) FILTER (WHERE verdict = 'stale') AS stale
FROM judged
