//! Whatever people can do, they can do by command.

use clap::Command;
use syncline::cli::{command, words_of};
use syncline::ops::{Deed, Role};

/// The command of these words.
fn find<'a>(mut command: &'a Command, words: &[String]) -> Option<&'a Command> {
    for word in words {
        command = command.find_subcommand(word)?;
    }
    Some(command)
}

fn has(command: &Command, flag: &str) -> bool {
    let mut flags = command.get_arguments().filter_map(clap::Arg::get_long);
    flags.any(|known| known == flag)
}

/// Every command that has no others below it, with its words.
fn leaves(command: &Command) -> Vec<(String, &Command)> {
    if !command.has_subcommands() {
        return vec![(command.get_name().to_owned(), command)];
    }
    let below = command.get_subcommands().flat_map(leaves);
    below
        .map(|(words, leaf)| (format!("{} {words}", command.get_name()), leaf))
        .collect()
}

#[test]
fn every_deed_has_its_verb() {
    let all = command();
    let mut missing = Vec::new();
    for deed in Deed::ALL {
        let Some(words) = words_of(*deed) else {
            continue;
        };
        match find(&all, &words) {
            Some(verb) => assert!(has(verb, "json"), "{words:?} has no --json"),
            None => missing.push(words.join(" ")),
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "deeds without a command");
}

#[test]
fn only_sessions_have_no_verb() {
    let without = Deed::ALL.iter().filter(|deed| words_of(**deed).is_none());
    let names: Vec<_> = without.map(|deed| deed.as_str()).collect();
    assert_eq!(names, ["session.login", "session.logout"]);
}

#[test]
fn what_cannot_be_undone_wants_to_be_confirmed() {
    let all = command();
    let graver = [
        Deed::JobCancel,
        Deed::BulkRetry,
        Deed::BulkRetryNow,
        Deed::BulkCancel,
    ];
    // They take something away from nobody, and can be taken back.
    let light = [
        Deed::ScheduleEdit,
        Deed::ScheduleReset,
        Deed::KeyCreate,
        Deed::UserAdd,
        Deed::UserPassword,
    ];
    for deed in Deed::ALL {
        let is_grave = deed.needs() == Role::Admin || graver.contains(deed);
        if let Some(words) = words_of(*deed)
            && is_grave
            && !light.contains(deed)
        {
            let verb = find(&all, &words).unwrap();
            assert!(has(verb, "yes") || has(verb, "customer"), "{words:?}");
        }
    }
}

#[test]
fn every_look_can_be_repeated_and_read_by_programs() {
    let all = command();
    let looks = ["list", "show", "stats", "status", "search"];
    let mut seen = 0;
    for (words, leaf) in leaves(&all) {
        if words.starts_with("syncline endpoints") || !looks.contains(&leaf.get_name()) {
            continue;
        }
        seen += 1;
        assert!(has(leaf, "json") && has(leaf, "watch"), "{words}");
    }
    assert!(seen >= 18, "{seen}");
}

#[test]
fn the_command_line_contradicts_itself_nowhere() {
    command().debug_assert();
}
