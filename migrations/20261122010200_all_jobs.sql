-- Every job, wherever it stands, for those who list and count them. The three tables have no row in common.

CREATE VIEW syncline.all_jobs AS
SELECT
    'live' AS place,
    id, lane, kind, queue,
    CASE
        WHEN started_at IS NOT NULL THEN 'running'
        WHEN attempt > 0 THEN 'retryable'
        WHEN run_at > now() THEN 'scheduled'
        ELSE 'available'
    END AS state,
    priority, attempt, max_attempts, payload, NULL::jsonb AS result, unique_key, limit_key,
    organization_id, tags,
    worker_id,
    NULL::text AS error_class, last_error, NULL::smallint AS http_status,
    created_at, run_at, started_at, NULL::timestamptz AS finished_at, parent_id, trace_context
FROM syncline.jobs
UNION ALL
SELECT
    'dead', id, lane, kind, queue, 'dead', priority, attempt, max_attempts, payload, NULL,
    unique_key, limit_key, organization_id, tags, worker_id, error_class, last_error, http_status,
    created_at, run_at, started_at, finished_at, parent_id, trace_context
FROM syncline.dead_jobs
UNION ALL
SELECT
    'history', id, lane, kind, queue, state, priority, attempt, max_attempts, payload, result,
    NULL, NULL, organization_id, tags, worker_id, error_class, last_error, NULL,
    created_at, run_at, started_at, finished_at, parent_id, trace_context
FROM syncline.job_history;

-- What died in a lane. Jobs die seldom, and those who look for them are in a hurry.
CREATE INDEX dead_jobs_lane_idx ON syncline.dead_jobs (lane, id);

-- The last attempt of a dead job that is retried joins the others.
ALTER TABLE syncline.job_attempts DROP CONSTRAINT job_attempts_outcome_known;
ALTER TABLE syncline.job_attempts ADD CONSTRAINT job_attempts_outcome_known
    CHECK (outcome IN ('retried', 'crashed', 'dead')) NOT VALID;

-- As before, and: the counts of a day go with its partition; a partition that somebody reads is left for
-- the next time, so that nobody has to wait behind this.
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
          AND parent.relname IN ('job_history', 'job_attempts')
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

-- Rows of deltas come and go by the thousand, and every count reads what they leave.
ALTER TABLE syncline.job_count_deltas
    SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
