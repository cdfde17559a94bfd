-- Adds one job without a unique key and tells its lane: as `enqueue.sql` does for many, with nothing that
-- only many or unique ones need.
WITH told AS (
    INSERT INTO syncline.lanes AS l (lane, due_at, is_urgent)
    VALUES ($2, coalesce($7, now() + make_interval(secs => $6)), $4 <> $15)
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
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    VALUES (
        $4, $3, 'waiting',
        date_bin(
            '1 minute', coalesce($7, now() + make_interval(secs => $6)), to_timestamp(0)
        ),
        1
    )
)
INSERT INTO syncline.jobs (
    id, lane, kind, queue, priority, run_at, max_attempts, payload, limit_key, organization_id, tags,
    trace_context, parent_id
)
VALUES (
    $1, $2, $3, $4, $5, coalesce($7, now() + make_interval(secs => $6)), $8, $9::text::json, $10, $11, $12,
    $13, $14
)
