-- Schedules: time zones, what becomes of missed runs, spreading, and what people change while the service runs.
ALTER TABLE syncline.schedules
    -- What the code declares, as `cron`: rewritten by each start of a scheduler.
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC', -- IANA name
    ADD COLUMN catch_up smallint NOT NULL DEFAULT 1, -- runs made up for after an outage: 0 none, 1 one for all, n at most n
    ADD COLUMN grace interval NOT NULL DEFAULT '1 minute', -- a run later than this was missed
    ADD COLUMN jitter interval NOT NULL DEFAULT '0', -- each run is put off by up to this
    -- What somebody put in its place; null: the code's word holds. Survives deployments.
    ADD COLUMN cron_override text,
    ADD COLUMN time_zone_override text,
    ADD COLUMN catch_up_override smallint,
    ADD COLUMN grace_override interval,
    ADD COLUMN jitter_override interval,
    ADD COLUMN overridden_by text,
    ADD COLUMN override_reason text,
    ADD COLUMN overridden_at timestamptz,
    -- A pause; `paused_until` null: until somebody resumes it.
    ADD COLUMN paused_by text,
    ADD COLUMN pause_reason text,
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN paused_until timestamptz,
    ADD COLUMN last_tick timestamptz, -- the newest tick that fired, as the expression has it
    ADD CONSTRAINT schedules_catch_up_in_range CHECK (catch_up BETWEEN 0 AND 1000 AND catch_up_override BETWEEN 0 AND 1000),
    ADD CONSTRAINT schedules_grace_positive CHECK (grace > '0' AND grace_override > '0'),
    ADD CONSTRAINT schedules_jitter_not_negative CHECK (jitter >= '0' AND jitter_override >= '0'),
    ADD CONSTRAINT schedules_pause_whole
        CHECK (num_nulls(paused_by, pause_reason, paused_at) IN (0, 3) AND (paused_until IS NULL OR paused_at IS NOT NULL)),
    ADD CONSTRAINT schedules_override_whole CHECK (
        num_nulls(overridden_by, override_reason, overridden_at) IN (0, 3)
        AND (overridden_at IS NOT NULL)
            = (num_nonnulls(cron_override, time_zone_override, catch_up_override, grace_override, jitter_override) > 0)
    );
COMMENT ON COLUMN syncline.schedules.cron IS 'five fields, or six with seconds first; in `time_zone`';

-- Who did what to a schedule, and why; one row for each pause, resumption, edit, reset, run by hand, removal.
CREATE TABLE syncline.schedule_changes (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT schedule_changes_pkey PRIMARY KEY,
    name text NOT NULL,
    change text NOT NULL,
    changed_by text NOT NULL,
    reason text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schedule_changes_change_known CHECK (change IN ('pause', 'resume', 'edit', 'reset', 'run', 'remove'))
);
CREATE INDEX schedule_changes_name_idx ON syncline.schedule_changes (name, id);
