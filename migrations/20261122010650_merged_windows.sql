-- Old windows of a model that join are merged into one, so that the table does not grow for ever; the chain from the
-- first load on stays whole.
ALTER TABLE syncline.fetch_windows
    ADD COLUMN windows integer NOT NULL DEFAULT 1; -- how many were read that this row stands for
