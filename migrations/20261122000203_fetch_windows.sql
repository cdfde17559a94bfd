-- Each slice of time asked for at Merge: the chain of closed ones proves that nothing was left out.
CREATE TABLE syncline.fetch_windows (
    id uuid NOT NULL, -- version 7
    account_id uuid NOT NULL,
    model_id text COLLATE "C" NOT NULL,
    extent text NOT NULL, -- first: all there is; next: joins the one before; whole: all, and what is missing is deleted
    modified_after timestamptz, -- as sent, the overlap taken off; null: no limit
    modified_before timestamptz, -- as sent; null: no limit
    mark timestamptz NOT NULL, -- the finish that the watermark moves to when the window closes
    cursor text, -- of the next page; null: the first page
    pages integer NOT NULL DEFAULT 0,
    records bigint NOT NULL DEFAULT 0, -- received
    changed bigint NOT NULL DEFAULT 0, -- stored as new or different
    restarts integer NOT NULL DEFAULT 0, -- times the walk began again because Merge refused or repeated a cursor
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz, -- null: open

    CONSTRAINT fetch_windows_pkey PRIMARY KEY (account_id, model_id, id),
    CONSTRAINT fetch_windows_extent_known CHECK (extent IN ('first', 'next', 'whole')),
    CONSTRAINT fetch_windows_bounds
        CHECK ((extent = 'next') = (modified_after IS NOT NULL) AND (extent = 'next') = (modified_before IS NOT NULL)),
    CONSTRAINT fetch_windows_closed_has_no_cursor CHECK (finished_at IS NULL OR cursor IS NULL)
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX fetch_windows_one_open
    ON syncline.fetch_windows (account_id, model_id)
    WHERE finished_at IS NULL;

-- The ids met by an open window of extent 'whole': a stored record that is not among them at the end is gone.
CREATE TABLE syncline.window_sightings (
    account_id uuid NOT NULL,
    window_id uuid NOT NULL,
    merge_id text COLLATE "C" NOT NULL,

    CONSTRAINT window_sightings_pkey PRIMARY KEY (account_id, window_id, merge_id)
);
