-- One row per connection of a customer to a third-party system: begun, working, or being deleted.
CREATE TABLE syncline.linked_accounts (
    id uuid NOT NULL, -- ours, version 7: ordered by creation
    organization_id text NOT NULL, -- the product's own id of its customer
    category text NOT NULL, -- 'hris', 'ats', …; open text, checked against our list on the way in
    end_user_origin_id text NOT NULL, -- our name of the connection at Merge; permanent, never reused
    user_id text, -- set when one person, not the organization, is linked
    display_name text,
    integration text, -- the slug asked for: the dialog opens straight at it
    end_user_organization_name text NOT NULL,
    end_user_email_address text NOT NULL,

    status text NOT NULL DEFAULT 'pending',
    merge_status text, -- Merge's own word, as received: COMPLETE, INCOMPLETE, RELINK_NEEDED, IDLE, …
    merge_account_id text, -- Merge's id of the linked account; null until it is linked
    integration_name text,
    integration_slug text,

    account_token_sealed bytea, -- encrypted, bound to this row; see `store::Keyring`
    account_token_key_id text, -- the key that sealed it
    account_token_hash bytea, -- keyed hash: finds the account of a webhook that names only the token

    initial_sync_completed_at timestamptz, -- set once, never set back
    last_polled_at timestamptz, -- the last whole reading of Merge's sync status
    next_poll_at timestamptz, -- null: never polled
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT linked_accounts_pkey PRIMARY KEY (id),
    CONSTRAINT linked_accounts_end_user_origin_id_key UNIQUE (end_user_origin_id),
    CONSTRAINT linked_accounts_texts_not_empty
        CHECK (organization_id <> '' AND category <> '' AND end_user_origin_id <> ''),
    CONSTRAINT linked_accounts_status_known
        CHECK (status IN ('pending', 'active', 'relink_needed', 'error', 'deleting')),
    CONSTRAINT linked_accounts_token_whole
        CHECK (num_nulls(account_token_sealed, account_token_key_id, account_token_hash) IN (0, 3)),
    CONSTRAINT linked_accounts_active_has_token
        CHECK (status NOT IN ('active', 'relink_needed') OR account_token_sealed IS NOT NULL)
);

-- Two clicks at once end in one pending row.
CREATE UNIQUE INDEX linked_accounts_one_pending
    ON syncline.linked_accounts (organization_id, category, coalesce(user_id, ''), coalesce(integration, ''))
    WHERE status = 'pending';

CREATE UNIQUE INDEX linked_accounts_merge_account_id_key
    ON syncline.linked_accounts (merge_account_id)
    WHERE merge_account_id IS NOT NULL;

CREATE INDEX linked_accounts_organization ON syncline.linked_accounts (organization_id, id);

CREATE INDEX linked_accounts_token_hash
    ON syncline.linked_accounts (account_token_hash)
    WHERE account_token_hash IS NOT NULL;

CREATE INDEX linked_accounts_next_poll
    ON syncline.linked_accounts (next_poll_at)
    WHERE next_poll_at IS NOT NULL;
