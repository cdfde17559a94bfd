-- Jobs that will run again. Those without an error class did not fail: their attempt is given back.
WITH ended AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::smallint[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::float8[],
        $7::text[], $8::text[], $9::smallint[], $10::boolean[]
    ) AS t (
        id, attempt, worker_id, epoch, started_at, delay_seconds,
        error_class, message, http_status, parks_lane
    )
),
-- The fence.
held AS MATERIALIZED (
    SELECT ended.*
    FROM ended
    JOIN syncline.jobs j ON j.id = ended.id AND j.attempt = ended.attempt
    JOIN syncline.lanes l
        ON l.lane = j.lane AND l.owner = ended.worker_id AND l.epoch = ended.epoch
    WHERE j.started_at IS NOT NULL
    FOR KEY SHARE OF l
),
back AS (
    UPDATE syncline.jobs j
    SET started_at = NULL,
        attempt = CASE WHEN held.error_class IS NULL THEN j.attempt - 1 ELSE j.attempt END,
        run_at = CASE
            -- Handed back as it was: its turn has not come yet.
            WHEN held.message IS NULL THEN j.run_at
            ELSE now() + make_interval(secs => held.delay_seconds)
        END,
        last_error = coalesce(held.message, j.last_error)
    FROM held
    WHERE j.id = held.id
    RETURNING j.id, j.lane, j.kind, j.unique_key
),
-- Pending again, so it holds its key again, unless a twin took it meanwhile: then both run.
keys AS (
    INSERT INTO syncline.unique_keys (kind, unique_key, job_id)
    SELECT kind, unique_key, id
    FROM back
    WHERE unique_key IS NOT NULL
    ORDER BY kind, unique_key
    ON CONFLICT (kind, unique_key) DO NOTHING
),
recorded AS (
    INSERT INTO syncline.job_attempts (
        job_id, attempt, worker_id, started_at, finished_at,
        outcome, error_class, message, http_status
    )
    SELECT
        id, attempt, worker_id, started_at, now(),
        'retried', error_class, coalesce(message, ''), http_status
    FROM held
    WHERE error_class IS NOT NULL
),
parked AS (
    UPDATE syncline.lanes l
    SET blocked_until = greatest(l.blocked_until, now() + make_interval(secs => longest.seconds)),
        blocked_reason = longest.message
    FROM (
        SELECT DISTINCT ON (back.lane) back.lane, held.delay_seconds AS seconds, held.message
        FROM held
        JOIN back ON back.id = held.id
        WHERE held.parks_lane
        ORDER BY back.lane, held.delay_seconds DESC
    ) AS longest
    WHERE l.lane = longest.lane
)
SELECT id FROM back
