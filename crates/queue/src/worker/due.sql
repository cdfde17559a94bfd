-- The first due jobs of lanes that are ours.
SELECT
    job.id AS "id!", job.place AS "place!: Place", ours.lane AS "lane!", job.kind AS "kind!",
    job.queue AS "queue!", job.priority AS "priority!", job.run_at AS "run_at!", job.limit_key,
    CASE WHEN NOT job.is_unique_while_running THEN job.unique_key END AS unique_key
FROM unnest($1::text[], $2::bigint[]) AS ours (lane, at_most)
CROSS JOIN LATERAL syncline.due_jobs(ours.lane, $3, ours.at_most) AS job
