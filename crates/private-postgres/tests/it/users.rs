//! Root and others. As root all of this is tried; as an ordinary user there is nothing to try.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::{Uid, User};
use private_postgres::{Error, Options, Server};

use crate::{ask, tell};

#[test]
fn root_runs_the_server_as_somebody_else() {
    let server = Server::start(Options::throwaway()).unwrap();

    let process = ask(&server.url("postgres"), "SELECT pg_backend_pid()::text");
    let owner = fs::metadata(format!("/proc/{process}")).map(|process| process.uid());

    assert!(owner.map_or(true, |uid| uid != 0));
}

#[test]
fn root_puts_the_cluster_elsewhere_when_its_user_cannot_enter_the_folder() {
    if !Uid::effective().is_root() {
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    fs::set_permissions(parent.path(), Permissions::from_mode(0o700)).unwrap();
    let wished = parent.path().join("kept");
    let server = Server::start(Options::kept(&wished)).unwrap();
    let actual = server.folder().to_owned();
    tell(&server, "CREATE TABLE notes AS SELECT 'elsewhere' AS note");
    server.stop().unwrap();

    let note = fs::read_to_string(wished.join("MOVED")).unwrap();
    assert_ne!(actual, wished);
    assert_eq!(note.lines().next().unwrap(), actual.to_str().unwrap());

    let again = Server::start(Options::kept(&wished)).unwrap();
    assert_eq!(
        ask(&again.url("postgres"), "SELECT note FROM notes"),
        "elsewhere"
    );
    drop(again);

    fs::remove_dir_all(&wished).unwrap();
    let anew = Server::start(Options::kept(&wished)).unwrap();
    assert_eq!(
        ask(
            &anew.url("postgres"),
            "SELECT coalesce(to_regclass('notes')::text, 'none')"
        ),
        "none"
    );
    drop(anew);
    fs::remove_dir_all(&actual).unwrap();
}

#[test]
fn an_ordinary_user_runs_it_too_and_root_can_take_over_and_give_back() {
    if !Uid::effective().is_root() {
        return;
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("tests");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let run_as_nobody = |test: &str| {
        let folder = place.path().join("theirs");
        let mut command = Command::new(&program);
        command
            .args(["--exact", test, "--include-ignored"])
            .env("OWNED_FOLDER", &folder);
        command
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw())
            .current_dir("/");
        assert!(
            command
                .stdin(std::process::Stdio::null())
                .status()
                .unwrap()
                .success(),
            "{test}"
        );
    };
    fs::create_dir(place.path().join("theirs")).unwrap();
    std::os::unix::fs::chown(place.path().join("theirs"), Some(nobody.uid.as_raw()), None).unwrap();

    for test in [
        "basics::answers_on_the_port_and_on_the_socket",
        "basics::keeps_its_data_between_starts",
        "owner::killing_the_owner_stops_the_server_and_removes_its_folder",
        "owner::owns_a_server_until_killed",
    ] {
        run_as_nobody(test);
    }
    let server = Server::start(Options::kept(place.path().join("theirs"))).unwrap();
    assert_eq!(
        ask(&server.url("postgres"), "SELECT 'taken over'"),
        "taken over"
    );
    drop(server);
    run_as_nobody("owner::owns_a_server_until_killed");
}

#[test]
fn an_ordinary_user_is_told_that_a_cluster_is_anothers() {
    if Uid::effective().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc", folder.path().join("data")).unwrap();

    let error = Server::start(Options::kept(folder.path())).unwrap_err();

    assert!(
        matches!(error, Error::WrongOwner { .. } | Error::NotACluster { .. }),
        "{error}"
    );
}
