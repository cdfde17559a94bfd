-- The durable queue: lanes, jobs, what became of them, workers, schedules.
-- The idea and its invariants are told in crates/queue/README.md.

CREATE SCHEMA syncline;

-- A worker is one start of a process. Its lease is on this row and nowhere else: renewing it is one
-- narrow HOT update, whatever the number of lanes and jobs the worker holds.
CREATE TABLE syncline.workers (
    id uuid CONSTRAINT workers_pkey PRIMARY KEY,
    state text NOT NULL DEFAULT 'running',
    lease_until timestamptz NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    slots jsonb NOT NULL, -- {"sync": 16, ...}: jobs of each queue it runs at once
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT workers_state_known CHECK (state IN ('running', 'draining', 'stopped', 'dead')),
    CONSTRAINT workers_ended_iff_over CHECK ((ended_at IS NOT NULL) = (state IN ('stopped', 'dead')))
) WITH (fillfactor = 50);

-- The unit of leasing, ordering and rate. `due_at` is the earliest time at which somebody must look
-- (null: never); it means nothing while the lane is owned. `epoch` grows with each change of owner.
CREATE TABLE syncline.lanes (
    lane text CONSTRAINT lanes_pkey PRIMARY KEY,
    due_at timestamptz,
    is_urgent boolean NOT NULL DEFAULT false, -- somebody waits for one of its jobs
    owner uuid, -- workers.id
    epoch bigint NOT NULL DEFAULT 0,
    blocked_until timestamptz, -- parked by the far side, for every process
    blocked_reason text,
    limiter_tat timestamptz, -- theoretical arrival time of the lane's rate limiter (GCRA)
    CONSTRAINT lanes_lane_valid CHECK (lane <> '' AND octet_length(lane) <= 300)
) WITH (fillfactor = 60);
CREATE INDEX lanes_due_idx ON syncline.lanes (due_at) WHERE owner IS NULL AND due_at IS NOT NULL;
CREATE INDEX lanes_urgent_idx ON syncline.lanes (due_at) WHERE owner IS NULL AND is_urgent;
CREATE INDEX lanes_owner_idx ON syncline.lanes (owner) WHERE owner IS NOT NULL;

-- Live jobs only. Immutable but for attempt, started_at, run_at and last_error; starting one touches no
-- indexed column (a HOT update), ending one removes it.
CREATE TABLE syncline.jobs (
    id uuid CONSTRAINT jobs_pkey PRIMARY KEY,
    lane text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL, -- lower runs first within a lane
    run_at timestamptz NOT NULL,
    attempt smallint NOT NULL DEFAULT 0, -- how many were begun
    max_attempts smallint NOT NULL,
    started_at timestamptz, -- set while an attempt runs
    payload jsonb NOT NULL,
    unique_key text,
    limit_key text, -- at most one job with this key runs in a lane at a time
    organization_id text,
    tags text[] NOT NULL DEFAULT '{}',
    last_error text, -- of the attempt before, or why it waits
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT jobs_attempt_in_range CHECK (attempt BETWEEN 0 AND max_attempts AND max_attempts > 0)
) WITH (fillfactor = 70);
CREATE INDEX jobs_lane_idx ON syncline.jobs (lane, priority, run_at);

-- Who holds a unique key. A row lives from the enqueueing to the start of its job, so that a key is
-- free while its job runs; a column with an index of its own on `jobs` would end HOT updates.
CREATE TABLE syncline.unique_keys (
    kind text NOT NULL,
    unique_key text NOT NULL,
    job_id uuid NOT NULL,
    CONSTRAINT unique_keys_pkey PRIMARY KEY (kind, unique_key)
) WITH (fillfactor = 70);
CREATE INDEX unique_keys_job_idx ON syncline.unique_keys (job_id);

