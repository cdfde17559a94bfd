-- The checks of the file before, on rows that were there already.
ALTER TABLE syncline.model_syncs
    VALIDATE CONSTRAINT model_syncs_wanted_known,
    VALIDATE CONSTRAINT model_syncs_wanted_dated;

ALTER TABLE syncline.fetch_windows
    VALIDATE CONSTRAINT fetch_windows_extent_known,
    VALIDATE CONSTRAINT fetch_windows_bounds;
