-- Lets lanes go that were locked by the statement before: due again when their next job is.
UPDATE syncline.lanes l
SET owner = NULL,
    due_at = CASE
        WHEN waiting.first_at IS NULL OR waiting.first_at = 'infinity' THEN NULL
        -- Due already: to the end of the line, so that every lane gets its turn.
        ELSE greatest(waiting.first_at, coalesce(l.blocked_until, '-infinity'), now())
    END,
    is_urgent = coalesce(waiting.is_urgent, false),
    limiter_tat = CASE WHEN ours.ahead > 0 THEN now() + make_interval(secs => ours.ahead) END
FROM unnest($1::text[], $2::bigint[], $3::float8[], $8::boolean[])
    AS ours (lane, epoch, ahead, is_doubtful)
CROSS JOIN LATERAL (
    -- One look at the index for each priority in the lane, however many jobs wait.
    WITH RECURSIVE level AS (
        (SELECT priority FROM syncline.jobs WHERE lane = ours.lane ORDER BY priority LIMIT 1)
        UNION ALL
        SELECT further.priority
        FROM level
        CROSS JOIN LATERAL (
            SELECT priority
            FROM syncline.jobs
            WHERE lane = ours.lane AND priority > level.priority
            ORDER BY priority
            LIMIT 1
        ) AS further
    )
    SELECT min(first.due_at) AS first_at, bool_or(first.queue <> $6) AS is_urgent
    FROM level
    CROSS JOIN LATERAL (
        (
            SELECT
                -- What this worker does not serve is left to another for a moment.
                CASE
                    WHEN queue = ANY ($7) THEN run_at
                    ELSE greatest(run_at, now() + interval '1 second')
                END AS due_at,
                queue
            FROM syncline.jobs
            WHERE lane = ours.lane
              AND priority = level.priority
              AND started_at IS NULL
              AND NOT EXISTS (
                  SELECT
                  FROM syncline.pauses p
                  WHERE (p.paused_until IS NULL OR p.paused_until > now())
                    AND (
                        (p.scope = 'queue' AND p.name = jobs.queue)
                        OR (p.scope = 'kind' AND p.name = jobs.kind)
                        OR (p.scope = 'lane' AND p.name = ours.lane)
                        OR (p.scope = 'organization' AND p.name = jobs.organization_id)
                    )
              )
            ORDER BY run_at
            LIMIT 1
        )
        UNION ALL
        -- What is paused may be due when the first pause ends.
        (
            SELECT min(p.paused_until), NULL
            FROM syncline.pauses p
            WHERE p.paused_until > now() AND p.scope <> 'everything'
        )
    ) AS first
) AS waiting
WHERE l.lane = ours.lane
  AND l.owner = $4
  AND l.epoch = ours.epoch
  AND l.lane = ANY ($5)
  -- Locked, so no start is under way: whichever was not answered has taken effect, or never will. Let go
  -- with a job that runs nowhere, the lane would be nobody's to look at. Seldom asked, because it reads
  -- all jobs of the lane.
  AND NOT (
      ours.is_doubtful
      AND EXISTS (
          SELECT FROM syncline.jobs j WHERE j.lane = ours.lane AND j.started_at IS NOT NULL
      )
  )