-- Jobs that ended well or were cancelled, by day: dropped by partition, never deleted.
CREATE TABLE syncline.job_history (
    id uuid NOT NULL,
    lane text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    state text NOT NULL,
    attempt smallint NOT NULL,
    max_attempts smallint NOT NULL,
    payload jsonb NOT NULL,
    result jsonb,
    organization_id text,
    tags text[] NOT NULL,
    worker_id uuid, -- of the last attempt
    error_class text,
    last_error text,
    created_at timestamptz NOT NULL,
    run_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    CONSTRAINT job_history_state_known CHECK (state IN ('completed', 'cancelled'))
) PARTITION BY RANGE (finished_at);
CREATE INDEX job_history_id_idx ON syncline.job_history (id);

-- Jobs that used all their attempts: kept until somebody retries or deletes them.
CREATE TABLE syncline.dead_jobs (
    id uuid CONSTRAINT dead_jobs_pkey PRIMARY KEY,
    lane text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    priority smallint NOT NULL,
    attempt smallint NOT NULL,
    max_attempts smallint NOT NULL,
    payload jsonb NOT NULL,
    unique_key text,
    limit_key text,
    organization_id text,
    tags text[] NOT NULL,
    worker_id uuid,
    error_class text NOT NULL,
    last_error text NOT NULL,
    http_status smallint,
    created_at timestamptz NOT NULL,
    run_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL
);
CREATE INDEX dead_jobs_finished_idx ON syncline.dead_jobs (finished_at, id);

-- Attempts that did not end their job. The last one stands in job_history or dead_jobs.
CREATE TABLE syncline.job_attempts (
    job_id uuid NOT NULL,
    attempt smallint NOT NULL,
    worker_id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    outcome text NOT NULL,
    error_class text NOT NULL,
    message text NOT NULL,
    http_status smallint,
    CONSTRAINT job_attempts_outcome_known CHECK (outcome IN ('retried', 'crashed'))
) PARTITION BY RANGE (finished_at);
CREATE INDEX job_attempts_job_idx ON syncline.job_attempts (job_id);

-- One row a schedule. Whoever locks a due row enqueues its job and moves `next_run_at` in one
-- transaction, so a tick fires once whatever the number of schedulers.
CREATE TABLE syncline.schedules (
    name text CONSTRAINT schedules_pkey PRIMARY KEY, -- the job's kind
    cron text NOT NULL, -- UTC
    next_run_at timestamptz NOT NULL,
    last_run_at timestamptz,
    last_job_id uuid
);

-- Makes the partitions of today and of the days to come. Safe to call at any time, by several at once.
CREATE FUNCTION syncline.ensure_partitions(days_ahead integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    day date;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('syncline.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['job_history', 'job_attempts'] LOOP
        -- Yesterday, too: a transaction that began before midnight may end after it.
        FOR day IN SELECT generate_series(
            (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + days_ahead, '1 day')::date
        LOOP
            IF to_regclass(format('syncline.%I', parent || '_' || to_char(day, 'YYYYMMDD'))) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE syncline.%I PARTITION OF syncline.%I FOR VALUES FROM (%L) TO (%L)',
                    parent || '_' || to_char(day, 'YYYYMMDD'), parent,
                    day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            END IF;
        END LOOP;
    END LOOP;
END $$;

-- Drops the partitions that hold only days before `before` (UTC); says how many.
CREATE FUNCTION syncline.drop_partitions(before date) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    old record;
    dropped integer := 0;
BEGIN
    FOR old IN
        SELECT child.relname
        FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        JOIN pg_class parent ON parent.oid = inhparent
        JOIN pg_namespace ON pg_namespace.oid = parent.relnamespace
        WHERE nspname = 'syncline'
          AND parent.relname IN ('job_history', 'job_attempts')
          AND to_date(right(child.relname, 8), 'YYYYMMDD') < before
        ORDER BY child.relname
    LOOP
        EXECUTE format('DROP TABLE syncline.%I', old.relname);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

SELECT syncline.ensure_partitions(7);
