-- The inbox in a form that receiving is quick in, and that is kept by the day. All before the first release.
--
-- The receiver only appends: of the indexes below its rows enter the first two. What is looked for by the hash of a
-- body, by account, or by Merge's id of one has been judged, and enters the others by that.
ALTER TABLE syncline.webhook_deliveries RENAME TO webhook_deliveries_before;
ALTER INDEX syncline.webhook_deliveries_pkey RENAME TO webhook_deliveries_before_pkey;
DROP INDEX syncline.webhook_deliveries_waiting, syncline.webhook_deliveries_body_hash,
    syncline.webhook_deliveries_account;

CREATE TABLE syncline.webhook_deliveries (
    id uuid NOT NULL, -- version 7: roughly the order of arrival
    received_at timestamptz NOT NULL DEFAULT now(),
    shard smallint NOT NULL, -- which `process_deliveries` job drains it; by the body, so that twins meet
    body_hash bytea NOT NULL, -- SHA-256 of the raw body
    body_sealed bytea NOT NULL, -- the raw body, encrypted: it may hold an account token
    body_key_id text NOT NULL, -- the encryption key
    secret_id text NOT NULL, -- the signing secret; see `webhook_secrets`
    verdict text NOT NULL DEFAULT 'received',
    verdict_detail text,
    processed_at timestamptz,
    duplicate_of uuid, -- an earlier delivery with the same body
    replays smallint NOT NULL DEFAULT 0, -- how often somebody asked to judge it once more
    event text, -- as named in the body; null until it is judged. So with all that follow
    merge_account_id text,
    account_id uuid,
    job_ids uuid[], -- what it caused: jobs that were enqueued, or waited already

    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id, received_at),
    CONSTRAINT webhook_deliveries_verdict_known CHECK (verdict IN (
        'received', 'processed', 'ignored', 'parked', 'unknown_account', 'unparseable', 'duplicate'
    )),
    CONSTRAINT webhook_deliveries_received_is_unprocessed CHECK ((verdict = 'received') = (processed_at IS NULL))
) PARTITION BY RANGE (received_at);

-- Sealed bytes do not compress.
ALTER TABLE syncline.webhook_deliveries ALTER COLUMN body_sealed SET STORAGE EXTERNAL;

CREATE INDEX webhook_deliveries_waiting
    ON syncline.webhook_deliveries (shard, id)
    WHERE verdict = 'received';

-- A twin counts when it was acted on.
CREATE INDEX webhook_deliveries_twins
    ON syncline.webhook_deliveries (body_hash)
    WHERE verdict = 'processed';

CREATE INDEX webhook_deliveries_account
    ON syncline.webhook_deliveries (account_id)
    WHERE account_id IS NOT NULL;

-- What an account that is linked later may have been meant by.
CREATE INDEX webhook_deliveries_before_link
    ON syncline.webhook_deliveries (merge_account_id)
    WHERE verdict IN ('parked', 'unknown_account');

-- Makes the partitions (one a UTC day) from `first` on, until so many days from now. Safe to call at any time, by
-- several at once; costs nothing when there is nothing to do.
CREATE FUNCTION syncline.ensure_delivery_partitions(first date, days_ahead integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    day date;
    name text;
    is_locked boolean := false;
BEGIN
    FOR day IN
        SELECT generate_series(first, (now() AT TIME ZONE 'UTC')::date + days_ahead, '1 day')::date
    LOOP
        name := 'webhook_deliveries_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(format('syncline.%I', name)) IS NOT NULL;
        IF NOT is_locked THEN
            PERFORM pg_advisory_xact_lock(hashtext('syncline.ensure_delivery_partitions'));
            is_locked := true;
            CONTINUE WHEN to_regclass(format('syncline.%I', name)) IS NOT NULL;
        END IF;
        -- A body of usual size stays in its row, where one write stores it.
        EXECUTE format(
            'CREATE TABLE syncline.%I PARTITION OF syncline.webhook_deliveries FOR VALUES FROM (%L) TO (%L)
                WITH (toast_tuple_target = 8160)',
            name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END LOOP;
END $$;

-- Drops the partitions that hold only days before `before` (UTC); says how many. One in which something waits to be
-- judged is kept, and one that somebody reads is left for the next time, so that nobody has to wait behind this.
CREATE FUNCTION syncline.drop_delivery_partitions(before date) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    name text;
    is_waiting boolean;
    dropped integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    FOR name IN
        SELECT child.relname
        FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'syncline.webhook_deliveries'::regclass
          AND to_date(right(child.relname, 8), 'YYYYMMDD') < before
        ORDER BY child.relname
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM syncline.%I WHERE verdict = ''received'')', name)
            INTO is_waiting;
        CONTINUE WHEN is_waiting;
        BEGIN
            EXECUTE format('DROP TABLE syncline.%I', name);
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
    END LOOP;
    RETURN dropped;
END $$;

SELECT syncline.ensure_delivery_partitions(
    (least(min(received_at), now() - interval '1 day') AT TIME ZONE 'UTC')::date, 3)
FROM syncline.webhook_deliveries_before;

INSERT INTO syncline.webhook_deliveries (
    id, received_at, shard, body_hash, body_sealed, body_key_id, secret_id, verdict, verdict_detail, processed_at,
    duplicate_of, event, merge_account_id, account_id
)
SELECT
    id, received_at, shard, body_hash, body_sealed, body_key_id, 'number ' || key_index + 1, verdict, verdict_detail,
    processed_at, duplicate_of, event, merge_account_id, account_id
FROM syncline.webhook_deliveries_before;

DROP TABLE syncline.webhook_deliveries_before;

-- Which signing secrets were in use when. Kept when the deliveries are not.
CREATE TABLE syncline.webhook_secrets (
    id text NOT NULL, -- a short hash of the secret
    first_used_at timestamptz NOT NULL, -- when the first delivery arrived that it signed
    last_used_at timestamptz NOT NULL, -- to the minute

    CONSTRAINT webhook_secrets_pkey PRIMARY KEY (id)
);
