-- The trace that a delivery came in: the jobs it causes go on with it.
ALTER TABLE syncline.webhook_deliveries
    ADD COLUMN trace_context text; -- W3C traceparent; null: nobody traced
