//! Numbers and spans of time in the words that people are told.

use chrono::TimeDelta;

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
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `12 s`, `4 min`, `3 h 20 min`, `2 d 4 h`.
pub fn age(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => match minutes % 60 {
            0 => format!("{hours} h"),
            minutes => format!("{hours} h {minutes} min"),
        },
        _ => match hours % 24 {
            0 => format!("{days} d"),
            hours => format!("{days} d {hours} h"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(age(TimeDelta::seconds(seconds)), expected);
        }
        assert_eq!(
            (grouped(999), grouped(1_234_567)),
            ("999".to_owned(), "1,234,567".to_owned())
        );
    }
}
