-- no-transaction
-- Finds, in each category, the model whose last whole reading is the longest ago: how far syncing is behind.
CREATE INDEX CONCURRENTLY model_syncs_lag
    ON syncline.model_syncs (split_part(model_id, '.', 1), last_synced_at)
    WHERE last_synced_at IS NOT NULL AND refusal IS NULL AND status IS DISTINCT FROM 'DISABLED';
