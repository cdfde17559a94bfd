use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::*;

/// 32 bytes.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The least that the service needs.
const NEEDED: [(&str, &str); 3] = [
    ("DATABASE_URL", "postgres://app:canary@db.test/app"),
    ("MERGE_API_KEY", "canary-merge-key"),
    ("SYNCLINE_ENCRYPTION_KEY", KEY),
];

/// Loads the needed settings with some environment variables on top, or instead.
fn load(variables: &[(&str, &str)]) -> Result<Config, Error> {
    let is_replaced = |name| variables.iter().any(|(other, _)| *other == name);
    let kept = NEEDED.iter().filter(|(name, _)| !is_replaced(*name));
    let environment = Environment::of(kept.chain(variables).copied());
    Config::load(
        &Sources {
            environment,
            ..Sources::default()
        },
        Need::Service,
    )
}

fn load_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syncline.toml");
    std::fs::write(&file, text).unwrap();
    let all = NEEDED.iter().chain(variables).copied();
    let sources = Sources {
        file: Some(file),
        environment: Environment::of(all),
        ..Sources::default()
    };
    Config::load(&sources, Need::Service)
}

#[test]
fn the_defaults_hold_with_what_is_required() {
    let config = load(&[]).unwrap();

    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.merge.api_base.as_str(), "https://api.merge.dev/");
    assert_eq!(config.merge.requests_per_minute, 80);
    assert_eq!(config.queue.slots.sync, 16);
    assert_eq!(config.sync.overlap, Duration::from_mins(2));
    assert_eq!(config.telemetry.log_format, LogFormat::Text);
    assert_eq!(config.telemetry.metrics_listen, None);
    assert_eq!(config.telemetry.otlp_endpoint, None);
    assert!(config.http.api_key.is_none());
    assert!(config.database.migrate_on_start);
}

