//! What shells and `man` are told is what the command line has.

use super::binary::{output, syncline};

#[tokio::test]
async fn shells_complete_what_there_is() {
    for (shell, mark) in [
        ("bash", "complete -F _syncline"),
        ("zsh", "#compdef syncline"),
        ("fish", "complete -c syncline"),
    ] {
        let (code, script, stderr) = output(syncline(&["completions", shell])).await;

        assert_eq!(code, 0, "{stderr}");
        assert!(script.contains(mark), "{shell}");
        for word in ["retry-now", "resync-incremental", "longest-transaction"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        // The library's script for fish goes two commands deep.
        let knows_deepest = script.contains("dry-run");
        assert_eq!(knows_deepest, shell != "fish", "{shell}");
    }
    assert_eq!(output(syncline(&["completions", "tcsh"])).await.0, 2);
}

#[tokio::test]
async fn bash_takes_the_script_and_completes_by_it() {
    let (_, script, _) = output(syncline(&["completions", "bash"])).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syncline");
    std::fs::write(&file, script).unwrap();
    let ask = format!(
        ". {}; COMP_WORDS=(syncline jobs re); COMP_CWORD=2; _syncline syncline re jobs; echo ${{COMPREPLY[@]}}",
        file.display()
    );

    let mut bash = tokio::process::Command::new("bash");
    bash.args(["--norc", "-c", &ask]);
    let (code, offered, stderr) = output(bash).await;

    assert_eq!((code, offered.trim()), (0, "retry retry-now"), "{stderr}");
}

#[tokio::test]
async fn every_command_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("pages");
    let (code, _, stderr) = output(syncline(&["man", "--into", into.to_str().unwrap()])).await;
    let (_, page, _) = output(syncline(&["man", "jobs", "bulk", "delete"])).await;

    assert_eq!(code, 0, "{stderr}");
    for name in [
        "syncline.1",
        "syncline-jobs.1",
        "syncline-jobs-bulk-delete.1",
        "syncline-doctor.1",
    ] {
        assert!(into.join(name).exists(), "{name}");
    }
    assert!(
        page.starts_with(".ie") && page.contains(r"\-\-dry\-run"),
        "{page}"
    );
    let (code, _, stderr) = output(syncline(&["man", "jobs", "explode"])).await;
    assert!(
        code == 66 && stderr.contains("there is no command `jobs explode`"),
        "{stderr}"
    );
}
