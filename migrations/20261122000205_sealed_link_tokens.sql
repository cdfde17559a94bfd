-- Link tokens on their way to the one request that waits for them, encrypted to its key; erased when read.
CREATE TABLE syncline.sealed_link_tokens (
    job_id uuid NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamptz NOT NULL,

    CONSTRAINT sealed_link_tokens_pkey PRIMARY KEY (job_id)
);

CREATE INDEX sealed_link_tokens_expires ON syncline.sealed_link_tokens (expires_at);
