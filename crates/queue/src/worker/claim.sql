-- Claims due lanes, urgent ones first, then those that have been due longest, and looks into them at once.
-- What is committed between this statement's snapshot and a lane's lock is not among its jobs: it is found
-- when the lane is looked at again or let go.
WITH claimed AS (
    UPDATE syncline.lanes
    SET owner = $1, epoch = epoch + 1, is_urgent = false
    WHERE lane = ANY (
            ARRAY(
                SELECT lane
                FROM syncline.lanes
                WHERE owner IS NULL AND is_urgent AND due_at <= now()
                ORDER BY due_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            ) || ARRAY(
                SELECT lane
                FROM syncline.lanes
                WHERE owner IS NULL AND due_at <= now()
                ORDER BY due_at
                LIMIT $3
                FOR UPDATE SKIP LOCKED
            )
        )
      AND EXISTS (SELECT FROM syncline.workers WHERE id = $1 AND state = 'running')
      -- The commit is not waited for: a claim that a crash of the server forgets is noticed at the first
      -- start.
      AND (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
    RETURNING
        lane, epoch,
        greatest(coalesce(extract(epoch FROM limiter_tat - now()), 0), 0)::float8 AS ahead,
        crashes
)
SELECT
    claimed.lane AS "lane!", claimed.epoch AS "epoch!", claimed.ahead AS "ahead!",
    claimed.crashes AS "crashes!", job.id AS "id?", job.place AS "place?: Place", job.kind AS "kind?",
    job.queue AS "queue?", job.priority AS "priority?", job.run_at AS "run_at?", job.limit_key,
    CASE WHEN NOT job.is_unique_while_running THEN job.unique_key END AS unique_key
FROM claimed
LEFT JOIN LATERAL syncline.due_jobs(claimed.lane, $4, $5) AS job ON true
