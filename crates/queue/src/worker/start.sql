-- Starts jobs of lanes that this worker owns.
WITH wanted AS MATERIALIZED (
    SELECT j.id, j.lane, j.kind, j.unique_key, j.is_unique_while_running, j.run_at, t.epoch
    FROM unnest($1::uuid[], $2::bigint[]) AS t (id, epoch)
    JOIN syncline.jobs j ON j.id = t.id
    -- Not waited for: what a crash of the server forgets is a start, and the job starts again.
    WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
),
-- KEY SHARE keeps the lane from being taken over before this commits: a rescuer that did not see these
-- starts would leave the jobs running for ever. Those who enqueue into the lane are not in the way.
held AS MATERIALIZED (
    SELECT lane, epoch
    FROM syncline.lanes
    WHERE lane IN (SELECT lane FROM wanted) AND owner = $3
    FOR KEY SHARE
),
-- A key that somebody is enqueueing again just now is locked: its job starts once that is committed,
-- so that it sees what was written with it.
lockable AS MATERIALIZED (
    SELECT k.kind, k.unique_key, k.job_id
    FROM wanted
    JOIN syncline.unique_keys k
        ON k.kind = wanted.kind AND k.unique_key = wanted.unique_key AND k.job_id = wanted.id
    WHERE wanted.unique_key IS NOT NULL AND NOT wanted.is_unique_while_running
    FOR UPDATE OF k SKIP LOCKED
),
startable AS MATERIALIZED (
    SELECT wanted.id, wanted.epoch, wanted.run_at
    FROM wanted
    JOIN held ON held.lane = wanted.lane AND held.epoch = wanted.epoch
    WHERE wanted.unique_key IS NULL
       OR wanted.is_unique_while_running
       OR wanted.id IN (SELECT job_id FROM lockable)
       -- A twin has the key.
       OR NOT EXISTS (
           SELECT
           FROM syncline.unique_keys k
           WHERE k.kind = wanted.kind
             AND k.unique_key = wanted.unique_key
             AND k.job_id = wanted.id
       )
),
started AS (
    UPDATE syncline.jobs j
    SET attempt = j.attempt + 1, started_at = now(), worker_id = $3, epoch = startable.epoch
    FROM startable
    WHERE j.id = startable.id
      AND j.started_at IS NULL
      AND j.attempt < j.max_attempts
      -- Put off since it was looked at.
      AND j.run_at = startable.run_at
    RETURNING j.*
),
freed AS (
    DELETE FROM syncline.unique_keys k
    USING lockable, started
    WHERE k.kind = lockable.kind
      AND k.unique_key = lockable.unique_key
      AND started.id = lockable.job_id
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT
        queue, kind,
        CASE WHEN attempt > 1 THEN 'retrying' ELSE 'waiting' END,
        date_trunc('minute', run_at, 'UTC'),
        -count(*)
    FROM started
    GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT queue, kind, 'running', to_timestamp(0), count(*)
    FROM started
    GROUP BY queue, kind
)
SELECT
    id AS "id!", lane AS "lane!", kind AS "kind!", queue AS "queue!", attempt AS "attempt!",
    max_attempts AS "max_attempts!", payload AS "payload!", limit_key, trace_context,
    started_at AS "started_at!",
    greatest(extract(epoch FROM started_at - run_at), 0)::float8 AS "waited_seconds!",
    epoch AS "epoch!"
FROM started
