-- Lets lanes go that were locked by the statement before: due again when their next job is.
UPDATE syncline.lanes l
SET owner = NULL,
    due_at = CASE
        WHEN waiting.first_at IS NULL THEN NULL
        -- Due already: to the end of the line, so that every lane gets its turn.
        ELSE greatest(waiting.first_at, coalesce(l.blocked_until, '-infinity'), now())
    END,
    is_urgent = coalesce(waiting.is_urgent, false),
    limiter_tat = CASE WHEN ours.ahead > 0 THEN now() + make_interval(secs => ours.ahead) END
FROM unnest($1::text[], $2::bigint[], $3::float8[]) AS ours (lane, epoch, ahead)
CROSS JOIN LATERAL (
    SELECT min(run_at) AS first_at, bool_or(queue = $6) AS is_urgent
    FROM syncline.jobs
    WHERE jobs.lane = ours.lane AND started_at IS NULL
) AS waiting
WHERE l.lane = ours.lane
  AND l.owner = $4
  AND l.epoch = ours.epoch
  AND l.lane = ANY ($5)
