-- What people do to the queue: pause it, cancel running jobs, quiet workers; and what it counts for them.

-- A pause of everything, a queue, a kind or a lane: whose jobs are not started until it ends.
CREATE TABLE syncline.pauses (
    scope text NOT NULL,
    name text NOT NULL, -- of the queue, kind or lane; '' for everything
    paused_by text NOT NULL,
    reason text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT now(),
    paused_until timestamptz, -- null: until somebody resumes it
    CONSTRAINT pauses_pkey PRIMARY KEY (scope, name),
    CONSTRAINT pauses_scope_known CHECK (scope IN ('everything', 'queue', 'kind', 'lane')),
    CONSTRAINT pauses_named_iff_partial CHECK ((name = '') = (scope = 'everything'))
);

-- Running jobs that somebody wants stopped; the worker that runs one takes the row away with it.
CREATE TABLE syncline.cancellations (
    job_id uuid CONSTRAINT cancellations_pkey PRIMARY KEY,
    requested_by text NOT NULL,
    reason text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now()
);

-- `crashes`: workers in a row that ended while they ran this lane's jobs, with none completed in between.
ALTER TABLE syncline.lanes ADD COLUMN crashes smallint NOT NULL DEFAULT 0;

ALTER TABLE syncline.workers
    -- What ops ask of it: 'quiet' claims and starts nothing more, 'drain' ends it.
    ADD COLUMN wanted text,
    ADD COLUMN running integer NOT NULL DEFAULT 0, -- jobs it ran when it last renewed its lease
    ADD CONSTRAINT workers_wanted_known CHECK (wanted IN ('quiet', 'drain'));

ALTER TABLE syncline.jobs
    ADD COLUMN is_unique_while_running boolean NOT NULL DEFAULT false,
    ADD COLUMN parent_id uuid, -- the job that enqueued it
    ADD COLUMN trace_context text; -- W3C traceparent of whoever enqueued it
ALTER TABLE syncline.job_history ADD COLUMN parent_id uuid, ADD COLUMN trace_context text;
ALTER TABLE syncline.dead_jobs
    ADD COLUMN is_unique_while_running boolean NOT NULL DEFAULT false,
    ADD COLUMN parent_id uuid,
    ADD COLUMN trace_context text;

-- How many jobs there are, without looking at them. Every statement that changes jobs appends what it
-- changed; house-keeping folds that into `job_counts`. The truth is the sum of both.
-- `bucket`: of waiting jobs the minute of their run_at; of ended ones the UTC day they ended (so that
-- their counts go with their partition); of running and dead ones the epoch.
CREATE TABLE syncline.job_count_deltas (
    queue text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL, -- waiting (not yet tried), retrying, running, completed, cancelled, dead
    bucket timestamptz NOT NULL,
    change integer NOT NULL
);
CREATE TABLE syncline.job_counts (
    queue text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    bucket timestamptz NOT NULL,
    jobs bigint NOT NULL,
    CONSTRAINT job_counts_pkey PRIMARY KEY (queue, kind, state, bucket)
);
INSERT INTO syncline.job_counts (queue, kind, state, bucket, jobs)
SELECT
    queue, kind,
    CASE
        WHEN started_at IS NOT NULL THEN 'running'
        WHEN attempt > 0 THEN 'retrying'
        ELSE 'waiting'
    END AS state,
    CASE
        WHEN started_at IS NOT NULL THEN to_timestamp(0)
        ELSE date_trunc('minute', run_at, 'UTC')
    END AS bucket,
    count(*)
FROM syncline.jobs
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT queue, kind, state, date_trunc('day', finished_at, 'UTC'), count(*)
FROM syncline.job_history
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT queue, kind, 'dead', to_timestamp(0), count(*)
FROM syncline.dead_jobs
GROUP BY 1, 2;

-- Error answers of the far side that the fleet may still get: each process holds a share, and says so
-- again every second while it uses it.
CREATE TABLE syncline.error_budget_shares (
    process_id uuid CONSTRAINT error_budget_shares_pkey PRIMARY KEY, -- a fresh one at each start
    permits integer NOT NULL,
    is_short boolean NOT NULL, -- it would use more than it has
    renewed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT error_budget_shares_permits_valid CHECK (permits >= 0)
) WITH (fillfactor = 50);
