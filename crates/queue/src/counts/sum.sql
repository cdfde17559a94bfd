-- How many jobs there are, by what was counted of each: folded counts and what has been added since.
SELECT
    queue AS "queue!", kind AS "kind!",
    CASE
        WHEN state = 'retrying' THEN 'retryable'
        WHEN state <> 'waiting' THEN state
        WHEN bucket <= now() THEN 'available'
        ELSE 'scheduled'
    END AS "state!",
    CASE WHEN state IN ('completed', 'cancelled') THEN (bucket AT TIME ZONE 'UTC')::date END AS day,
    sum(jobs)::bigint AS "jobs!"
FROM (
    SELECT queue, kind, state, bucket, jobs FROM syncline.job_counts
    UNION ALL
    SELECT queue, kind, state, bucket, change FROM syncline.job_count_deltas
) AS counted
GROUP BY 1, 2, 3, 4
HAVING sum(jobs) <> 0
ORDER BY 1, 2, 3, 4
