-- Keys that the product calls us with. Only their hashes are kept.
CREATE TABLE syncline.api_keys (
    id uuid NOT NULL, -- version 7
    name text NOT NULL,
    prefix text NOT NULL, -- the key's first characters, so that a person can tell keys apart
    key_hash bytea NOT NULL, -- SHA-256: enough, because keys are 256 random bits
    scopes text[] NOT NULL,
    organization_id text, -- null: may act for every organization
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz, -- null: never
    revoked_at timestamptz,
    last_used_at timestamptz, -- to the minute or so

    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash),
    CONSTRAINT api_keys_key_hash_is_sha256 CHECK (octet_length(key_hash) = 32),
    CONSTRAINT api_keys_name_not_empty CHECK (name <> '')
);
