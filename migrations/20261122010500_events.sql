-- What changed, for the product to follow: a row for each type of change that a transaction made, written in that very
-- transaction. Its place in the feed is given afterwards, when it is seen to be committed; see `store::events`.
CREATE TABLE syncline.events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    type text NOT NULL, -- 'record.created', 'account.linked', …
    organization_id text NOT NULL,
    account_id uuid NOT NULL,
    model_id text COLLATE "C", -- null: about the account as a whole
    merge_ids text[] COLLATE "C", -- the records, each an event of its own; null: the row is one event
    detail jsonb, -- small: counts and words, never a record
    occurred_at timestamptz NOT NULL DEFAULT now(),
    last_position bigint, -- the number of the last of its events, which are numbered without a gap; null: not yet

    CONSTRAINT events_pkey PRIMARY KEY (id),
    CONSTRAINT events_records_of_a_model CHECK (merge_ids IS NULL OR model_id IS NOT NULL),
    CONSTRAINT events_records_not_empty CHECK (cardinality(merge_ids) > 0)
);

CREATE UNIQUE INDEX events_position ON syncline.events (last_position);

CREATE INDEX events_organization ON syncline.events (organization_id, last_position);

CREATE INDEX events_account ON syncline.events (account_id);

-- Those without a place yet.
CREATE INDEX events_waiting ON syncline.events (id) WHERE last_position IS NULL;

-- How far the feed is. One row.
CREATE TABLE syncline.event_feed (
    is_only boolean NOT NULL DEFAULT true,
    last_position bigint NOT NULL DEFAULT 0, -- the newest number given
    forgotten_through bigint NOT NULL DEFAULT 0, -- the newest number that is kept no longer

    CONSTRAINT event_feed_pkey PRIMARY KEY (is_only),
    CONSTRAINT event_feed_one_row CHECK (is_only)
);

INSERT INTO syncline.event_feed DEFAULT VALUES;
