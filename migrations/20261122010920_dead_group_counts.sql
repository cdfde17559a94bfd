-- How many jobs died of what, in how many lanes and when, without looking at a dead job. What comes to and goes from
-- `dead_jobs` is appended to `dead_group_deltas`, in the same transaction and without waiting for anybody; who looks, and
-- house-keeping, folds it into the other tables.
CREATE TABLE syncline.dead_group_deltas (
    fingerprint text NOT NULL,
    lane text NOT NULL,
    change integer NOT NULL, -- jobs that came, or went
    -- Of those that came; null of those that went.
    hour timestamptz, -- in which they died
    first_died_at timestamptz,
    last_died_at timestamptz
);
ALTER TABLE syncline.dead_group_deltas
    SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE syncline.dead_group_totals (
    fingerprint text CONSTRAINT dead_group_totals_pkey PRIMARY KEY,
    jobs bigint NOT NULL, -- that are dead
    lanes bigint NOT NULL, -- that they are in
    first_died_at timestamptz, -- of any of them, also of those that are gone since; null before one is known
    last_died_at timestamptz
);

-- How many of a group are in a lane: so that lanes can be counted.
CREATE TABLE syncline.dead_group_lanes (
    fingerprint text NOT NULL,
    lane text NOT NULL,
    jobs bigint NOT NULL,
    CONSTRAINT dead_group_lanes_pkey PRIMARY KEY (fingerprint, lane)
);
CREATE INDEX dead_group_lanes_none_idx ON syncline.dead_group_lanes (fingerprint) WHERE jobs = 0;

-- How many died in an hour, also those that are gone since; of the last day.
CREATE TABLE syncline.dead_group_hours (
    fingerprint text NOT NULL,
    hour timestamptz NOT NULL,
    deaths bigint NOT NULL,
    CONSTRAINT dead_group_hours_pkey PRIMARY KEY (fingerprint, hour)
);

-- One row a group, lane and hour, whatever the number of jobs: once a statement.
CREATE FUNCTION syncline.count_dead() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO syncline.dead_group_deltas (fingerprint, lane, change)
        SELECT fingerprint, lane, -count(*)
        FROM gone
        GROUP BY fingerprint, lane;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO syncline.dead_group_deltas (fingerprint, lane, change, hour, first_died_at, last_died_at)
        SELECT
            fingerprint, lane, count(*), date_trunc('hour', finished_at, 'UTC'), min(finished_at), max(finished_at)
        FROM come
        GROUP BY fingerprint, lane, date_trunc('hour', finished_at, 'UTC');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER dead_jobs_come AFTER INSERT ON syncline.dead_jobs
    REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION syncline.count_dead();
CREATE TRIGGER dead_jobs_go AFTER DELETE ON syncline.dead_jobs
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION syncline.count_dead();
CREATE TRIGGER dead_jobs_change AFTER UPDATE ON syncline.dead_jobs
    REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION syncline.count_dead();

INSERT INTO syncline.dead_group_deltas (fingerprint, lane, change, hour, first_died_at, last_died_at)
SELECT fingerprint, lane, count(*), date_trunc('hour', finished_at, 'UTC'), min(finished_at), max(finished_at)
FROM syncline.dead_jobs
GROUP BY fingerprint, lane, date_trunc('hour', finished_at, 'UTC');
