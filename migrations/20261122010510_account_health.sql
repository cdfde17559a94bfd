-- How accounts are found to be well: asked for on a schedule, and by what Merge refuses.
ALTER TABLE syncline.linked_accounts
    ADD COLUMN linked_at timestamptz, -- the last link or relink; null: before this was noted, or never
    ADD COLUMN next_check_at timestamptz NOT NULL DEFAULT now(), -- when its details at Merge are due to be read
    ADD COLUMN refusals integer NOT NULL DEFAULT 0, -- 401 and 403 in a row
    ADD COLUMN poll_failures integer NOT NULL DEFAULT 0, -- polls that were due since the last that worked
    ADD CONSTRAINT linked_accounts_counts_not_negative CHECK (refusals >= 0 AND poll_failures >= 0);
