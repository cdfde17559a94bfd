-- Jobs that fulfil a filter, newest first. Parameters that are null ask for nothing; the statement is
-- planned with their values, so that what is not asked for costs nothing.
SELECT
    id AS "id!", lane AS "lane!", kind AS "kind!", queue AS "queue!", state AS "state!",
    priority AS "priority!", attempt AS "attempt!", max_attempts AS "max_attempts!",
    organization_id, tags AS "tags!", worker_id, error_class, left(last_error, 300) AS last_error,
    http_status, created_at AS "created_at!", run_at AS "run_at!", started_at, finished_at, parent_id
FROM syncline.all_jobs
WHERE place = ANY ($1)
  AND ($2::text[] IS NULL OR state = ANY ($2))
  AND ($3::text[] IS NULL OR kind = ANY ($3))
  AND ($4::text[] IS NULL OR queue = ANY ($4))
  AND ($5::text[] IS NULL OR lane = ANY ($5))
  AND ($6::text IS NULL OR organization_id = $6)
  AND ($7::text IS NULL OR tags @> ARRAY[$7])
  AND ($8::smallint IS NULL OR attempt >= $8)
  AND ($9::smallint IS NULL OR attempt <= $9)
  AND ($10::timestamptz IS NULL OR created_at >= $10)
  AND ($11::timestamptz IS NULL OR created_at < $11)
  AND ($12::timestamptz IS NULL OR run_at >= $12)
  AND ($13::timestamptz IS NULL OR run_at < $13)
  AND ($14::timestamptz IS NULL OR finished_at >= $14)
  AND ($15::timestamptz IS NULL OR finished_at < $15)
  AND ($16::text IS NULL OR last_error ILIKE $16)
  AND ($17::text IS NULL OR error_class = $17)
  AND ($18::smallint IS NULL OR http_status = $18)
  AND ($19::uuid IS NULL OR worker_id = $19)
  AND ($20::uuid IS NULL OR parent_id = $20)
  -- What a bulk action was confirmed for.
  AND ($21::timestamptz IS NULL OR (created_at <= $21 AND coalesce(finished_at <= $21, true)))
  AND ($22::uuid IS NULL OR id < $22)
  AND ($23::uuid IS NULL OR id >= $23)
  AND ($25::text IS NULL OR fingerprint = $25)
  AND ($26::text[] IS NULL
      OR syncline.payload_at(payload, $26) = coalesce($27, syncline.payload_at(payload, $26)))
ORDER BY id DESC
LIMIT $24
