-- Dead jobs that died of the same thing form a group: same kind, class of error, HTTP status, and message but for ids
-- and numbers in it. Adding the column rewrites the table: before the first release only.

-- A message without what differs from one occurrence to the next.
CREATE FUNCTION syncline.without_particulars(message text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT left(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    left(message, 1000),
                    '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}', '…', 'g'
                ),
                '\m(?=[0-9a-zA-Z_-]*[0-9])[0-9a-zA-Z_-]{16,}\M', '…', 'g'
            ),
            '[0-9]+([.,:][0-9]+)*', '#', 'g'
        ),
        300
    )
$$;

ALTER TABLE syncline.dead_jobs
    ADD COLUMN fingerprint text NOT NULL GENERATED ALWAYS AS (
        md5(
            kind || chr(31) || error_class || chr(31) || coalesce(http_status::text, '') || chr(31)
            || syncline.without_particulars(last_error)
        )
    ) STORED;
CREATE INDEX dead_jobs_fingerprint_idx ON syncline.dead_jobs (fingerprint, id);

-- What somebody said about a group. It is open again when a job died of it after it was resolved.
CREATE TABLE syncline.dead_groups (
    fingerprint text CONSTRAINT dead_groups_pkey PRIMARY KEY,
    first_seen_at timestamptz NOT NULL, -- of any job, also of those that are gone since
    resolved_at timestamptz NOT NULL,
    resolved_by text NOT NULL,
    reason text NOT NULL
);

CREATE OR REPLACE VIEW syncline.all_jobs AS
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
    created_at, run_at, started_at, NULL::timestamptz AS finished_at, parent_id, trace_context,
    NULL::text AS fingerprint
FROM syncline.jobs
UNION ALL
SELECT
    'dead', id, lane, kind, queue, 'dead', priority, attempt, max_attempts, payload, NULL,
    unique_key, limit_key, organization_id, tags, worker_id, error_class, last_error, http_status,
    created_at, run_at, started_at, finished_at, parent_id, trace_context, fingerprint
FROM syncline.dead_jobs
UNION ALL
SELECT
    'history', id, lane, kind, queue, state, priority, attempt, max_attempts, payload, result,
    NULL, NULL, organization_id, tags, worker_id, error_class, last_error, NULL,
    created_at, run_at, started_at, finished_at, parent_id, trace_context, NULL
FROM syncline.job_history;
