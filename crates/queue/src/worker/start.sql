-- Starts jobs of lanes that this worker owns.
-- KEY SHARE keeps a lane from being taken over before this commits: a rescuer that did not see these
-- starts would leave the jobs running for ever. Those who enqueue into the lane are not in the way.
WITH held AS MATERIALIZED (
    SELECT lane, epoch
    FROM syncline.lanes
    WHERE lane = ANY ($1)
      AND owner = $2
      -- The commit is not waited for: a start that a crash of the server forgets is made again.
      AND (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
    FOR KEY SHARE
),
keyed AS (
    SELECT * FROM unnest($7::uuid[], $8::text[], $9::text[]) AS t (id, kind, unique_key)
),
-- A key that somebody is enqueueing again just now is locked: its job starts once that is committed,
-- so that it sees what was written with it.
lockable AS MATERIALIZED (
    SELECT k.kind, k.unique_key, k.job_id
    FROM keyed
    JOIN syncline.unique_keys k
        ON k.kind = keyed.kind AND k.unique_key = keyed.unique_key AND k.job_id = keyed.id
    FOR UPDATE OF k SKIP LOCKED
),
locked AS (
    SELECT k.job_id
    FROM keyed
    JOIN syncline.unique_keys k
        ON k.kind = keyed.kind AND k.unique_key = keyed.unique_key AND k.job_id = keyed.id
    WHERE k.job_id NOT IN (SELECT job_id FROM lockable)
),
startable AS (
    SELECT wanted.id, wanted.epoch, wanted.run_at
    FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[])
        AS wanted (id, lane, epoch, run_at)
    JOIN held ON held.lane = wanted.lane AND held.epoch = wanted.epoch
    WHERE wanted.id NOT IN (SELECT job_id FROM locked)
),
started AS (
    UPDATE syncline.jobs j
    SET attempt = j.attempt + 1, started_at = now(), worker_id = $2, epoch = startable.epoch
    FROM startable
    WHERE j.id = startable.id
      AND j.started_at IS NULL
      AND j.attempt < j.max_attempts
      -- Put off since it was looked at.
      AND j.run_at = startable.run_at
    RETURNING
        j.id, j.lane, j.kind, j.queue, j.attempt, j.max_attempts, j.payload, j.limit_key,
        j.trace_context, j.started_at, j.run_at, j.epoch
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
    SELECT queue, kind, state, bucket, sum(change)
    FROM (
        SELECT
            queue, kind,
            CASE WHEN attempt > 1 THEN 'retrying' ELSE 'waiting' END AS state,
            date_trunc('minute', run_at, 'UTC') AS bucket,
            -1 AS change
        FROM started
        UNION ALL
        SELECT queue, kind, 'running', to_timestamp(0), 1
        FROM started
    ) AS moved
    GROUP BY 1, 2, 3, 4
)
SELECT
    id AS "id!", lane AS "lane!", kind AS "kind!", queue AS "queue!", attempt AS "attempt!",
    max_attempts AS "max_attempts!", payload AS "payload!", limit_key, trace_context,
    started_at AS "started_at!",
    greatest(extract(epoch FROM started_at - run_at), 0)::float8 AS "waited_seconds!",
    epoch AS "epoch!"
FROM started
