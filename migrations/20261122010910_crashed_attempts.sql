-- What ran in a worker that ended without a word. Rarely written, so it costs nothing to keep.
CREATE INDEX job_attempts_crashed_idx ON syncline.job_attempts (worker_id) WHERE outcome = 'crashed';
