-- no-transaction
CREATE INDEX CONCURRENTLY linked_accounts_deleting ON syncline.linked_accounts (updated_at) WHERE status = 'deleting';
