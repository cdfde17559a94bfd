WITH absent AS (
    UPDATE syncline.model_records AS stored
    SET is_deleted = true, changed_at = $4
    WHERE account_id = $1
      AND model_id = $2
      AND NOT is_deleted
      AND NOT EXISTS (
          SELECT
          FROM syncline.window_sightings AS met
          WHERE met.account_id = $1
            AND met.window_id = $3
            AND met.merge_id = stored.merge_id
      )
    RETURNING merge_id
),
told AS (
    INSERT INTO syncline.events (type, organization_id, account_id, model_id, merge_ids)
    SELECT 'record.deleted', organization_id, $1, $2, array_agg(merge_id ORDER BY merge_id)
    FROM (
        -- Rows of bounded size, however much is missing.
        SELECT merge_id, (row_number() OVER (ORDER BY merge_id) - 1) / 1000 AS part
        FROM absent
    ) AS parts
    JOIN syncline.linked_accounts AS account ON account.id = $1
    GROUP BY organization_id, part
    ORDER BY part
)
SELECT count(*) AS "absent!"
FROM absent
