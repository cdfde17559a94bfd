//! Start, ask, stop, start again.

use private_postgres::{Directory, Error, Options, Server};

use crate::{ask, tell};

#[test]
fn answers_on_the_port_and_on_the_socket() {
    let mut server = Server::start(Options::throwaway()).unwrap();

    assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'"), "hello");
    assert_eq!(
        ask(&server.socket_url("postgres"), "SELECT 'hello'"),
        "hello"
    );
    assert_eq!(ask(&server.url("postgres"), "SHOW server_encoding"), "UTF8");
    assert_eq!(
        ask(
            &server.url("postgres"),
            "SELECT datcollate::text FROM pg_database WHERE datname = 'postgres'"
        ),
        "C"
    );
    assert!(server.is_running() && server.major_version() >= 14);
}

#[test]
fn is_durable_unless_asked_otherwise() {
    let state = "SELECT concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'))";
    let durable = Server::start(Options::default()).unwrap();
    let fast = Server::start(Options::throwaway()).unwrap();

    assert_eq!(ask(&durable.url("postgres"), state), "on on on");
    assert_eq!(ask(&fast.url("postgres"), state), "off off off");
}

#[test]
fn wants_the_password_on_the_port_and_on_the_socket() {
    let server = Server::start(Options::throwaway()).unwrap();

    let methods = ask(
        &server.url("postgres"),
        "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules",
    );

    assert_eq!(methods, "scram-sha-256");
    assert!(!format!("{server:?}").contains(&password(&server)));
}

#[test]
fn a_callers_setting_wins() {
    let settings = vec![
        ("work_mem".to_owned(), "7MB".to_owned()),
        ("max_connections".to_owned(), "21".to_owned()),
    ];
    let server = Server::start(Options {
        settings,
        ..Options::throwaway()
    })
    .unwrap();

    assert_eq!(ask(&server.url("postgres"), "SHOW work_mem"), "7MB");
    assert_eq!(ask(&server.url("postgres"), "SHOW max_connections"), "21");
}

#[test]
fn a_wrong_setting_is_an_error_that_shows_the_log() {
    let settings = vec![("work_mem".to_owned(), "plenty".to_owned())];

    let error = Server::start(Options {
        settings,
        ..Options::throwaway()
    })
    .unwrap_err();

    let Error::DidNotStart { output, .. } = &error else {
        panic!("{error}")
    };
    assert!(output.contains("work_mem"), "{error}");
}

#[test]
fn removes_a_temporary_folder_when_stopped_and_when_dropped() {
    let stopped = Server::start(Options::throwaway()).unwrap();
    let dropped = Server::start(Options::throwaway()).unwrap();
    let folders = [stopped.folder().to_owned(), dropped.folder().to_owned()];

    stopped.stop().unwrap();
    drop(dropped);

    assert!(folders.iter().all(|folder| !folder.exists()));
}

#[test]
fn keeps_its_data_between_starts() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("deep/kept");
    let server = Server::start(Options::kept(&folder)).unwrap();
    tell(&server, "CREATE TABLE notes AS SELECT 'still here' AS note");
    server.stop().unwrap();

    let server = Server::start(Options::kept(&folder)).unwrap();

    assert_eq!(
        ask(&server.url("postgres"), "SELECT note FROM notes"),
        "still here"
    );
}

#[test]
fn restarts_on_the_same_port_after_a_crash_without_losing_a_commit() {
    let mut server = Server::start(Options::default()).unwrap();
    let url = server.url("postgres");
    tell(&server, "CREATE TABLE notes AS SELECT 'committed' AS note");

    server.stop_immediate().unwrap();
    assert!(!server.is_running());
    server.restart().unwrap();

    assert_eq!(server.url("postgres"), url);
    assert_eq!(ask(&url, "SELECT note FROM notes"), "committed");
}

#[test]
fn refuses_a_folder_in_use_and_names_the_process() {
    let parent = tempfile::tempdir().unwrap();
    let first = Server::start(Options::kept(parent.path())).unwrap();

    let error = Server::start(Options::kept(parent.path())).unwrap_err();

    let Error::InUse { pid, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(pid, std::process::id());
    drop(first);
}

#[test]
fn a_long_or_odd_path_gets_its_socket_elsewhere() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent
        .path()
        .join("a, \"rather\" long 100% naïve path/".repeat(3));

    let server = Server::start(Options::kept(&folder)).unwrap();

    assert_eq!(
        ask(&server.socket_url("postgres"), "SELECT 'hello'"),
        "hello"
    );
    let socket = ask(&server.url("postgres"), "SHOW unix_socket_directories");
    server.stop().unwrap();
    assert!(!std::path::Path::new(&socket).exists());
}

#[test]
fn the_default_is_temporary_and_durable() {
    assert_eq!(Options::default().data, Directory::Temporary);
}

fn password(server: &Server) -> String {
    std::fs::read_to_string(server.folder().join("password")).unwrap()
}
