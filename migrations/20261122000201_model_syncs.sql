-- How far each model of an account is: what Merge has, and what we have stored of it.
-- All `…_through`, `merge_…` and `…_sync_…` times are Merge's clock, the others the database's.
CREATE TABLE syncline.model_syncs (
    account_id uuid NOT NULL,
    model_id text COLLATE "C" NOT NULL, -- canonical, 'hris.Employee'; one unknown to our catalogue is kept as received
    status text, -- Merge's word, as received: SYNCING, DONE, PARTIALLY_SYNCED, FAILED, DISABLED, PAUSED
    last_sync_result text,
    is_initial_sync boolean,
    merge_last_sync_start timestamptz,
    next_sync_start timestamptz,

    available_through timestamptz, -- the mark: the newest usable finish that anyone told us
    fetched_through timestamptz, -- the watermark: the mark that the last whole window was bounded by
    merge_last_sync_finished timestamptz, -- the finish that led to the last whole window
    last_synced_at timestamptz, -- when we began the last whole window
    last_fetched_at timestamptz, -- when we ended it
    refusal text, -- why Merge does not give us this model; null: it does. A refused model blocks nothing
    refused_at timestamptz,

    records bigint NOT NULL DEFAULT 0, -- stored, those marked deleted included
    last_changed_at timestamptz, -- the newest `model_records.changed_at`; each page's is later than the one before
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT model_syncs_pkey PRIMARY KEY (account_id, model_id),
    CONSTRAINT model_syncs_fetched_was_available
        CHECK (fetched_through IS NULL OR (available_through IS NOT NULL AND fetched_through <= available_through)),
    CONSTRAINT model_syncs_records_not_negative CHECK (records >= 0),
    CONSTRAINT model_syncs_refusal_dated CHECK ((refusal IS NULL) = (refused_at IS NULL))
) WITH (fillfactor = 70); -- updated with each page: leaves room for HOT updates
