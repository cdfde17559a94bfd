-- Who changed what, when and why. Each entry's hash covers the entry and the hash before it; see `store::audit`.
CREATE TABLE syncline.audit_log (
    position bigint NOT NULL, -- 1, 2, 3, … without a gap
    at timestamptz NOT NULL,
    actor text NOT NULL, -- 'anna', 'key backend (sl_3fA…)', 'command line (root)'
    role text NOT NULL, -- what the actor was allowed to be
    action text NOT NULL, -- 'job.retry'
    target text NOT NULL, -- what it was done to: an id, a queue, a filter's words
    reason text, -- in the actor's words
    detail text NOT NULL, -- JSON as it was hashed: filter, count, before, after
    hash bytea NOT NULL, -- SHA-256

    CONSTRAINT audit_log_pkey PRIMARY KEY (position),
    CONSTRAINT audit_log_hash_is_sha256 CHECK (octet_length(hash) = 32)
);
CREATE INDEX audit_log_target ON syncline.audit_log (target, position);

-- The newest entry. One row: who appends locks it, so that entries have one order.
CREATE TABLE syncline.audit_head (
    is_only boolean NOT NULL DEFAULT true,
    position bigint NOT NULL,
    hash bytea NOT NULL,

    CONSTRAINT audit_head_pkey PRIMARY KEY (is_only),
    CONSTRAINT audit_head_one_row CHECK (is_only)
);
INSERT INTO syncline.audit_head (position, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION syncline.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is only ever appended to', TG_TABLE_SCHEMA, TG_TABLE_NAME;
END
$$;
CREATE TRIGGER audit_log_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON syncline.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION syncline.refuse_change();
