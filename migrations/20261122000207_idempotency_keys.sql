-- What was already asked under an `Idempotency-Key`, so that asking again enqueues nothing.
CREATE TABLE syncline.idempotency_keys (
    owner text NOT NULL, -- whose key it is: the organization, or the API key that may act for all
    route text NOT NULL,
    key text NOT NULL,
    request_digest bytea NOT NULL, -- of the request's meaning: the same key with another request is an error
    job_id uuid NOT NULL, -- the job that the first request enqueued
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (owner, route, key)
);

CREATE INDEX idempotency_keys_created ON syncline.idempotency_keys (created_at);
