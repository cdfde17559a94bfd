//! The service, live: what waits, who works, which lanes are busy, what jobs die of.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use console::{Key, Term, style, truncate_str};
use queue::lanes::{self, LaneView};
use tokio::sync::mpsc;

use super::desk::Desk;
use super::exit::Refused;
use super::table::{Cell, Table, harmless, maybe, state};
use crate::config::Config;
use crate::ops::health::Snapshot;
use crate::ops::queues::worker_state;
use crate::ops::words::{age, ago, grouped, stamp};

/// Lanes that are looked at.
const LANES: u16 = 50;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Seconds from one look to the next.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
}

/// Shows it until somebody presses q.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let term = Term::stdout();
    let has_keys = io::IsTerminal::is_terminal(&io::stdin());
    if !term.is_term() || !has_keys {
        let advice = "top needs a terminal: without one, use `syncline status --watch`";
        return Err(Refused(advice.to_owned()).into());
    }
    let desk = Desk::of(config).await?;
    let mut view = View::of(&desk).await?;
    let screen = Screen::enter(term)?;
    let mut keys = read_keys();
    let every = Duration::from_secs(args.every);
    loop {
        screen.draw(&view)?;
        let look = tokio::select! {
            key = keys.recv() => match key {
                None | Some(Key::Char('q') | Key::Escape | Key::CtrlC) => return Ok(()),
                Some(Key::Char('p')) => {
                    view.is_paused = !view.is_paused;
                    !view.is_paused
                }
                Some(Key::Char('r')) => true,
                Some(_) => false,
            },
            () = tokio::time::sleep(every), if !view.is_paused => true,
        };
        if look {
            view.look(&desk).await;
        }
    }
}

/// Keys as they are pressed. The thread ends with one that ends us: waiting for another, it would leave the terminal as
/// it must not be left.
fn read_keys() -> mpsc::UnboundedReceiver<Key> {
    let (sender, keys) = mpsc::unbounded_channel();
    thread::spawn(move || {
        while let Ok(key) = Term::stdout().read_key_raw() {
            let ends = matches!(key, Key::Char('q') | Key::Escape | Key::CtrlC);
            if sender.send(key).is_err() || ends {
                return;
            }
        }
    });
    keys
}

/// A screen of our own; whatever was there comes back when it is dropped.
struct Screen(Term);

impl Screen {
    fn enter(term: Term) -> io::Result<Self> {
        term.write_str("\u{1b}[?1049h")?;
        term.hide_cursor()?;
        Ok(Self(term))
    }

    fn draw(&self, view: &View) -> io::Result<()> {
        let (rows, columns) = self.0.size();
        let frame = view.frame(usize::from(columns), usize::from(rows));
        // Over the old one, so that nothing flickers.
        let lines: Vec<String> = frame.iter().map(|line| format!("{line}\u{1b}[K")).collect();
        let mut term = &self.0;
        write!(term, "\u{1b}[H{}\u{1b}[J", lines.join("\r\n"))?;
        term.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        let _ = self.0.write_str("\u{1b}[?1049l");
    }
}

/// What was seen last.
struct View {
    snapshot: Snapshot,
    lanes: Vec<LaneView>,
    seen_at: Instant,
    /// Jobs of each queue that ended in a second, between the last two looks.
    rates: BTreeMap<String, f64>,
    fault: Option<String>,
    is_paused: bool,
}

impl View {
    async fn of(desk: &Desk) -> anyhow::Result<Self> {
        Ok(Self {
            snapshot: Snapshot::take(&desk.pool, desk.now().await?).await?,
            lanes: lanes::list(&desk.pool, LANES).await?,
            seen_at: Instant::now(),
            rates: BTreeMap::new(),
            fault: None,
            is_paused: false,
        })
    }

    /// Looks again; what was seen stays if that fails.
    async fn look(&mut self, desk: &Desk) {
        match Self::of(desk).await {
            Ok(seen) => self.follow(seen),
            Err(error) => self.fault = Some(format!("cannot look: {error:#}")),
        }
    }

