-- What attempts leave for those who look into them: the requests they made, the last lines they logged. Written by the
-- statement that ends the attempt, and only if there is something to tell; it goes with the day of the attempt.
CREATE TABLE syncline.attempt_notes (
    job_id uuid NOT NULL,
    started_at timestamptz NOT NULL, -- of the attempt, which this tells apart from the job's others
    finished_at timestamptz NOT NULL,
    notes json NOT NULL -- {"requests": [...], "lines": [...]}; see `queue::notes`
) PARTITION BY RANGE (finished_at);
CREATE INDEX attempt_notes_job_idx ON syncline.attempt_notes (job_id);

-- As before, with this table among the others.
CREATE OR REPLACE FUNCTION syncline.ensure_partitions(days_ahead integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    day date;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('syncline.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['job_history', 'job_attempts', 'attempt_notes'] LOOP
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

CREATE OR REPLACE FUNCTION syncline.drop_partitions(before date) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    old record;
    dropped integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    FOR old IN
        SELECT child.relname, parent.relname AS parent
        FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        JOIN pg_class parent ON parent.oid = inhparent
        JOIN pg_namespace ON pg_namespace.oid = parent.relnamespace
        WHERE nspname = 'syncline'
          AND parent.relname IN ('job_history', 'job_attempts', 'attempt_notes')
          AND to_date(right(child.relname, 8), 'YYYYMMDD') < before
        ORDER BY child.relname
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE syncline.%I', old.relname);
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        IF old.parent = 'job_history' THEN
            INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
            SELECT queue, kind, state, bucket, -sum(jobs)
            FROM (
                SELECT queue, kind, state, bucket, jobs FROM syncline.job_counts
                UNION ALL
                SELECT queue, kind, state, bucket, change FROM syncline.job_count_deltas
            ) AS counted
            WHERE state IN ('completed', 'cancelled')
              AND bucket = to_date(right(old.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC'
            GROUP BY queue, kind, state, bucket;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

SELECT syncline.ensure_partitions(7);
