-- What was measured lately, in spans of time: how long jobs waited and ran, how webhooks were acknowledged. Processes add
-- to it every few seconds what they measured; nobody reads jobs for it. House-keeping deletes spans that nobody asks for.
CREATE TABLE syncline.rollups (
    span_minutes smallint NOT NULL, -- length of the span
    began_at timestamptz NOT NULL, -- a multiple of that length, by the database's clock
    measure text NOT NULL,
    queue text NOT NULL, -- '': of no queue, or of all
    kind text NOT NULL, -- '': of no kind, or of all
    counts bigint[] NOT NULL, -- of measurements by size, the bounds growing by a factor: see queue::rollups
    CONSTRAINT rollups_pkey PRIMARY KEY (span_minutes, began_at, measure, queue, kind),
    CONSTRAINT rollups_span_known CHECK (span_minutes IN (5, 60, 360))
) WITH (fillfactor = 50);

-- The rows of the spans under way are written every few seconds by each process.
ALTER TABLE syncline.rollups SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
