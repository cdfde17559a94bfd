-- The id that Merge gave a request leads to the job that made it. On a table that is new with this release.
CREATE INDEX attempt_notes_requests_idx ON syncline.attempt_notes
    USING gin (jsonb_path_query_array(notes::jsonb, '$.requests[*].request_id') jsonb_path_ops);
