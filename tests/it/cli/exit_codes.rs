//! A failure is one line that says what to do, and a code that scripts can tell apart.

use sqlx::Postgres;
use sqlx::migrate::MigrateDatabase as _;
use test_support::TestDatabase;
use url::Url;

use super::binary::{NEEDED, output, syncline};

/// What stands on stderr beside log lines.
fn errors(stderr: &str) -> Vec<&str> {
    stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect()
}

#[tokio::test]
async fn a_wrong_setting_ends_with_78_and_one_line() {
    for (variable, value, expected) in [
        (
            "DATABASE_URL",
            "",
            "setting `database.url` (default): not set; set DATABASE_URL",
        ),
        ("DATABASE_URL", "mysql://h/x", "no Postgres URL"),
        ("MERGE_API_KEY", "", "`merge.api_key` (default): not set"),
        ("MERGE_API_BASE", "http://merge.example", "in the clear"),
        (
            "SYNCLINE_ENCRYPTION_KEY",
            "Y2FuYXJ5",
            "`encryption.keys` (environment variable SYNCLINE_ENCRYPTION_KEY)",
        ),
        (
            "SYNCLINE_API_KEY",
            "canary",
            "expected at least 16 characters",
        ),
        (
            "SYNCLINE_API_KEY_FILE",
            "/nowhere/key",
            "cannot read /nowhere/key: No such file",
        ),
        (
            "SYNCLINE__HTTP__BODY_TIMEOUT",
            "3 parsecs",
            "`3 parsecs` is no duration",
        ),
        (
            "SYNCLINE__HTPT__LISTEN",
            "x",
            "no such key; the sections are",
        ),
    ] {
        let mut command = syncline(&["serve"]);
        command.envs(NEEDED).env(variable, value);

        let (code, stdout, stderr) = output(command).await;

        assert_eq!(code, 78, "{variable}={value}: {stderr}");
        assert_eq!(
            (stdout.as_str(), stderr.lines().count()),
            ("", 1),
            "{stderr}"
        );
        assert!(
            stderr.starts_with("error: ") && stderr.contains(expected),
            "{stderr}"
        );
        assert!(!stderr.contains("canary"), "{stderr}");
    }
}

#[tokio::test]
async fn a_wrong_flag_or_file_ends_with_78_and_names_it() {
    for (args, expected) in [
        (
            &["serve", "--listen", "here"][..],
            "setting `http.listen` (flag --listen): `here` is no address",
        ),
        (
            &["serve", "--config", "/nowhere.toml"],
            "cannot use the file /nowhere.toml: No such file",
        ),
    ] {
        let mut command = syncline(args);
        command.envs(NEEDED);

        let (code, _, stderr) = output(command).await;

        assert_eq!(code, 78, "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2() {
    for args in [
        &["serve", "--role", "king"][..],
        &["reign"],
        &["serve", "--listen"],
    ] {
        let (code, _, stderr) = output(syncline(args)).await;

        assert_eq!(code, 2, "{stderr}");
    }
}

#[tokio::test]
async fn an_unreachable_database_ends_with_69() {
    for args in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["migrate"],
        &["keys", "list"],
    ] {
        let mut command = syncline(args);
        command
            .envs(NEEDED)
            .env("SYNCLINE__DATABASE__CONNECT_TIMEOUT", "100ms");

        let (code, _, stderr) = output(command).await;

        assert_eq!(code, 69, "{stderr}");
        let expected = "error: cannot connect to the database at 127.0.0.1:1/app: ";
        assert!(
            matches!(errors(&stderr)[..], [line] if line.starts_with(expected)),
            "{stderr}"
        );
        assert!(
            !stderr.contains("canary") && !stderr.contains("panicked"),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn an_address_that_is_taken_ends_with_69() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = syncline(&["serve", "--listen", &address]);
    command.envs(NEEDED);

    let (code, _, stderr) = output(command).await;

    assert_eq!(code, 69, "{stderr}");
    assert!(
        stderr.contains(&format!("error: cannot listen on {address}: ")),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_database_without_our_tables_is_refused_when_it_may_not_be_migrated() {
    let server = TestDatabase::new().await;
    let mut url = Url::parse(&server.url()).unwrap();
    let name = format!("{}_empty", url.path().trim_start_matches('/'));
    url.set_path(&name);
    Postgres::create_database(url.as_str()).await.unwrap();
    let with = |args: &[&str]| {
        let mut command = syncline(args);
        command.envs(NEEDED).env("DATABASE_URL", url.as_str());
        command.env("SYNCLINE__DATABASE__MIGRATE_ON_START", "false");
        command
    };

    let refused = output(with(&["serve", "--listen", "127.0.0.1:0"])).await;
    let migrated = output(with(&["migrate"])).await;
    let listed = output(with(&["keys", "list", "--json"])).await;
    Postgres::drop_database(url.as_str()).await.unwrap();

    assert_eq!(refused.0, 69, "{}", refused.2);
    assert!(
        refused.2.contains("run `syncline migrate`"),
        "{}",
        refused.2
    );
    assert_eq!(migrated.0, 0, "{}", migrated.2);
    assert_eq!((listed.0, listed.1.trim()), (0, "[]"), "{}", listed.2);
}
