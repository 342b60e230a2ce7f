//! The table: who hears whom, and how well.
//!
//! On a terminal it changes above a bar that says how far the demonstration is; elsewhere only its
//! last state is shown.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use super::cast::Cast;
use super::cast::Part;
use super::tally::{Lane, Pair, Tally};
use super::verdict::{is_due, name};
use crate::progress::Progress;

/// The whole table, one line for each pair. Once it is `over`, what has not arrived is lost.
pub(super) fn render(cast: &Cast, tally: &Tally, over: bool) -> String {
    let mut text = format!(
        "{:<10}{:<10}{:>9}{:>13}{:>7}{:>6}{:>11}{:>11}\n",
        "listener", "speaker", "talk", "after mute", "lost", "bad", "p50", "p99"
    );
    let unheard = Lane::default();
    for (listener, speaker) in cast.pairs() {
        let pair = (listener.user, Some(speaker.user));
        let due = Part::ALL.map(|part| cast.expected(listener, speaker, part));
        let lane = tally.lane(pair).unwrap_or(&unheard);
        row(&mut text, cast, pair, lane, due, over);
    }
    for (pair, lane) in tally.lanes().filter(|(pair, _)| !is_due(cast, *pair)) {
        row(&mut text, cast, pair, lane, [0, 0], over);
    }
    text
}

fn row(
    text: &mut String,
    cast: &Cast,
    (listener, speaker): Pair,
    lane: &Lane,
    due: [u32; 2],
    over: bool,
) {
    let [talk, after] = Part::ALL.map(|part| lane.intact(part));
    let after = match due {
        [talk, 0] if talk > 0 && after == 0 => "muted".to_owned(),
        _ => format!("{after}/{}", due[1]),
    };
    let missing: u32 = Part::ALL
        .into_iter()
        .zip(due)
        .map(|(part, due)| {
            let sent = if over { due } else { lane.sent_by_now(part) };
            sent.saturating_sub(lane.intact(part))
        })
        .sum();
    // What arrived corrupt did arrive.
    let (lost, bad) = (missing.saturating_sub(lane.corrupt), lane.bad());
    let (listener, speaker) = (name(cast, Some(listener)), name(cast, speaker));
    let (p50, p99) = (milliseconds(lane.latency(50)), milliseconds(lane.latency(99)));
    let talk = format!("{talk}/{}", due[0]);
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{listener:<10}{speaker:<10}{talk:>9}{after:>13}{lost:>7}{bad:>6}{p50:>11}{p99:>11}"
    );
}

fn milliseconds(latency: Option<Duration>) -> String {
    latency.map_or_else(
        || "-".to_owned(),
        |latency| format!("{:.2} ms", latency.as_secs_f64() * 1_000.0),
    )
}

/// Standard output for what stays, and what a terminal shows meanwhile.
pub(super) struct Screen {
    progress: Progress,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { progress: Progress::new() }
    }

    /// Writes a line that stays.
    pub(super) fn say(&self, line: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{line}")
    }

    /// Begins something of `length` parts.
    pub(super) fn begin(&self, what: &'static str, length: u64) {
        self.progress.begin(what, length);
    }

    /// Draws the table in place of its former state, and how many parts are done.
    pub(super) fn draw(&self, table: String, done: u64) {
        self.progress.above(table);
        self.progress.set(done);
    }

    /// Writes the table so that it stays.
    pub(super) fn finish(&self, table: &str) -> io::Result<()> {
        self.progress.end();
        let mut out = io::stdout().lock();
        writeln!(out, "{table}")?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use lvsp_core::ids::UserId;
    use lvsp_core::time::Timestamp;

    use super::super::news::Heard;
    use super::*;
    use crate::peers::Payload;

    fn hear(tally: &mut Tally, speaker: u64, part: Part, index: u32) {
        let speaker = UserId::new(speaker).unwrap();
        let sent = Timestamp::ZERO;
        let payload = Payload { speaker, part: part.number(), index, sent }.encode();
        let at = Timestamp::from_micros(1_500);
        let listener = UserId::new(11).unwrap();
        tally.note(&Heard { listener, named: Some(speaker), payload, at });
    }

    fn rows(tally: &Tally, over: bool) -> Vec<String> {
        let table = render(&Cast::new(5, None), tally, over);
        let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        table.lines().map(squeeze).collect()
    }

    #[test]
    fn each_pair_has_a_row_from_the_start() {
        let rows = rows(&Tally::default(), false);
        assert_eq!(rows.len(), 1 + 8);
        assert_eq!(rows[1], "ann bob 0/5 muted 0 0 - -");
        assert_eq!(rows[2], "ann cem 0/5 0/5 0 0 - -");
    }

    #[test]
    fn loss_is_what_the_newest_left_behind_and_in_the_end_what_is_missing() {
        let mut tally = Tally::default();
        [0, 1, 3].into_iter().for_each(|index| hear(&mut tally, 13, Part::Talk, index));
        assert_eq!(rows(&tally, false)[2], "ann cem 3/5 0/5 1 0 1.50 ms 1.50 ms");
        assert_eq!(rows(&tally, true)[2], "ann cem 3/5 0/5 7 0 1.50 ms 1.50 ms");
    }

    #[test]
    fn what_arrived_corrupt_is_bad_and_not_lost() {
        let mut tally = Tally::default();
        [0, 1, 2, 3].into_iter().for_each(|index| hear(&mut tally, 13, Part::Talk, index));
        let (listener, named) = (UserId::new(11).unwrap(), UserId::new(13));
        tally.note(&Heard { listener, named, payload: vec![0; 90], at: Timestamp::ZERO });
        assert_eq!(rows(&tally, false)[2], "ann cem 4/5 0/5 0 1 1.50 ms 1.50 ms");
    }

    #[test]
    fn what_should_not_be_heard_is_shown_as_well() {
        let mut tally = Tally::default();
        hear(&mut tally, 21, Part::Talk, 0);
        hear(&mut tally, 12, Part::AfterMute, 0);
        let rows = rows(&tally, true);
        assert_eq!(rows[1], "ann bob 0/5 1/0 5 0 1.50 ms 1.50 ms");
        assert_eq!(rows[9], "ann dea 1/0 0/0 0 0 1.50 ms 1.50 ms");
    }
}
