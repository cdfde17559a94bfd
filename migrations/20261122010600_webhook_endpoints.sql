-- Where the product wants events sent to. An endpoint follows the feed by a position of its own, as a reader would: what
-- it has been given is all up to there, in order. See `store::webhook_endpoints`.
CREATE TABLE syncline.webhook_endpoints (
    id uuid NOT NULL, -- version 7
    organization_id text, -- only this organization's events; null: every organization's
    url text NOT NULL,
    description text,
    event_types text[], -- only these; null: all
    -- The signing secret, whsec_…, and while it is being rotated the one before, which signs as well.
    secret_sealed bytea NOT NULL,
    secret_key_id text NOT NULL,
    old_secret_sealed bytea,
    old_secret_key_id text,
    position bigint NOT NULL, -- each event up to this number was delivered, or is not for it
    delivered_at timestamptz, -- the last that was
    failures integer NOT NULL DEFAULT 0, -- in a row
    failing_since timestamptz, -- the first of them
    last_status smallint, -- what the last of them was answered; null: there was no answer
    last_error text,
    retry_at timestamptz, -- not before this time, unless by the job that tries it again,
    retry_job_id uuid, -- which is this one
    disabled_at timestamptz, -- null: it is enabled
    disabled_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(), -- by people

    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_endpoints_event_types_not_empty CHECK (cardinality(event_types) > 0),
    CONSTRAINT webhook_endpoints_old_secret_whole CHECK ((old_secret_sealed IS NULL) = (old_secret_key_id IS NULL)),
    CONSTRAINT webhook_endpoints_failing CHECK ((failures > 0) = (failing_since IS NOT NULL)),
    CONSTRAINT webhook_endpoints_disabled CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CONSTRAINT webhook_endpoints_reason_known CHECK (
        disabled_reason IN ('by_request', 'gone', 'failing', 'events_forgotten')
    )
) WITH (fillfactor = 50); -- a row is rewritten with each delivery

CREATE INDEX webhook_endpoints_organization ON syncline.webhook_endpoints (organization_id, id);
