-- Lanes of dead workers find new owners. The lanes are locked; those with a busy job keep waiting.
WITH freed AS (
    UPDATE syncline.lanes
    SET owner = NULL,
        epoch = epoch + 1,
        due_at = greatest(now(), coalesce(blocked_until, now())),
        limiter_tat = now() + make_interval(secs => $4),
        crashes = CASE WHEN lane = ANY ($3) THEN least(crashes, 1000) + 1 ELSE crashes END
    WHERE lane = ANY ($1) AND NOT lane = ANY ($2)
    RETURNING lane, crashes
),
quarantined AS (
    INSERT INTO syncline.pauses (scope, name, paused_by, reason)
    SELECT
        'lane', lane, 'syncline',
        format(
            'quarantined: %s workers in a row ended while they ran jobs of this lane, and none of '
            'its jobs completed in between; find the job that ends them (see the attempts with the '
            'error class `crashed`), cancel it, then resume the lane',
            crashes
        )
    FROM freed
    WHERE crashes >= $5 AND lane = ANY ($3)
    ON CONFLICT (scope, name) DO NOTHING
)
SELECT count(*) AS "freed!" FROM freed
