-- Adds jobs and tells their lanes. One row of arrays a job; answers which were not added, because another
-- holds their unique key.
WITH input AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::float8[],
        $7::timestamptz[], $8::smallint[], $9::text[], $10::text[], $11::boolean[], $12::text[],
        $13::text[], $14::jsonb[], $15::text[]
    ) AS t (
        id, lane, kind, queue, priority, delay_seconds,
        run_at, max_attempts, payload, unique_key, is_unique_while_running, limit_key,
        organization_id, tags, trace_context
    )
),
-- A pending job keeps its key. The update changes nothing: it *locks* the row of a key that is taken,
-- so that the job which holds it cannot start before this transaction ends. Started earlier it would
-- not see what this transaction writes, and nobody would look again.
keys AS (
    INSERT INTO syncline.unique_keys (kind, unique_key, job_id)
    SELECT kind, unique_key, id
    FROM input
    WHERE unique_key IS NOT NULL
    ORDER BY kind, unique_key
    ON CONFLICT (kind, unique_key) DO UPDATE SET job_id = unique_keys.job_id
    RETURNING kind, unique_key, job_id
),
added AS (
    INSERT INTO syncline.jobs (
        id, lane, kind, queue, priority, run_at, max_attempts, payload, unique_key,
        is_unique_while_running, limit_key, organization_id, tags, trace_context, parent_id
    )
    SELECT
        id, lane, kind, queue, priority,
        coalesce(run_at, now() + make_interval(secs => coalesce(delay_seconds, 0))),
        max_attempts, payload::json, unique_key, is_unique_while_running, limit_key, organization_id,
        CASE
            WHEN tags IS NULL THEN '{}'
            ELSE ARRAY(SELECT jsonb_array_elements_text(input.tags))
        END,
        trace_context, $16
    FROM input
    WHERE unique_key IS NULL OR id IN (SELECT job_id FROM keys)
    RETURNING id, lane, queue, kind, run_at
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, 'waiting', date_bin('1 minute', run_at, to_timestamp(0)), count(*)
    FROM added
    GROUP BY 1, 2, 4
),
-- An owned lane is only locked, never written: its owner reads the jobs when it lets go, and that
-- waits for this transaction.
told AS (
    INSERT INTO syncline.lanes AS l (lane, due_at, is_urgent)
    SELECT lane, min(run_at), bool_or(queue <> $17)
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
      -- Due as early already: the lock is enough.
      AND (
          l.due_at IS NULL
          OR greatest(excluded.due_at, coalesce(l.blocked_until, '-infinity')) < l.due_at
          OR (excluded.is_urgent AND NOT l.is_urgent)
      )
)
SELECT input.id AS "id!", keys.job_id AS "holder!"
FROM input
JOIN keys ON keys.kind = input.kind AND keys.unique_key = input.unique_key
WHERE keys.job_id <> input.id
