//! Windows of a model, drawn on a line of Merge's time.

use chrono::{DateTime, TimeDelta, Utc};
use phrases::{Phrase, mark, say};
use store::fetch_windows::{ClosedWindow, Extent};

use super::super::told::Said;
use crate::ops::standing::{Proof, stamp};

/// Width and height of the drawing, as its view box has them.
const WIDTH: i64 = 300;
pub(super) const HEIGHT: i64 = 16;

/// A window, or a gap, as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) class: &'static str,
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) height: i64,
    pub(super) title: Said,
}

/// The stretch of Merge's time that is drawn.
pub(super) struct Axis {
    pub(super) start: DateTime<Utc>,
    pub(super) length: TimeDelta,
}

impl Axis {
    pub(super) fn of(proofs: &[Proof], now: DateTime<Utc>) -> Self {
        let windows = proofs.iter().flat_map(|(_, (_, windows))| windows);
        let first = windows
            .map(|window| window.modified_after.unwrap_or(window.mark))
            .min();
        // Something before the first mark, for what was read without a lower limit.
        let span = (now - first.unwrap_or(now)).max(TimeDelta::minutes(1));
        let start = first.unwrap_or(now) - span / 12;
        Self {
            start,
            length: now - start,
        }
    }

    pub(super) fn place(&self, time: DateTime<Utc>) -> i64 {
        let length = self.length.num_milliseconds().max(1);
        ((time - self.start).num_milliseconds() * WIDTH / length).clamp(0, WIDTH)
    }
}

/// Neighbours overlap a little, so every other one is drawn lower.
pub(super) fn draw(index: usize, window: &ClosedWindow, axis: &Axis) -> Rect {
    let start = window.modified_after.map_or(0, |after| axis.place(after));
    let class = match window.extent {
        Extent::First | Extent::Whole => mark!("whole"),
        Extent::Next => mark!("next"),
        Extent::Sweep => mark!("sweep"),
    };
    let from = window.modified_after;
    let from = from.map_or(say!("the beginning").into(), stamp);
    Rect {
        class,
        x: start,
        y: if index.is_multiple_of(2) { 2 } else { 5 },
        width: (axis.place(window.mark) - start).max(1),
        height: 9,
        title: say!(
            "{class}: {from} to {to}, {records} records",
            class = Phrase::new(class),
            from,
            to = stamp(window.mark),
            records = window.records
        )
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_window_is_drawn_where_its_time_is() {
        let axis = Axis {
            start: at(0),
            length: TimeDelta::seconds(300),
        };
        let window = ClosedWindow {
            id: store::WindowId::new(),
            extent: Extent::Next,
            modified_after: Some(at(100)),
            modified_before: Some(at(200)),
            mark: at(200),
            started_at: at(210),
            records: 1_200,
            windows: 1,
        };

        let rect = draw(1, &window, &axis);

        assert_eq!((rect.x, rect.width, rect.class), (100, 100, "next"));
        let title = rect.title.to_string();
        assert!(title.ends_with("1,200 records"), "{title}");
        let first = ClosedWindow {
            modified_after: None,
            extent: Extent::First,
            ..window
        };
        assert_eq!(draw(0, &first, &axis).x, 0);
    }
}
