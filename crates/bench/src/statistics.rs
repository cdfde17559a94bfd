//! Medians, percentiles, and how many of something came in any window of time.

use std::time::Duration;

/// The middle of the values, or the mean of the two in the middle; zero of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The smallest value that at least `percent` per cent of the values do not exceed; zero of none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The most of `times` that lie in any window of this length, its end not included.
pub(crate) fn most_in_any(window: Duration, times: &[Duration]) -> usize {
    let mut sorted = times.to_vec();
    sorted.sort();
    let mut first = 0;
    let mut most = 0;
    for (last, time) in sorted.iter().enumerate() {
        while *time >= sorted[first] + window {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let cases: [(&[f64], f64); 4] = [
            (&[], 0.0),
            (&[7.0], 7.0),
            (&[9.0, 1.0, 5.0], 5.0),
            (&[4.0, 1.0, 2.0, 9.0], 3.0),
        ];
        for (values, expected) in cases {
            assert!((median(values) - expected).abs() < 1e-9, "{values:?}");
        }
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();

        for (percent, expected) in [(0, 1.0), (50, 100.0), (99, 198.0), (100, 200.0)] {
            assert!((percentile(&values, percent) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn a_window_slides_over_the_times() {
        let times = [0, 100, 900, 1_000, 1_050, 5_000].map(Duration::from_millis);

        assert_eq!(most_in_any(Duration::from_secs(1), &times), 4);
        assert_eq!(most_in_any(Duration::from_millis(1), &times), 1);
        assert_eq!(most_in_any(Duration::from_secs(1), &[]), 0);
    }
}
