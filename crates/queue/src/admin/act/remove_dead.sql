-- Dead jobs, gone for good.
WITH chosen AS MATERIALIZED (
    SELECT id FROM syncline.dead_jobs WHERE id = ANY ($1) ORDER BY id FOR UPDATE
),
gone AS (
    DELETE FROM syncline.dead_jobs d USING chosen WHERE d.id = chosen.id RETURNING d.id, d.queue, d.kind
),
counted AS (
    INSERT INTO syncline.job_count_deltas (queue, kind, state, bucket, change)
    SELECT queue, kind, 'dead', to_timestamp(0), -count(*)
    FROM gone
    GROUP BY queue, kind
)
SELECT id FROM gone
