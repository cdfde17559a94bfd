-- A service in the middle of a night: something of every state, in numbers that fit on a page.

INSERT INTO syncline.workers (id, state, lease_until, host, pid, version, slots, started_at, ended_at, wanted, running)
VALUES
    ('0e9c1f60-0000-4000-8000-000000000001', 'running', now() + interval '1 hour', 'worker-1.fra.internal', 4711, '0.9.2',
        '{"interactive": 8, "maintenance": 2, "outbound": 8, "sync": 16, "webhooks": 4}', now() - interval '3 days', NULL, NULL, 3),
    ('0e9c1f60-0000-4000-8000-000000000002', 'running', now() + interval '1 hour', 'worker-2.fra.internal', 812, '0.9.2',
        '{"interactive": 8, "sync": 16}', now() - interval '2 hours', NULL, 'quiet', 1),
    ('0e9c1f60-0000-4000-8000-000000000003', 'dead', now() - interval '1 hour', 'worker-3.fra.internal', 99, '0.9.1',
        '{"sync": 16}', now() - interval '9 days', now() - interval '1 hour', NULL, 0);

-- Waiting, running, retried: of 40 customers.
INSERT INTO syncline.jobs (
    id, lane, kind, queue, priority, run_at, attempt, max_attempts, started_at, payload, organization_id, tags,
    last_error, created_at, worker_id, epoch
)
SELECT
    ('01990000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
    'acct:01980000-0000-7000-8000-' || lpad((n % 40)::text, 12, '0'),
    (ARRAY['poll_sync_status', 'fetch_model_window', 'fetch_model_window', 'check_health'])[1 + n % 4],
    'sync', 50,
    now() + CASE WHEN n % 3 = 0 THEN -1 ELSE 1 END * n * interval '40 seconds',
    CASE WHEN n % 7 = 0 OR n <= 4 THEN 2 ELSE 0 END, 20,
    CASE WHEN n <= 4 THEN now() - n * interval '11 seconds' END,
    json_build_object('account_id', '01980000-0000-7000-8000-' || lpad((n % 40)::text, 12, '0'), 'model_id', 'hris.Employee',
        'account_token', 'never shown'),
    'org_' || n % 40, CASE WHEN n % 5 = 0 THEN '{first-sync,"large customer"}' ELSE '{}' END::text[],
    CASE WHEN n % 7 = 0 THEN
        'cannot read hris.Employee of Harbor & Fjord: Merge answered 503 Service Unavailable after 30.0 s, request '
        || md5(n::text) || ', and says: upstream connect error or disconnect/reset before headers'
    END,
    now() - n * interval '3 minutes',
    CASE WHEN n <= 3 THEN '0e9c1f60-0000-4000-8000-000000000001' WHEN n = 4 THEN '0e9c1f60-0000-4000-8000-000000000002' END::uuid,
    CASE WHEN n <= 4 THEN 7 END
FROM generate_series(1, 30) AS n;
INSERT INTO syncline.lanes (lane, due_at, owner, epoch, blocked_until, blocked_reason, crashes)
SELECT
    lane, min(run_at),
    min(worker_id::text)::uuid, 7,
    CASE WHEN lane LIKE '%7' THEN now() + interval '40 seconds' END,
    CASE WHEN lane LIKE '%7' THEN 'Merge answered 429: 100 requests a minute are used' END,
    CASE WHEN lane LIKE '%9' THEN 2 ELSE 0 END
FROM syncline.jobs
GROUP BY lane
ON CONFLICT (lane) DO NOTHING;

-- Dead of several causes, one of them loud.
INSERT INTO syncline.dead_jobs (
    id, lane, kind, queue, priority, attempt, max_attempts, payload, organization_id, tags, worker_id, error_class,
    last_error, http_status, created_at, run_at, started_at, finished_at
)
SELECT
    ('01990000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid,
    'acct:01980000-0000-7000-8000-' || lpad((n % 40)::text, 12, '0'),
    kind, queue, 50, 20, 20, json_build_object('account_id', n), 'org_' || n % 40, '{}',
    '0e9c1f60-0000-4000-8000-000000000001', error_class, message, http_status,
    now() - interval '2 hours', now() - interval '2 hours', now() - interval '1 hour', now() - n * interval '5 minutes'
FROM generate_series(1, 40) AS n
JOIN (VALUES
    (0, 'fetch_model_window', 'sync', 'merge_unavailable', 'Merge answered 503 Service Unavailable', 503),
    (1, 'deliver_event', 'outbound', 'refused', 'the endpoint https://product.example/hooks answered 500', 500),
    (2, 'exchange_token', 'interactive', 'undecodable', 'cannot understand the payload: missing field `public_token` at line 1 column 2', NULL),
    (3, 'fetch_model_window', 'sync', 'timeout', 'did not end within 10 min', NULL)
) AS causes (cause, kind, queue, error_class, message, http_status) ON cause = CASE WHEN n < 30 THEN 0 ELSE n % 4 END;
INSERT INTO syncline.job_attempts (job_id, attempt, worker_id, started_at, finished_at, outcome, error_class, message, http_status)
SELECT
    '01990000-0000-7000-8001-000000000001', n, '0e9c1f60-0000-4000-8000-000000000001', now() - interval '100 minutes' + n * interval '1 minute',
    now() - interval '100 minutes' + n * interval '65 seconds', CASE WHEN n = 9 THEN 'crashed' WHEN n = 20 THEN 'dead' ELSE 'retried' END,
    'merge_unavailable',
    'Merge answered 503 Service Unavailable' || CASE WHEN n % 5 = 0 THEN ': {"error": "upstream connect error or disconnect/reset before headers. reset reason: connection timeout"}' ELSE '' END,
    503
FROM generate_series(1, 20) AS n;

INSERT INTO syncline.job_history (
    id, lane, kind, queue, priority, state, attempt, max_attempts, payload, result, organization_id, tags, worker_id,
    error_class, last_error, created_at, run_at, started_at, finished_at
)
SELECT
    ('01990000-0000-7000-8002-' || lpad(n::text, 12, '0'))::uuid,
    'acct:01980000-0000-7000-8000-' || lpad((n % 40)::text, 12, '0'),
    'fetch_model_window', 'sync', 50, CASE WHEN n % 9 = 0 THEN 'cancelled' ELSE 'completed' END, 1, 20, '{"page": 3}',
    CASE WHEN n % 9 > 0 THEN '{"records": 100, "pages": 1}' END::jsonb, 'org_' || n % 40, '{}',
    '0e9c1f60-0000-4000-8000-000000000001', CASE WHEN n % 9 = 0 THEN 'cancelled' END,
    CASE WHEN n % 9 = 0 THEN 'the account is gone' END,
    now() - n * interval '1 minute', now() - n * interval '1 minute', now() - n * interval '1 minute',
    now() - n * interval '20 seconds'
FROM generate_series(1, 20) AS n;

-- Customers, the way they are.
INSERT INTO syncline.linked_accounts (
    id, organization_id, category, end_user_origin_id, end_user_organization_name, end_user_email_address, status,
    merge_status, merge_account_id, integration_name, integration_slug, account_token_sealed, account_token_key_id,
    account_token_hash, initial_sync_completed_at, last_polled_at, next_poll_at, last_error, linked_at
)
SELECT
    ('01980000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'org_' || n,
    (ARRAY['hris', 'crm', 'ats', 'accounting'])[1 + n % 4], 'origin-' || n,
    (ARRAY['Harbor & Fjord', 'Lindqvist Maskinteknik AB', '株式会社あさひ', 'O''Donnell Freight', 'Q'])[1 + n % 5],
    'it@customer.example',
    (ARRAY['active', 'active', 'active', 'relink_needed', 'pending', 'error', 'active', 'deleting'])[1 + n % 8],
    'COMPLETE', 'merge-' || n, (ARRAY['BambooHR', 'Salesforce', 'Greenhouse', 'NetSuite'])[1 + n % 4], 'slug',
    '\x00', 'k', sha256(n::text::bytea), now() - interval '9 days', now() - n * interval '1 minute',
    now() + n * interval '1 minute',
    CASE WHEN n % 8 = 5 THEN 'Merge answered 403: the account was disconnected by its administrator' END, now() - interval '10 days'
FROM generate_series(1, 16) AS n;

INSERT INTO syncline.webhook_deliveries (
    id, received_at, shard, body_hash, body_sealed, body_key_id, secret_id, verdict, verdict_detail, processed_at, event,
    merge_account_id, account_id, job_ids
)
SELECT
    ('01990000-0000-7000-8003-' || lpad(n::text, 12, '0'))::uuid, now() - n * interval '7 seconds', 0, sha256(n::text::bytea), '\x00', 'k', '5f2c',
    (ARRAY['processed', 'processed', 'processed', 'ignored', 'parked', 'unknown_account', 'unparseable', 'duplicate'])[1 + n % 8],
    (ARRAY[NULL, NULL, NULL, 'nothing here follows it', 'its account is not linked yet', 'no account of ours has this id',
        'expected value at line 1 column 1', NULL])[1 + n % 8],
    now() - n * interval '6.9 seconds', (ARRAY['Employee.synced', 'LinkedAccount.sync_completed', 'Candidate.changed'])[1 + n % 3],
    'merge-' || 1 + n % 30, CASE WHEN n % 8 < 3 THEN ('01980000-0000-7000-8000-' || lpad((1 + n % 30)::text, 12, '0'))::uuid END,
    CASE WHEN n % 8 < 3 THEN ARRAY['01990000-0000-7000-8002-000000000001'] END::uuid[]
FROM generate_series(1, 24) AS n;
