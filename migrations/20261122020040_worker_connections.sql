-- How much of its pool of connections a worker uses; told with its lease.
ALTER TABLE syncline.workers
    ADD COLUMN connections integer NOT NULL DEFAULT 0, -- it may have; 0 before it told
    ADD COLUMN connections_in_use integer NOT NULL DEFAULT 0;
