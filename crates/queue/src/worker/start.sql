-- Starts jobs of lanes that this worker owns.
-- KEY SHARE keeps a lane from being taken over before this commits: a rescuer that did not see these
-- starts would leave the jobs running for ever. Those who enqueue into the lane are not in the way.
WITH held AS MATERIALIZED (
    SELECT ours.number, ours.epoch
    FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS ours (lane, epoch, number)
    JOIN syncline.lanes l ON l.lane = ours.lane AND l.epoch = ours.epoch
    WHERE l.owner = $3
      -- The commit is not waited for: a start that a crash of the server forgets is made again.
      AND (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
    -- All who lock several lanes do so in this order.
    ORDER BY ours.lane
    FOR KEY SHARE OF l
),
keyed AS (
    SELECT * FROM unnest($8::uuid[], $9::text[], $10::text[]) AS t (id, kind, unique_key)
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
started AS (
    UPDATE syncline.jobs j
    SET attempt = j.attempt + 1, started_at = now(), worker_id = $3, epoch = held.epoch
    FROM unnest($4::tid[], $5::uuid[], $6::bigint[], $7::timestamptz[])
        AS wanted (place, id, lane_number, run_at)
    JOIN held ON held.number = wanted.lane_number
    -- Written since it was looked at, it lies elsewhere.
    WHERE j.ctid = wanted.place
      AND j.id = wanted.id
      AND j.id NOT IN (SELECT job_id FROM locked)
      AND j.started_at IS NULL
      AND j.attempt < j.max_attempts
      -- Whoever writes it just now may put it off.
      AND j.run_at = wanted.run_at
    RETURNING
        j.id, j.ctid, j.lane, j.kind, j.queue, j.attempt, j.max_attempts, j.payload, j.limit_key,
        j.trace_context, j.started_at, j.run_at, j.epoch,
        CASE WHEN j.is_unique_while_running THEN j.unique_key END AS held_key
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
    SELECT queue, kind, moved.state, moved.bucket, sign * jobs
    FROM (
        SELECT
            queue, kind, attempt > 1 AS is_retry,
            date_bin('1 minute', run_at, to_timestamp(0)) AS minute,
            count(*) AS jobs
        FROM started
        GROUP BY 1, 2, 3, 4
    ) AS begun
    CROSS JOIN LATERAL (
        VALUES
            (CASE WHEN is_retry THEN 'retrying' ELSE 'waiting' END, minute, -1),
            ('running', to_timestamp(0), 1)
    ) AS moved (state, bucket, sign)
)
SELECT
    id AS "id!", ctid AS "place!: Place", lane AS "lane!", kind AS "kind!",
    queue AS "queue!", attempt AS "attempt!", max_attempts AS "max_attempts!", payload::text AS "payload!", limit_key, trace_context,
    started_at AS "started_at!",
    greatest(extract(epoch FROM started_at - run_at), 0)::float8 AS "waited_seconds!",
    epoch AS "epoch!", held_key
FROM started
