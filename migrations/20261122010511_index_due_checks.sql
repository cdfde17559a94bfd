-- no-transaction
CREATE INDEX CONCURRENTLY linked_accounts_next_check
    ON syncline.linked_accounts (next_check_at)
    WHERE status IN ('active', 'relink_needed', 'error');
