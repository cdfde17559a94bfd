-- Starts jobs of lanes that this worker owns.
WITH wanted AS (
    SELECT id, epoch FROM unnest($1::uuid[], $2::bigint[]) AS t (id, epoch)
),
-- KEY SHARE keeps the lane from being taken over before this commits: a rescuer that did not see these
-- starts would leave the jobs running for ever. Those who enqueue into the lane are not in the way.
held AS MATERIALIZED (
    SELECT j.id, l.epoch
    FROM wanted
    JOIN syncline.jobs j ON j.id = wanted.id
    JOIN syncline.lanes l ON l.lane = j.lane
    WHERE l.owner = $3 AND l.epoch = wanted.epoch
    FOR KEY SHARE OF l
),
-- A key that somebody is enqueueing again just now is locked: its job starts once that is committed,
-- so that it sees what was written with it.
lockable AS MATERIALIZED (
    SELECT kind, unique_key, job_id
    FROM syncline.unique_keys
    WHERE job_id = ANY ($1)
    FOR UPDATE SKIP LOCKED
),
freed AS (
    DELETE FROM syncline.unique_keys k
    USING lockable, held
    WHERE k.kind = lockable.kind
      AND k.unique_key = lockable.unique_key
      AND k.job_id = lockable.job_id
      AND held.id = k.job_id
    RETURNING k.job_id
)
UPDATE syncline.jobs j
SET attempt = j.attempt + 1, started_at = now()
FROM held
WHERE j.id = held.id
  AND j.started_at IS NULL
  AND j.attempt < j.max_attempts
  AND (
      j.unique_key IS NULL
      OR j.id IN (SELECT job_id FROM freed)
      OR NOT EXISTS (SELECT FROM syncline.unique_keys k WHERE k.job_id = j.id)
  )
RETURNING
    j.id, j.lane, j.kind, j.queue, j.attempt, j.max_attempts, j.payload, j.limit_key,
    j.started_at AS "started_at!",
    greatest(extract(epoch FROM j.started_at - j.run_at), 0)::float8 AS "waited_seconds!",
    held.epoch
