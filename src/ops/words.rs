//! Numbers, times and spans of time in the words that people are told.

use std::error::Error;

use chrono::{DateTime, TimeDelta, Utc};
use phrases::{English, Part, Phrase, Voice as _, say};

use super::Deed;

/// `1 job`, `12,000 jobs`.
pub fn plural(count: u64, what: &str) -> String {
    let shown = grouped(count);
    match count {
        1 => format!("{shown} {what}"),
        _ => format!("{shown} {what}s"),
    }
}

/// `1 job is`, `2 jobs are`.
pub fn plural_are(count: u64, what: &str) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{} {verb}", plural(count, what))
}

/// `1 job was`, `2 jobs were`.
pub fn plural_were(count: u64, what: &str) -> String {
    let verb = if count == 1 { "was" } else { "were" };
    format!("{} {verb}", plural(count, what))
}

/// With a comma between each three digits.
pub fn grouped(number: u64) -> String {
    English.number(number, 0)
}

/// `12 s`, `4 min`, `3 h 20 min`, `2 d 4 h`.
pub fn age(time: TimeDelta) -> Phrase {
    let seconds = time.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..60 => say!("{seconds} s", seconds),
        60..3600 => say!("{minutes} min", minutes),
        3600..86_400 => match minutes % 60 {
            0 => say!("{hours} h", hours),
            minutes => say!("{hours} h {minutes} min", hours, minutes),
        },
        _ => match hours % 24 {
            0 => say!("{days} d", days),
            hours => say!("{days} d {hours} h", days, hours),
        },
    }
}

/// `now`, `3 min ago`, `in 4 s`.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Phrase {
    let span = now - at;
    if span.abs() < TimeDelta::seconds(1) {
        say!("now")
    } else if span > TimeDelta::zero() {
        say!("{age} ago", age = age(span))
    } else {
        // Rounded up: what comes in 1.9 s does not come in 1 s.
        say!("in {age}", age = age(-span + TimeDelta::milliseconds(999)))
    }
}

/// `2026-11-22 13:05:09`, in UTC as everything.
pub fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long something took: `0 ms`, `340 ms`, `1.25 s`, `4 min`.
pub fn took(span: TimeDelta) -> Phrase {
    let millis = span.num_milliseconds().max(0);
    let hundredths = Part::Number {
        digits: millis.unsigned_abs() / 10,
        places: 2,
    };
    match millis {
        ..1_000 => say!("{millis} ms", millis),
        1_000..60_000 => say!("{seconds} s", seconds = hundredths),
        _ => age(span),
    }
}

/// The first line, and not too much of it.
pub fn cut(text: &str, chars: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= chars {
        return line.to_owned();
    }
    line.chars().take(chars).chain("…".chars()).collect()
}

/// What is said when something was done.
pub fn done(deed: Deed) -> Phrase {
    match deed {
        Deed::JobRetry => say!("It runs again, with a fresh set of attempts."),
        Deed::JobRetryNow => say!("It starts as soon as its lane allows."),
        Deed::JobSnooze => say!("It was put off."),
        Deed::JobEdit => say!("It was changed."),
        Deed::JobCancel => say!("It was cancelled."),
        Deed::JobDelete => say!("The job was deleted."),
        Deed::GroupResolve => say!("The group is resolved, until another job dies of it."),
        Deed::GroupReopen => say!("The group is open again."),
        Deed::BulkRetry | Deed::BulkRetryNow | Deed::BulkCancel | Deed::BulkDelete => {
            say!("It has begun.")
        }
        Deed::BulkStop => say!("It ends after the batch that is under way."),
        Deed::Pause => say!("It is paused; within two seconds nothing more of it starts."),
        Deed::Resume => say!("It goes on."),
        Deed::CountsCheck => say!("The counts are those of a look at all jobs."),
        Deed::WorkerQuiet => say!("It starts nothing more."),
        Deed::WorkerWork => say!("It works again."),
        Deed::WorkerDrain => say!("It ends when its jobs have."),
        Deed::ScheduleRun => say!("Its job was enqueued."),
        Deed::SchedulePause => {
            say!("The schedule is paused; what is due meanwhile is not made up for.")
        }
        Deed::ScheduleResume => say!("The schedule goes on."),
        Deed::ScheduleEdit => say!("The schedule was changed; that holds over restarts."),
        Deed::ScheduleReset => say!("What the code says holds again."),
        Deed::WebhookReplay => say!("It is judged once more."),
        Deed::AccountPoll => say!("Merge is asked now."),
        Deed::AccountSweep => say!("What changed lately is read again."),
        Deed::AccountResync => say!("Everything is read again."),
        Deed::AccountDelete => say!("The account is being deleted."),
        Deed::UserAdd => say!("The user was added."),
        Deed::UserRemove => say!("The user was removed; their sessions are over."),
        Deed::UserPassword => say!("The password was changed; their sessions are over."),
        Deed::KeyCreate => say!("The key was made."),
        Deed::KeyRevoke => say!("The key was withdrawn; nothing opens with it any more."),
        Deed::LogIn => say!("You are logged in."),
        Deed::LogOut => say!("You are logged out."),
    }
}

/// An error and its causes, as people write.
pub fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    as_sentence(&text)
}

/// With a capital, and an end.
pub fn as_sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let ending = if text.ends_with('.') { "" } else { "." };
    first
        .into_iter()
        .flatten()
        .chain(letters)
        .chain(ending.chars())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_as_exact_as_they_matter() {
        let cases = [
            (7, "7 ms"),
            (1_250, "1.25 s"),
            (59_999, "59.99 s"),
            (61_000, "1 min"),
        ];
        for (millis, expected) in cases {
            assert_eq!(took(TimeDelta::milliseconds(millis)).to_string(), expected);
        }
    }

    #[test]
    fn times_and_numbers_are_short() {
        let cases = [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (5400, "1 h 30 min"),
            (90_000, "1 d 1 h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(age(TimeDelta::seconds(seconds)).to_string(), expected);
        }
        assert_eq!(
            (grouped(999), grouped(1_234_567)),
            ("999".to_owned(), "1,234,567".to_owned())
        );
    }
}
