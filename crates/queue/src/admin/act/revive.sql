-- Dead jobs, live again with a fresh set of attempts and their old id. One whose unique key another
-- pending job holds stays dead.
WITH chosen AS MATERIALIZED (
    SELECT * FROM syncline.dead_jobs WHERE id = ANY ($1) ORDER BY id FOR UPDATE
),
keys AS (
    INSERT INTO syncline.unique_keys (kind, unique_key, job_id)
    SELECT DISTINCT ON (kind, unique_key) kind, unique_key, id
    FROM chosen
    WHERE unique_key IS NOT NULL
    ORDER BY kind, unique_key, id
    ON CONFLICT (kind, unique_key) DO NOTHING
    RETURNING job_id
),
gone AS (
    DELETE FROM syncline.dead_jobs d
    USING chosen
    WHERE d.id = chosen.id
      AND (chosen.unique_key IS NULL OR chosen.id IN (SELECT job_id FROM keys))
    RETURNING d.*
),
-- Its last attempt joins the others, unless they have gone with their day already.
recorded AS (
    INSERT INTO syncline.job_attempts (
        job_id, attempt, worker_id, started_at, finished_at,
        outcome, error_class, message, http_status
    )
    SELECT
        id, attempt, worker_id, started_at, finished_at, 'dead', error_class, last_error, http_status
    FROM gone
    WHERE started_at IS NOT NULL
      AND worker_id IS NOT NULL
      AND to_regclass(
          'syncline.job_attempts_' || to_char(finished_at AT TIME ZONE 'UTC', 'YYYYMMDD')
      ) IS NOT NULL
),
added AS (
    INSERT INTO syncline.jobs (
        id, lane, kind, queue, priority, run_at, max_attempts, payload, unique_key, limit_key,
        organization_id, tags, last_error, created_at, is_unique_while_running, parent_id,
        trace_context
    )
    SELECT
        id, lane, kind, queue, priority, now(), max_attempts, payload, unique_key, limit_key,
        organization_id, tags, last_error, created_at, is_unique_while_running, parent_id,
        trace_context
    FROM gone
    RETURNING id, lane, kind, queue, run_at
),
-- Asked for while it ran for the last time; that is over.
forgotten AS (
    DELETE FROM syncline.cancellations c USING gone WHERE c.job_id = gone.id
),
-- As in `enqueue.sql`.
told AS (
    INSERT INTO syncline.lanes AS l (lane, due_at, is_urgent)
    SELECT lane, min(run_at), bool_or(queue <> $2)
    FROM added
    GROUP BY lane
    ORDER BY lane
    ON CONFLICT (lane) DO UPDATE
    SET due_at = least(
            coalesce(l.due_at, 'infinity'),
            greatest(excluded.due_at, coalesce(l.blocked_until, '-infinity'))
        ),
        is_urgent = l.is_urgent OR excluded.is_urgent
    WHERE l.owner IS NULL
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, 'dead', to_timestamp(0), -count(*)
    FROM gone
    GROUP BY queue, kind
    UNION ALL
    SELECT queue, kind, 'waiting', date_bin('1 minute', run_at, to_timestamp(0)), count(*)
    FROM added
    GROUP BY 1, 2, 4
)
SELECT id FROM added
