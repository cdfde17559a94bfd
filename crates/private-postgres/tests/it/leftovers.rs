//! What a crash, a stranger or another version left in the folder.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use private_postgres::{Error, Options, Server};

use crate::ask;

/// A folder with a stopped cluster in it.
fn used_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Server::start(Options::kept(folder.path()))
        .unwrap()
        .stop()
        .unwrap();
    folder
}

/// A pid file as the server leaves it when the machine loses power.
fn write_pid_file(folder: &Path, pid: u32) {
    let data = folder.join("data");
    let text = format!(
        "{pid}\n{}\n1700000000\n5432\n\n127.0.0.1\n  5374050     98304\nready   \n",
        data.display()
    );
    fs::write(data.join("postmaster.pid"), text).unwrap();
}

#[test]
fn a_pid_file_of_a_process_that_is_gone_does_not_matter() {
    let folder = used_folder();
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    write_pid_file(folder.path(), gone.id());

    let server = Server::start(Options::kept(folder.path())).unwrap();

    assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'"), "hello");
}

#[test]
fn a_pid_file_whose_pid_is_anothers_by_now_does_not_matter_and_that_process_lives_on() {
    let folder = used_folder();
    let data = fs::metadata(folder.path().join("data")).unwrap();
    // Of the same user: the one case in which Postgres itself would refuse to start.
    let mut command = Command::new("sleep");
    if nix::unistd::Uid::effective().is_root() {
        command.uid(data.uid()).gid(data.gid());
    }
    let mut bystander = command.arg("600").current_dir("/").spawn().unwrap();
    write_pid_file(folder.path(), bystander.id());

    let server = Server::start(Options::kept(folder.path())).unwrap();

    assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'"), "hello");
    drop(server);
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn a_half_made_cluster_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data.unfinished")).unwrap();
    fs::write(folder.path().join("data.unfinished/PG_VERSION"), "15\n").unwrap();

    let server = Server::start(Options::kept(folder.path())).unwrap();

    assert_eq!(ask(&server.url("postgres"), "SELECT 'hello'"), "hello");
    assert!(!folder.path().join("data.unfinished").exists());
}

#[test]
fn a_cluster_of_another_version_is_refused_with_advice() {
    let folder = used_folder();
    fs::write(folder.path().join("data/PG_VERSION"), "9\n").unwrap();

    let error = Server::start(Options::kept(folder.path())).unwrap_err();

    assert!(
        matches!(error, Error::OtherVersion { data: 9, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("install Postgres 9"), "{error}");
}

#[test]
fn a_folder_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/thesis.txt"), "chapter 1").unwrap();

    let error = Server::start(Options::kept(folder.path())).unwrap_err();

    assert!(matches!(error, Error::NotACluster { .. }), "{error}");
    assert_eq!(
        fs::read_to_string(folder.path().join("data/thesis.txt")).unwrap(),
        "chapter 1"
    );
}

#[test]
fn a_lost_password_is_told_as_such() {
    let folder = used_folder();
    fs::remove_file(folder.path().join("password")).unwrap();

    let error = Server::start(Options::kept(folder.path())).unwrap_err();

    assert!(matches!(error, Error::PasswordMissing { .. }), "{error}");
}

#[test]
fn a_link_in_place_of_a_lock_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join("owner.lock")).unwrap();

    let error = Server::start(Options::kept(folder.path())).unwrap_err();

    assert!(matches!(error, Error::File { .. }), "{error}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_temporary_folder_without_an_owner_is_removed_by_the_next_start() {
    let first = Server::start(Options::throwaway()).unwrap();
    let root = first.folder().parent().unwrap().to_owned();
    let owner = fs::metadata(first.folder()).unwrap();
    let left = root.join(format!("private-postgres-left-{}", std::process::id()));
    fs::create_dir(&left).unwrap();
    fs::write(left.join("owner.lock"), "1").unwrap();
    std::os::unix::fs::chown(&left, Some(owner.uid()), Some(owner.gid())).unwrap();
    let two_minutes_ago =
        fs::metadata(&left).unwrap().modified().unwrap() - std::time::Duration::from_mins(2);
    fs::File::open(&left)
        .unwrap()
        .set_modified(two_minutes_ago)
        .unwrap();

    let second = Server::start(Options::throwaway()).unwrap();

    assert!(!left.exists());
    assert!(first.folder().exists() && second.folder().exists());
}
