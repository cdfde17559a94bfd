-- Where the counts differ from the jobs. One statement sees one moment, and whoever changes jobs commits
-- the change of the counts with it: a difference is a fault, not a delay.
WITH counted AS (
    SELECT queue, kind, state, bucket, sum(jobs)::bigint AS jobs
    FROM (
        SELECT queue, kind, state, bucket, jobs FROM syncline.job_counts
        UNION ALL
        SELECT queue, kind, state, bucket, change FROM syncline.job_count_deltas
    ) AS both_parts
    GROUP BY queue, kind, state, bucket
),
actual AS (
    SELECT
        queue, kind,
        CASE
            WHEN started_at IS NOT NULL THEN 'running'
            WHEN attempt > 0 THEN 'retrying'
            ELSE 'waiting'
        END AS state,
        CASE
            WHEN started_at IS NOT NULL THEN to_timestamp(0)
            ELSE date_bin('1 minute', run_at, to_timestamp(0))
        END AS bucket,
        count(*) AS jobs
    FROM syncline.jobs
    GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT queue, kind, state, date_trunc('day', finished_at, 'UTC'), count(*)
    FROM syncline.job_history
    GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT queue, kind, 'dead', to_timestamp(0), count(*)
    FROM syncline.dead_jobs
    GROUP BY 1, 2
)
SELECT
    queue AS "queue!", kind AS "kind!", state AS "state!", bucket AS "bucket!",
    coalesce(counted.jobs, 0) AS "counted!", coalesce(actual.jobs, 0) AS "actual!"
FROM counted
FULL JOIN actual USING (queue, kind, state, bucket)
WHERE coalesce(counted.jobs, 0) <> coalesce(actual.jobs, 0)
ORDER BY queue, kind, state, bucket