#[test]
fn the_overlay_for_developers_is_valid() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/local.toml");
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };

    let config = Config::load(&sources, Need::Service).unwrap();

    assert!(config.warnings().is_empty());
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "[http]\nlisten = \"127.0.0.1:1001\"\n[queue.slots]\nsync = 5\nwebhooks = 6\n";
    let from_file = load_file(file, &[]).unwrap();
    let variables = [
        ("SYNCLINE_LISTEN", "127.0.0.1:1002"),
        ("SYNCLINE__QUEUE__SLOTS__SYNC", "7"),
    ];
    let from_environment = load_file(file, &variables).unwrap();
    let from_flag = Config::load(
        &Sources {
            environment: Environment::of(NEEDED.iter().chain(&variables).copied()),
            flags: vec![("http.listen", "--listen", "127.0.0.1:1003".to_owned())],
            ..Sources::default()
        },
        Need::Service,
    )
    .unwrap();

    assert_eq!(from_file.http.listen.port(), 1001);
    assert_eq!(
        (from_file.queue.slots.sync, from_file.queue.slots.webhooks),
        (5, 6)
    );
    assert_eq!(from_environment.http.listen.port(), 1002);
    let slots = from_environment.queue.slots;
    assert_eq!((slots.sync, slots.webhooks, slots.interactive), (7, 6, 8));
    assert_eq!(from_flag.http.listen.port(), 1003);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_fault_is_one_line_with_key_origin_and_remedy() {
    for (variable, value, expected) in [
        (
            "SYNCLINE__HTTP__LISTEN",
            "here",
            "setting `http.listen` (environment variable SYNCLINE__HTTP__LISTEN): `here` is no address",
        ),
        (
            "SYNCLINE_LISTEN",
            "localhost:8080",
            "(environment variable SYNCLINE_LISTEN): `localhost:8080` is no address; write one with its port",
        ),
        ("SYNCLINE_LISTEN", "127.0.0.1:99999", "is no address"),
        (
            "SYNCLINE__CONSOLE__PUBLIC_ORIGIN",
            "https://ops.example.com/console",
            "is no origin; write scheme, host and port only",
        ),
        (
            "SYNCLINE__CONSOLE__SESSION_IDLE",
            "1s",
            "setting `console.session_idle` (environment variable SYNCLINE__CONSOLE__SESSION_IDLE): expected at least 1m",
        ),
        (
            "SYNCLINE__CONSOLE__PROXY_HEADER",
            "X-User",
            "setting `console.trusted_proxies` (default): empty, though console.proxy_header is set; name the addresses",
        ),
        (
            "SYNCLINE__CONSOLE__PROXY_HEADER",
            "Authorization",
            "`Authorization` is no header that a proxy tells a name in; write one such as X-Auth-Request-Email",
        ),
        (
            "SYNCLINE__CONSOLE__TRUSTED_PROXIES",
            "10.0.0.1",
            "setting `console.proxy_header` (default): empty, though console.trusted_proxies is set",
        ),
        (
            "SYNCLINE__CONSOLE__TRUSTED_PROXIES",
            "0.0.0.0/0",
            "that is everybody, who could then be anybody",
        ),
        (
            "SYNCLINE__CONSOLE__TRUSTED_PROXIES",
            "proxy.internal",
            "`proxy.internal` is no network; write one such as 10.20.0.0/16",
        ),
        (
            "SYNCLINE__HTTP__LISSTEN",
            "x",
            "no such key; `http` has http.api_key, http.body_limit_bytes,",
        ),
        (
            "SYNCLINE__HTPT__LISTEN",
            "x",
            "no such key; the sections are console, database, encryption, endpoints, http, merge, queue, sync, telemetry",
        ),
        ("SYNCLINE__", "x", "no such key"),
        ("SYNCLINE__HTTP", "x", "no such key"),
        ("SYNCLINE__HTTP__LISTEN__PORT", "x", "no such key"),
        ("SYNCLINE__TELEMETRY__FILTER_FILE", "x", "no such key"),
        (
            "SYNCLINE__HTTP__BODY_LIMIT_BYTES",
            "big",
            "setting `http.body_limit_bytes` (environment variable SYNCLINE__HTTP__BODY_LIMIT_BYTES): ",
        ),
        (
            "SYNCLINE__HTTP__BODY_LIMIT_BYTES",
            "-1",
            "http.body_limit_bytes",
        ),
        (
            "SYNCLINE__HTTP__BODY_TIMEOUT",
            "10 parsecs",
            "`10 parsecs` is no duration; write",
        ),
        ("SYNCLINE__SYNC__OVERLAP", "120", "`120` is no duration"),
        (
            "SYNCLINE__SYNC__OVERLAP",
            "4s",
            "`sync.overlap` (environment variable SYNCLINE__SYNC__OVERLAP): expected at least 5s",
        ),
        ("SYNCLINE__SYNC__POLL_SLOW", "25h", "expected 1s to 24h"),
        (
            "SYNCLINE__SYNC__SWEEP_INTERVAL",
            "25h",
            "`sync.sweep_interval` (environment variable SYNCLINE__SYNC__SWEEP_INTERVAL): expected 1s to 24h",
        ),
        (
            "SYNCLINE__SYNC__MODELS",
            "hris, crm.Nothing",
            "`sync.models` (environment variable SYNCLINE__SYNC__MODELS): `crm.Nothing` is neither a category",
        ),
        (
            "SYNCLINE__SYNC__MAPPING_FILE",
            "/nowhere/mapping.toml",
            "`sync.mapping_file` (environment variable SYNCLINE__SYNC__MAPPING_FILE): /nowhere/mapping.toml: ",
        ),
        ("SYNCLINE__MERGE__CONNECTIONS", "two", "merge.connections"),
        (
            "SYNCLINE__MERGE__BREAKER_FAILURES",
            "0",
            "expected 1 to 1000",
        ),
        (
            "SYNCLINE__MERGE__BREAKER_PAUSE",
            "0s",
            "expected at least 1s",
        ),
        (
            "SYNCLINE__MERGE__BREAKER_LONGEST_PAUSE",
            "29s",
            "expected at least merge.breaker_pause",
        ),
        (
            "SYNCLINE__SYNC__ACCEPT_PARTIAL_FIRST_SYNC",
            "maybe",
            "sync.accept_partial_first_sync",
        ),
        (
            "SYNCLINE_API_KEY",
            "short-canary",
            "`http.api_key` (environment variable SYNCLINE_API_KEY): expected at least 16 characters",
        ),
        ("SYNCLINE_API_KEY", "a canary with spaces", "visible ASCII"),
        (
            "SYNCLINE_ENCRYPTION_KEY",
            "canary",
            "`encryption.keys` (environment variable SYNCLINE_ENCRYPTION_KEY): ",
        ),
        (
            "SYNCLINE_ENCRYPTION_KEY",
            "Y2FuYXJ5",
            "openssl rand -base64 32",
        ),
        (
            "SYNCLINE_ENCRYPTION_KEY",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,canary",
            "openssl rand -base64 32",
        ),
        (
            "SYNCLINE_ENCRYPTION_KEY",
            "",
            "not set; set SYNCLINE_ENCRYPTION_KEY",
        ),
        (
            "SYNCLINE_ENCRYPTION_KEY_FILE",
            "/nowhere/canary-file",
            "set twice",
        ),
        (
            "SYNCLINE__ENCRYPTION__KEYS",
            KEY,
            "it is set twice, also by environment variable SYNCLINE_ENCRYPTION_KEY",
        ),
        (
            "MERGE_API_KEY",
            "",
            "`merge.api_key` (default): not set; set MERGE_API_KEY or MERGE_API_KEY_FILE",
        ),
        (
            "MERGE_API_BASE",
            "api.merge.dev",
            "`merge.api_base` (environment variable MERGE_API_BASE): no URL",
        ),
        (
            "MERGE_API_BASE",
            "ftp://api.merge.dev",
            "expected https://host",
        ),
        ("MERGE_API_BASE", "http://api.merge.dev", "in the clear"),
        (
            "MERGE_API_BASE",
            "https://user:canary@api.merge.dev",
            "no credentials",
        ),
        (
            "SYNCLINE__MERGE__BURST",
            "80",
            "less than merge.requests_per_minute",
        ),
        ("SYNCLINE__MERGE__BURST", "0", "at least 1"),
        ("SYNCLINE__MERGE__REQUESTS_PER_MINUTE", "1", "at least 2"),
        (
            "SYNCLINE__QUEUE__LANE_CONCURRENCY",
            "0",
            "expected at least 1",
        ),
        ("SYNCLINE__QUEUE__SLOTS__SYNC", "99999999", "at most 10000"),
        (
            "SYNCLINE__QUEUE__RENEW_INTERVAL",
            "6s",
            "a third of queue.lease",
        ),
        (
            "SYNCLINE__TELEMETRY__LOG_FORMAT",
            "xml",
            "telemetry.log_format",
        ),
        ("SYNCLINE__TELEMETRY__FILTER", "a=b=c", "telemetry.filter"),
        (
            "SYNCLINE__TELEMETRY__METRICS_LISTEN",
            "9464",
            "`9464` is no address; write one with its port",
        ),
        (
            "SYNCLINE__TELEMETRY__OTLP_ENDPOINT",
            "http://canary:canary@collector.test",
            "no address of a collector; write one without user",
        ),
        (
            "SYNCLINE__TELEMETRY__OTLP_ENDPOINT",
            "http://collector.test/v1/traces",
            "such as http://127.0.0.1:4318",
        ),
        (
            "SYNCLINE__TELEMETRY__TRACE_RATIO",
            "2",
            "0 for none, 1 for all",
        ),
        (
            "DATABASE_URL",
            "",
            "`database.url` (default): not set; set DATABASE_URL",
        ),
        (
            "DATABASE_URL",
            "mysql://canary@h/x",
            "no Postgres URL; write postgres://",
        ),
        (
            "DATABASE_URL",
            "postgres://u:canary@h:port/x",
            "a part of it cannot be read",
        ),
        (
            "DATABASE_DIRECT_URL",
            "postgres://canary@db.test/app",
            "`database.direct_url` (environment variable DATABASE_DIRECT_URL): of use only beside a pooler",
        ),
        (
            "SYNCLINE__DATABASE__TRANSACTION_POOLER",
            "true",
            "`database.direct_url` (default): not set, and migrations cannot go through a pooler",
        ),
        (
            "SYNCLINE__DATABASE__MAX_CONNECTIONS",
            "1",
            "expected at least 2",
        ),
    ] {
        let error = load(&[(variable, value)]).expect_err(&format!("{variable}={value}"));
        let line = error.to_string();
        assert!(
            line.contains(expected),
            "{variable}={value}\n  {line}\n  {expected}"
        );
        assert!(!line.contains('\n'), "{line}");
        let is_path = variable.ends_with("_FILE");
        assert!(is_path || !line.contains("canary"), "{line}");
    }
}

