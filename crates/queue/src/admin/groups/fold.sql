-- Moves deltas into the counts of groups, $1 at most. The caller folds alone.
WITH taken AS (
    DELETE FROM syncline.dead_group_deltas
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM syncline.dead_group_deltas LIMIT $1))
    RETURNING *
),
by_lane AS (
    SELECT fingerprint, lane, sum(change) AS change FROM taken GROUP BY fingerprint, lane
),
lanes AS (
    INSERT INTO syncline.dead_group_lanes AS l (fingerprint, lane, jobs)
    SELECT fingerprint, lane, change FROM by_lane WHERE change <> 0
    ON CONFLICT (fingerprint, lane) DO UPDATE SET jobs = l.jobs + excluded.jobs
    RETURNING fingerprint, lane, jobs
),
lane_changes AS (
    SELECT fingerprint, sum((jobs > 0)::integer - (jobs - change > 0)::integer) AS lanes
    FROM lanes
    JOIN by_lane USING (fingerprint, lane)
    GROUP BY fingerprint
),
totals AS (
    INSERT INTO syncline.dead_group_totals AS t (fingerprint, jobs, lanes, first_died_at, last_died_at)
    SELECT
        fingerprint, sum(change), coalesce(max(lanes), 0), min(first_died_at), max(last_died_at)
    FROM taken
    LEFT JOIN lane_changes USING (fingerprint)
    GROUP BY fingerprint
    ON CONFLICT (fingerprint) DO UPDATE
    SET jobs = t.jobs + excluded.jobs,
        lanes = t.lanes + excluded.lanes,
        first_died_at = least(t.first_died_at, excluded.first_died_at),
        last_died_at = greatest(t.last_died_at, excluded.last_died_at)
),
hours AS (
    INSERT INTO syncline.dead_group_hours AS h (fingerprint, hour, deaths)
    SELECT fingerprint, hour, sum(change)
    FROM taken
    WHERE hour > now() - interval '25 hours'
    GROUP BY fingerprint, hour
    ON CONFLICT (fingerprint, hour) DO UPDATE SET deaths = h.deaths + excluded.deaths
)
SELECT count(*) AS "taken!" FROM taken
