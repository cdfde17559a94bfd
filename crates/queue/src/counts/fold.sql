-- Moves deltas into the counts. Deltas of transactions still under way are not seen, and stay.
WITH taken AS (
    DELETE FROM syncline.job_count_deltas RETURNING queue, kind, state, bucket, change
),
folded AS (
    INSERT INTO syncline.job_counts AS c (queue, kind, state, bucket, jobs)
    SELECT queue, kind, state, bucket, sum(change)
    FROM taken
    GROUP BY queue, kind, state, bucket
    HAVING sum(change) <> 0
    ORDER BY queue, kind, state, bucket
    ON CONFLICT (queue, kind, state, bucket) DO UPDATE SET jobs = c.jobs + excluded.jobs
)
SELECT count(*) AS "taken!" FROM taken
