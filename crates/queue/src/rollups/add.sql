-- Adds measurements to the rows of the spans under way. The counts of each series are $5 numbers of $4, one series after
-- another.
WITH measured AS (
    SELECT measure, queue, kind, ($4::bigint[])[(number - 1) * $5 + 1 : number * $5] AS counts
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS t (measure, queue, kind, number)
)
INSERT INTO syncline.rollups AS r (span_minutes, began_at, measure, queue, kind, counts)
SELECT
    span_minutes, date_bin(make_interval(mins => span_minutes), now(), to_timestamp(0)),
    measure, queue, kind, counts
FROM measured
CROSS JOIN unnest($6::smallint[]) AS span_minutes
-- Processes that write the same rows do so in one order.
ORDER BY span_minutes, measure, queue, kind
ON CONFLICT (span_minutes, began_at, measure, queue, kind) DO UPDATE
SET counts = ARRAY(
    SELECT coalesce(before, 0) + coalesce(more, 0)
    FROM unnest(r.counts, excluded.counts) WITH ORDINALITY AS t (before, more, size)
    ORDER BY size
)