    fn follow(&mut self, seen: Self) {
        let seconds = (seen.seen_at - self.seen_at).as_secs_f64().max(0.001);
        let rates = seen.snapshot.queues.iter().map(|(name, now)| {
            let before = self.snapshot.queues.get(name);
            let before = before.map_or(0, |queue| queue.completed_today + queue.dead);
            let ended = (now.completed_today + now.dead).saturating_sub(before);
            #[expect(
                clippy::cast_precision_loss,
                reason = "far fewer than 2^52 in a few seconds"
            )]
            let rate = ended as f64 / seconds;
            (name.clone(), rate)
        });
        *self = Self {
            rates: rates.collect(),
            is_paused: self.is_paused,
            ..seen
        };
    }

    /// Lines that fit a terminal of this size.
    fn frame(&self, width: usize, height: usize) -> Vec<String> {
        let mut lines = vec![self.title(), self.sentence(), String::new()];
        lines.extend(shown(&self.queues(), width));
        let rest = [
            ("workers", self.workers()),
            ("lanes", self.lanes()),
            ("dead jobs", self.dead()),
        ];
        for (index, (name, table)) in rest.iter().enumerate() {
            // Each gets its share of what is left, and the later ones what the earlier ones do not need.
            let share = height.saturating_sub(lines.len()) / (rest.len() - index);
            if share < 4 {
                continue;
            }
            lines.push(String::new());
            lines.push(style(name.to_uppercase()).dim().to_string());
            lines.extend(shown(table, width).into_iter().take(share - 2));
        }
        lines.truncate(height);
        let lines = lines.into_iter();
        lines
            .map(|line| truncate_str(&line, width, "…").into_owned())
            .collect()
    }

    fn title(&self) -> String {
        let paused = if self.is_paused { "  PAUSED" } else { "" };
        let keys = "q quits  p pauses  r looks now";
        format!("syncline  {} UTC{paused}  {keys}", stamp(self.snapshot.now))
    }

    fn sentence(&self) -> String {
        let sentence = harmless(&self.snapshot.sentence().to_string());
        match &self.fault {
            Some(fault) => style(harmless(fault)).red().to_string(),
            None if self.snapshot.is_well() => style(sentence).green().to_string(),
            None => style(sentence).yellow().to_string(),
        }
    }

    fn queues(&self) -> Table {
        let names = [
            "queue", "state", "due", "oldest", "running", "slots", "retry", "later", "dead",
            "a second",
        ];
        let mut table = Table::new(&names);
        for (name, queue) in &self.snapshot.queues {
            let is_paused = self.snapshot.is_paused(name);
            table.row([
                Cell::from(name),
                state(if is_paused { "paused" } else { "open" }),
                Cell::from(grouped(queue.available)),
                maybe(
                    queue
                        .oldest_due
                        .map(|_| age(queue.oldest_age(self.snapshot.now))),
                ),
                Cell::from(grouped(queue.running)),
                Cell::from(grouped(queue.slots)),
                Cell::from(grouped(queue.retryable)),
                Cell::from(grouped(queue.scheduled)),
                Cell::from(grouped(queue.dead)),
                maybe(self.rates.get(name).map(|rate| format!("{rate:.1}"))),
            ]);
        }
        table
    }

    fn workers(&self) -> Table {
        let mut table = Table::new(&["worker", "state", "running", "lanes", "since", "version"]);
        for worker in self
            .snapshot
            .workers
            .iter()
            .filter(|worker| worker.ended_at.is_none())
        {
            table.row([
                Cell::from(format!("{}:{}", worker.host, worker.pid)),
                state(worker_state(worker)),
                Cell::from(worker.running),
                Cell::from(worker.lanes),
                Cell::from(ago(worker.started_at, self.snapshot.now)),
                Cell::from(&worker.version),
            ]);
        }
        table
    }

    fn lanes(&self) -> Table {
        let mut busiest: Vec<&LaneView> = self.lanes.iter().collect();
        busiest.sort_by_key(|lane| std::cmp::Reverse(lane.running + lane.due));
        let mut table = Table::new(&["lane", "running", "due", "later", "oldest"]);
        for lane in busiest {
            table.row([
                Cell::from(&lane.lane),
                Cell::from(lane.running),
                Cell::from(lane.due),
                Cell::from(lane.scheduled),
                maybe(lane.oldest_due_at.map(|at| ago(at, self.snapshot.now))),
            ]);
        }
        table
    }

    fn dead(&self) -> Table {
        let mut table = Table::new(&["kind", "jobs", "last", "class", "message"]);
        for group in self.snapshot.groups.iter().filter(|group| group.is_open()) {
            table.row([
                Cell::from(&group.kind),
                Cell::from(grouped(group.jobs.unsigned_abs())),
                Cell::from(ago(group.last_seen_at, self.snapshot.now)),
                Cell::from(&group.error_class),
                Cell::from(&group.message),
            ]);
        }
        table
    }
}

fn shown(table: &Table, width: usize) -> Vec<String> {
    let text = table.for_width(Some(width));
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