#[test]
fn a_pooler_needs_a_way_round_it_only_to_migrate() {
    let pooler = ("SYNCLINE__DATABASE__TRANSACTION_POOLER", "true");
    let direct = ("DATABASE_DIRECT_URL", "postgres://app:canary@db.test/app");
    let no_migration = ("SYNCLINE__DATABASE__MIGRATE_ON_START", "false");

    assert!(load(&[pooler, direct]).is_ok());
    assert!(load(&[pooler, no_migration]).is_ok());
    let bad = load(&[pooler, ("DATABASE_DIRECT_URL", "canary")]).unwrap_err();
    assert!(bad.to_string().contains("no Postgres URL"), "{bad}");
}

#[test]
fn zero_slots_everywhere_are_refused() {
    let none = ["INTERACTIVE", "SYNC", "WEBHOOKS", "OUTBOUND", "MAINTENANCE"]
        .map(|queue| format!("SYNCLINE__QUEUE__SLOTS__{queue}"));
    let variables: Vec<_> = none
        .iter()
        .map(|variable| (variable.as_str(), "0"))
        .collect();

    let error = load(&variables).unwrap_err();

    assert!(
        error.to_string().contains("all queues have zero slots"),
        "{error}"
    );
}

#[test]
fn plain_http_is_for_this_machine_or_by_leave() {
    for base in [
        "http://127.0.0.1:4010",
        "http://[::1]:4010",
        "http://localhost:4010",
    ] {
        assert!(load(&[("MERGE_API_BASE", base)]).is_ok(), "{base}");
    }
    let sandbox = ("MERGE_API_BASE", "http://sandbox:4010");
    assert!(load(&[sandbox]).is_err());
    assert!(load(&[sandbox, ("SYNCLINE__MERGE__ALLOW_PLAIN_HTTP", "true")]).is_ok());
}

