-- Actions on all jobs of a filter: counted, confirmed, and then done in batches by a job.
CREATE TABLE syncline.bulk_actions (
    id uuid CONSTRAINT bulk_actions_pkey PRIMARY KEY, -- version 7
    bulk json NOT NULL, -- `queue::admin::Bulk`: action, filter, who, why, and the time it is bound to
    jobs bigint NOT NULL, -- as counted when it was prepared
    sample uuid[] NOT NULL, -- the newest of them
    state text NOT NULL DEFAULT 'prepared',
    prepared_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    job_id uuid, -- the job that does it
    reached uuid, -- jobs with smaller ids are still to come; null: none was looked at
    done bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0, -- fitted, but changed meanwhile
    stopped_by text, -- who asked for the end before the end

    CONSTRAINT bulk_actions_state_known CHECK (state IN ('prepared', 'running', 'stopped', 'done')),
    CONSTRAINT bulk_actions_started_iff_confirmed CHECK ((started_at IS NOT NULL) = (state <> 'prepared')),
    CONSTRAINT bulk_actions_ended_iff_over CHECK ((ended_at IS NOT NULL) = (state IN ('stopped', 'done')))
);
