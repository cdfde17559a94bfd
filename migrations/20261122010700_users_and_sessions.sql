-- People who may use the console, and who is in it just now.
CREATE TABLE syncline.users (
    id uuid NOT NULL, -- version 7
    name text COLLATE "C" NOT NULL, -- what they type to log in
    role text NOT NULL,
    password_hash text NOT NULL, -- Argon2id, as a PHC string: salt and parameters are in it
    created_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,

    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_name_key UNIQUE (name),
    CONSTRAINT users_name_valid CHECK (name ~ '^[a-z0-9][a-z0-9._@+-]{0,99}$'),
    CONSTRAINT users_role_known CHECK (role IN ('viewer', 'operator', 'admin'))
);

-- What a session may do is asked of its user or key at each request, so that what is taken away is gone at once.
CREATE TABLE syncline.sessions (
    token_hash bytea NOT NULL, -- SHA-256: enough, because tokens are 256 random bits
    user_id uuid REFERENCES syncline.users (id) ON DELETE CASCADE,
    api_key_id uuid REFERENCES syncline.api_keys (id) ON DELETE CASCADE,
    bootstrap_hash bytea, -- SHA-256 of the bootstrap key that it was begun with
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(), -- to the minute
    notice text, -- what the next page tells: the outcome of the last change

    CONSTRAINT sessions_pkey PRIMARY KEY (token_hash),
    CONSTRAINT sessions_token_hash_is_sha256 CHECK (octet_length(token_hash) = 32),
    CONSTRAINT sessions_have_one_owner CHECK (num_nonnulls(user_id, api_key_id, bootstrap_hash) = 1)
);
CREATE INDEX sessions_user ON syncline.sessions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_seen ON syncline.sessions (last_seen_at);

-- Logins that failed lately, by the name that was typed, whether or not somebody has it.
CREATE TABLE syncline.login_failures (
    name text COLLATE "C" NOT NULL,
    failures integer NOT NULL,
    last_failed_at timestamptz NOT NULL,

    CONSTRAINT login_failures_pkey PRIMARY KEY (name)
);
CREATE INDEX login_failures_age ON syncline.login_failures (last_failed_at);