#[test]
fn faults_of_a_file_name_the_file_and_not_its_lines() {
    for (text, expected) in [
        ("[http]\nlissten = 1", "setting `http.lissten` (file "),
        ("[http]\nlisten = 8080", "`8080` is no address"),
        ("[merge]\napi_key = \"canary", "TOML parse error at line 2"),
        ("canary", "TOML parse error at line 1"),
        (
            "[http]\nlisten = \"a\"\nlisten = \"b\"",
            "TOML parse error at line 3",
        ),
        ("http = 5", "no such key"),
        (
            "[http]\napi_key = [\"canary\"]",
            "setting `http.api_key` (file ",
        ),
        (
            "[merge]\napi_key_file = 5\napi_key = \"canary-canary\"",
            "it is set twice",
        ),
    ] {
        let line = load_file(text, &[]).expect_err(text).to_string();
        assert!(line.contains(expected), "{text:?}: {line}");
        assert!(!line.contains("canary") && !line.contains('\n'), "{line}");
    }

    let sources = Sources {
        file: Some("/nowhere/x.toml".into()),
        ..Sources::default()
    };
    let error = Config::load(&sources, Need::Service)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot use the file /nowhere/x.toml: No such file"),
        "{error}"
    );
}

#[test]
fn a_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "from-a-file-0123456789\n").unwrap();
    let path = file.to_str().unwrap();

    let named = load(&[("SYNCLINE_API_KEY_FILE", path)]).unwrap();
    let general = load(&[("SYNCLINE__HTTP__API_KEY_FILE", path)]).unwrap();
    let toml = load_file(&format!("[http]\napi_key_file = \"{path}\""), &[]).unwrap();
    for config in [named, general, toml] {
        assert_eq!(
            config.http.api_key.unwrap().expose_secret(),
            "from-a-file-0123456789"
        );
    }

    std::fs::write(&file, " \n").unwrap();
    let error = load(&[("SYNCLINE_API_KEY_FILE", path)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("it is empty"), "{error}");
    let error = load(&[("SYNCLINE_API_KEY_FILE", "/nowhere/s")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot read /nowhere/s: No such file"),
        "{error}"
    );
}

#[test]
fn webhook_secrets_are_several_and_have_a_second_name() {
    let secrets = |variables: &[(&str, &str)]| -> Vec<String> {
        let secrets = load(variables).unwrap().merge.webhook_secrets;
        secrets
            .iter()
            .map(|secret| secret.expose_secret().to_owned())
            .collect()
    };

    assert_eq!(secrets(&[]), Vec::<String>::new());
    assert_eq!(
        secrets(&[("MERGE_WEBHOOK_SECRET", "new, old,")]),
        ["new", "old"]
    );
    assert_eq!(secrets(&[("MERGE_SECURITY_SIGNATURE", "other")]), ["other"]);
    let both = [
        ("MERGE_SECURITY_SIGNATURE", "other"),
        ("MERGE_WEBHOOK_SECRET", "first"),
    ];
    assert_eq!(secrets(&both), ["first"]);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let warnings = |variables: &[(&str, &str)]| load(variables).unwrap().warnings();

    assert!(warnings(&[])[0].contains("MERGE_WEBHOOK_SECRET"));
    assert!(warnings(&[("MERGE_WEBHOOK_SECRET", "short")])[0].contains("16 characters"));
    assert!(warnings(&[("MERGE_WEBHOOK_SECRET", "example-signing-key-0001")]).is_empty());
}

#[test]
fn commands_on_the_database_alone_need_no_other_secret() {
    let environment = Environment::of([("DATABASE_URL", "postgres://h/x")]);
    let sources = Sources {
        environment,
        ..Sources::default()
    };

    assert!(Config::load(&sources, Need::Database).is_ok());
    assert!(Config::load(&sources, Need::Service).is_err());
}

#[test]
fn debug_shows_no_secret() {
    let config = load(&[
        ("SYNCLINE_API_KEY", "canary-bootstrap-key"),
        ("MERGE_WEBHOOK_SECRET", "canary-webhook-secret"),
    ])
    .unwrap();
    let environment = Environment::of(NEEDED);

    let shown = format!("{config:?} {environment:?}");

    assert!(!shown.contains("canary") && !shown.contains(KEY), "{shown}");
}

#[test]
fn models_are_a_list_in_a_file_and_a_text_in_the_environment() {
    let from_file = load_file("[sync]\nmodels = [\"hris\", \"crm.contacts\"]\n", &[]).unwrap();
    let from_environment = load(&[("SYNCLINE__SYNC__MODELS", "hris,crm.CRMContact")]).unwrap();

    assert_eq!(from_file.sync.selection, from_environment.sync.selection);
    assert!(from_file.sync.selection.has("hris.Team"));
    assert!(!from_file.sync.selection.has("crm.Lead"));
    assert!(load(&[]).unwrap().sync.selection.has("crm.Lead"));
}

#[test]
fn a_fault_of_the_mapping_names_setting_file_model_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mapping.toml");
    std::fs::write(&file, "[\"hris.Team\"]\nemail = \"work_email\"").unwrap();

    let error = load(&[("SYNCLINE__SYNC__MAPPING_FILE", file.to_str().unwrap())]).unwrap_err();

    let expected = format!(
        "setting `sync.mapping_file` (environment variable SYNCLINE__SYNC__MAPPING_FILE): {}: hris.Team, field \
         `email`: the model has no field `work_email`; it has id, ",
        file.display()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn networks_of_endpoints_are_read_and_nonsense_is_refused() {
    const KEY: &str = "SYNCLINE__ENDPOINTS__ALLOWED_NETWORKS";

    assert!(load(&[]).unwrap().endpoints.allowed_networks.is_empty());
    let config = load(&[(KEY, "10.20.0.0/16, fd00:7::/64 ,127.0.0.1,")]).unwrap();
    let networks: Vec<String> = config
        .endpoints
        .allowed_networks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["10.20.0.0/16", "fd00:7::/64", "127.0.0.1/32"]);
    let error = load(&[(KEY, "10.20.0.0/16,intranet")]).unwrap_err();
    assert!(
        error.to_string().contains("`intranet` is no network"),
        "{error}"
    );
}

#[test]
fn times_of_endpoints_have_bounds() {
    for (variable, wrong, right) in [
        (
            "SYNCLINE__ENDPOINTS__REQUEST_TIMEOUT",
            ["500ms", "2m"],
            "5s",
        ),
        ("SYNCLINE__ENDPOINTS__GIVE_UP_AFTER", ["0s", "59s"], "12h"),
    ] {
        for value in wrong {
            let error = load(&[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains("endpoints."), "{error}");
        }
        load(&[(variable, right)]).unwrap();
    }
}

#[test]
fn the_consoles_origin_has_no_slash_at_its_end() {
    let config = load(&[(
        "SYNCLINE__CONSOLE__PUBLIC_ORIGIN",
        "https://Ops.example.com:443/",
    )]);

    let origin = config.unwrap().console.public_origin;

    assert_eq!(origin.as_deref(), Some("https://ops.example.com"));
}
