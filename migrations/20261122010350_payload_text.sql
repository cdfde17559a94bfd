-- A payload is written once, read once and never looked into by the database: kept as the text it came as,
-- it need not be taken apart and put together again. Rewrites the tables: before the first release only.
DROP VIEW syncline.all_jobs;
ALTER TABLE syncline.jobs ALTER COLUMN payload TYPE json;
ALTER TABLE syncline.dead_jobs ALTER COLUMN payload TYPE json;
ALTER TABLE syncline.job_history ALTER COLUMN payload TYPE json;

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
