-- A service with much to do, of 2,000 customers: MANY jobs that wait, MANY that ended, a fiftieth of that dead.
-- Ids are of version 7, so that newer rows have higher ones.

INSERT INTO syncline.linked_accounts (
    id, organization_id, category, end_user_origin_id, end_user_organization_name, end_user_email_address, status,
    merge_account_id, integration_name, integration_slug, account_token_sealed, account_token_key_id,
    account_token_hash, initial_sync_completed_at, last_polled_at, next_poll_at
)
SELECT
    ('019a0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'org_' || n, 'hris', 'origin_' || n, 'Customer ' || n,
    'it@customer.example', 'active', 'merge_' || n, 'BambooHR', 'bamboohr', '\x00', 'key', sha256(n::text::bytea), now(), now(),
    now() + interval '30 minutes'
FROM generate_series(0, 1999) AS n;

INSERT INTO syncline.workers (id, lease_until, host, pid, version, slots)
SELECT ('0e9c1f60-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, now() + interval '1 day', 'worker-' || n, n, '0', '{"sync": 16}'
FROM generate_series(1, 8) AS n;

-- One in ten was tried already, one in a hundred is due; one in 50,000 failed in a way of its own.
INSERT INTO syncline.jobs (
    id, lane, kind, queue, priority, run_at, attempt, max_attempts, payload, organization_id, tags, last_error, created_at
)
SELECT
    (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - (MANY - n) * 80), 12, '0') || '7000'
        || '8000' || lpad(to_hex(n), 12, '0'))::uuid,
    'acct:019a0000-0000-7000-8000-' || lpad(to_hex(n % 2000), 12, '0'),
    (ARRAY['fetch_model_window', 'fetch_model_window', 'fetch_model_window', 'poll_sync_status', 'check_health'])[1 + n % 5],
    'sync', 50, now() + CASE WHEN n % 100 = 0 THEN -1 ELSE 1 END * (1 + n % 86400) * interval '1 second',
    CASE WHEN n % 10 = 0 THEN 1 + n % 7 ELSE 0 END, 20,
    json_build_object('account_id', '019a0000-0000-7000-8000-' || lpad(to_hex(n % 2000), 12, '0'), 'model_id', 'hris.Employee'),
    'org_' || n % 2000, CASE WHEN n % 1000 = 0 THEN '{first-sync}' ELSE '{}' END::text[],
    CASE
        WHEN n % 50000 = 10 THEN 'the certificate of the far side has expired'
        WHEN n % 10 = 0 THEN 'Merge answered 503 Service Unavailable, request ' || md5(n::text)
    END,
    now() - (MANY - n) * interval '80 milliseconds'
FROM generate_series(1, MANY::bigint) AS n;
INSERT INTO syncline.lanes (lane, due_at)
SELECT lane, min(run_at) FROM syncline.jobs GROUP BY lane;

INSERT INTO syncline.job_history (
    id, lane, kind, queue, priority, state, attempt, max_attempts, payload, organization_id, tags, worker_id,
    error_class, last_error, created_at, run_at, started_at, finished_at
)
SELECT
    (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - (MANY - n) * 80), 12, '0') || '7000'
        || '8001' || lpad(to_hex(n), 12, '0'))::uuid,
    'acct:019a0000-0000-7000-8000-' || lpad(to_hex(n % 2000), 12, '0'),
    (ARRAY['fetch_model_window', 'fetch_model_window', 'fetch_model_window', 'poll_sync_status', 'check_health'])[1 + n % 5],
    'sync', 50, CASE WHEN n % 40 = 0 THEN 'cancelled' ELSE 'completed' END, 1, 20,
    json_build_object('account_id', '019a0000-0000-7000-8000-' || lpad(to_hex(n % 2000), 12, '0'), 'model_id', 'hris.Employee'),
    'org_' || n % 2000, CASE WHEN n % 1000 = 0 THEN '{first-sync}' ELSE '{}' END::text[],
    ('0e9c1f60-0000-4000-8000-' || lpad((1 + n % 8)::text, 12, '0'))::uuid,
    CASE WHEN n % 40 = 0 THEN 'cancelled' END, CASE WHEN n % 40 = 0 THEN 'the account is gone' END,
    now() - (MANY - n) * interval '80 milliseconds', now(), now(), now() - (MANY - n) * interval '80 milliseconds'
FROM generate_series(1, MANY::bigint) AS n;

INSERT INTO syncline.dead_jobs (
    id, lane, kind, queue, priority, attempt, max_attempts, payload, organization_id, tags, error_class, last_error,
    http_status, created_at, run_at, started_at, finished_at
)
SELECT
    (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - (MANY / 50 - n) * 4000), 12, '0') || '7000'
        || '8002' || lpad(to_hex(n), 12, '0'))::uuid,
    'acct:019a0000-0000-7000-8000-' || lpad(to_hex(n % 2000), 12, '0'), 'fetch_model_window', 'sync', 50, 20, 20,
    json_build_object('account_id', '019a0000-0000-7000-8000-' || lpad(to_hex(n % 2000), 12, '0'), 'model_id', 'hris.Employee'),
    'org_' || n % 2000, '{}', 'merge_unavailable',
    -- Sixty causes, one with most of the jobs.
    CASE WHEN n % 4 > 0 THEN 'Merge answered 503 Service Unavailable' ELSE 'cannot read the field ' || repeat('x', (n / 4 % 60)::int) END,
    503, now(), now(), now(), now() - (MANY / 50 - n) * interval '4 seconds'
FROM generate_series(1, MANY / 50) AS n;

INSERT INTO syncline.webhook_deliveries (
    id, received_at, shard, body_hash, body_sealed, body_key_id, secret_id, verdict, processed_at, event, account_id
)
SELECT
    (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - (MANY / 10 - n) * 800), 12, '0') || '7000'
        || '8003' || lpad(to_hex(n), 12, '0'))::uuid,
    now() - (MANY / 10 - n) * interval '800 milliseconds', n % 8, sha256(n::text::bytea), '\x00', 'key', 'secret',
    CASE WHEN n % 5000 = 0 THEN 'unparseable' ELSE 'processed' END, now(), 'Employee.synced',
    ('019a0000-0000-7000-8000-' || lpad(to_hex(n % 2000), 12, '0'))::uuid
FROM generate_series(1, MANY / 10) AS n
