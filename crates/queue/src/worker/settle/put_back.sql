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
back AS (
    UPDATE syncline.jobs j
    SET started_at = NULL,
        worker_id = NULL,
        epoch = NULL,
        attempt = CASE WHEN ended.error_class IS NULL THEN j.attempt - 1 ELSE j.attempt END,
        run_at = CASE
            -- Handed back as it was: its turn has not come yet.
            WHEN ended.message IS NULL THEN j.run_at
            ELSE now() + make_interval(secs => ended.delay_seconds)
        END,
        last_error = coalesce(ended.message, j.last_error)
    FROM ended
    -- The fence.
    WHERE j.id = ended.id
      AND j.attempt = ended.attempt
      AND j.worker_id = ended.worker_id
      AND j.epoch = ended.epoch
    RETURNING
        j.id, j.lane, j.kind, j.queue, j.attempt AS left_attempt, j.run_at, j.unique_key,
        j.is_unique_while_running, ended.attempt, ended.worker_id, ended.started_at,
        ended.delay_seconds, ended.error_class, ended.message, ended.http_status, ended.parks_lane
),
-- Pending again, so it holds its key again, unless a twin took it meanwhile: then both run.
keys AS (
    INSERT INTO syncline.unique_keys (kind, unique_key, job_id)
    SELECT kind, unique_key, id
    FROM back
    WHERE unique_key IS NOT NULL AND NOT is_unique_while_running
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
    FROM back
    WHERE error_class IS NOT NULL
),
parked AS (
    UPDATE syncline.lanes l
    SET blocked_until = greatest(l.blocked_until, now() + make_interval(secs => longest.seconds)),
        blocked_reason = longest.message
    FROM (
        SELECT DISTINCT ON (lane) lane, delay_seconds AS seconds, message
        FROM back
        WHERE parks_lane
        ORDER BY lane, delay_seconds DESC
    ) AS longest
    WHERE l.lane = longest.lane
),
noted AS (
    INSERT INTO syncline.attempt_notes (job_id, started_at, finished_at, notes)
    SELECT back.id, back.started_at, now(), notes::json
    FROM unnest($11::uuid[], $12::text[]) AS told (id, notes)
    JOIN back ON back.id = told.id
    -- Of attempts; what was put off is none.
    WHERE back.error_class IS NOT NULL
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, 'running', to_timestamp(0), -count(*)
    FROM back
    GROUP BY queue, kind
    UNION ALL
    SELECT
        queue, kind,
        CASE WHEN left_attempt > 0 THEN 'retrying' ELSE 'waiting' END,
        date_bin('1 minute', run_at, to_timestamp(0)),
        count(*)
    FROM back
    GROUP BY 1, 2, 3, 4
)
SELECT id FROM back
