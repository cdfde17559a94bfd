-- The inbox: every webhook that Merge sent and we acknowledged, and what became of it.
CREATE TABLE syncline.webhook_deliveries (
    id uuid NOT NULL, -- version 7: roughly the order of arrival
    shard smallint NOT NULL, -- which `process_deliveries` job drains it
    received_at timestamptz NOT NULL DEFAULT now(),
    body_hash bytea NOT NULL, -- SHA-256 of the raw body
    body_sealed bytea NOT NULL, -- the raw body, encrypted: it may hold an account token
    body_key_id text NOT NULL,
    key_index smallint NOT NULL, -- which of the configured signing secrets signed it, from 0
    duplicate_of uuid, -- an earlier delivery with the same body
    verdict text NOT NULL DEFAULT 'received',
    verdict_detail text,
    event text, -- as named in the body; null until it is processed
    merge_account_id text,
    account_id uuid,
    processed_at timestamptz,

    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_deliveries_verdict_known
        CHECK (verdict IN ('received', 'processed', 'ignored', 'unknown_account', 'unparseable', 'duplicate')),
    CONSTRAINT webhook_deliveries_received_is_unprocessed CHECK ((verdict = 'received') = (processed_at IS NULL))
);

CREATE INDEX webhook_deliveries_waiting
    ON syncline.webhook_deliveries (shard, id)
    WHERE verdict = 'received';

CREATE INDEX webhook_deliveries_body_hash ON syncline.webhook_deliveries (body_hash, received_at);

CREATE INDEX webhook_deliveries_account
    ON syncline.webhook_deliveries (account_id, id)
    WHERE account_id IS NOT NULL;
