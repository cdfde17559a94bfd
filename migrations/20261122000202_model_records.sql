-- Merge's records, each once, in its newest version; deletions are kept as deletions.
CREATE TABLE syncline.model_records (
    account_id uuid NOT NULL,
    model_id text COLLATE "C" NOT NULL,
    merge_id text COLLATE "C" NOT NULL, -- Merge's id; for a model without ids what stands in for it
    remote_id text, -- the third party's id
    data jsonb NOT NULL, -- the record as received; what jsonb cannot hold is replaced (see `store::storable_json`)
    modified_at timestamptz, -- Merge's clock
    created_at timestamptz, -- Merge's clock
    is_deleted boolean NOT NULL,
    first_seen_at timestamptz NOT NULL, -- our clock
    changed_at timestamptz NOT NULL, -- our clock: when we last stored a difference

    CONSTRAINT model_records_pkey PRIMARY KEY (account_id, model_id, merge_id)
);

-- Readers follow this order. It never skips: pages of one model are stored one after another, each with a later
-- `changed_at` (see `store::model_records`).
CREATE INDEX model_records_changed
    ON syncline.model_records (account_id, model_id, changed_at, merge_id);
