-- Windows that close no gap between watermark and mark: what lies behind the mark, and everything anew.
ALTER TABLE syncline.model_syncs
    ADD COLUMN wanted text, -- what is to be read though no mark is ahead: sweep or whole; null: nothing
    ADD COLUMN wanted_at timestamptz, -- a window that began earlier does not do
    ADD CONSTRAINT model_syncs_wanted_known CHECK (wanted IN ('sweep', 'whole')) NOT VALID,
    ADD CONSTRAINT model_syncs_wanted_dated CHECK ((wanted IS NULL) = (wanted_at IS NULL)) NOT VALID;

-- Extents: first: all there is; next: joins the one before; sweep: from the watermark on, whatever the mark, and leaves the
-- watermark; whole: all, and what is missing is deleted.
ALTER TABLE syncline.fetch_windows
    ADD COLUMN page_size smallint, -- records a page; null: as the settings say
    DROP CONSTRAINT fetch_windows_extent_known,
    DROP CONSTRAINT fetch_windows_bounds,
    ADD CONSTRAINT fetch_windows_extent_known CHECK (extent IN ('first', 'next', 'sweep', 'whole')) NOT VALID,
    ADD CONSTRAINT fetch_windows_bounds CHECK (
        (extent IN ('next', 'sweep')) = (modified_after IS NOT NULL) AND (extent = 'next') = (modified_before IS NOT NULL)
    ) NOT VALID;
