//! The table: who hears whom, and how well.
//!
//! On a terminal it is drawn over itself while it changes; elsewhere only its last state is shown.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::cast::Cast;
use super::cast::Part;
use super::tally::{Lane, Pair, Tally};
use super::verdict::{is_due, name};

/// How far the demonstration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    /// In words.
    pub(super) words: &'static str,
    /// Whether both parts are over: what has not arrived by then is lost.
    pub(super) over: bool,
}

/// The whole table, one line for each pair.
pub(super) fn render(cast: &Cast, tally: &Tally, state: State) -> String {
    let mut text = format!(
        "{:<10}{:<10}{:>9}{:>13}{:>7}{:>6}{:>11}{:>11}\n",
        "listener", "speaker", "talk", "after mute", "lost", "bad", "p50", "p99"
    );
    let unheard = Lane::default();
    for (listener, speaker) in cast.pairs() {
        let pair = (listener.user, Some(speaker.user));
        let due = Part::ALL.map(|part| cast.expected(listener, speaker, part));
        let lane = tally.lane(pair).unwrap_or(&unheard);
        row(&mut text, cast, pair, lane, due, state);
    }
    for (pair, lane) in tally.lanes().filter(|(pair, _)| !is_due(cast, *pair)) {
        row(&mut text, cast, pair, lane, [0, 0], state);
    }
    text.push_str(state.words);
    text.push('\n');
    text
}

fn row(
    text: &mut String,
    cast: &Cast,
    (listener, speaker): Pair,
    lane: &Lane,
    due: [u32; 2],
    state: State,
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
            let sent = if state.over { due } else { lane.sent_by_now(part) };
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

/// Standard output, and what of the table stands on it.
pub(super) struct Screen {
    live: bool,
    lines: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { live: io::stdout().is_terminal(), lines: 0 }
    }

    /// Writes a line that stays.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        self.lines = 0;
        writeln!(io::stdout(), "{line}")
    }

    /// Draws the table in place of its former state, if this is a terminal.
    pub(super) fn draw(&mut self, table: &str) -> io::Result<()> {
        if self.live { self.replace(table) } else { Ok(()) }
    }

    /// Draws the table for the last time.
    pub(super) fn finish(&mut self, table: &str) -> io::Result<()> {
        self.replace(table)?;
        self.lines = 0;
        Ok(())
    }

    fn replace(&mut self, table: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.lines > 0 {
            // Up to its first line, and clear from there on.
            write!(out, "\x1b[{}A\x1b[J", self.lines)?;
        }
        write!(out, "{table}")?;
        self.lines = table.lines().count();
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
        let table = render(&Cast::new(5, None), tally, State { words: "talking", over });
        let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        table.lines().map(squeeze).collect()
    }

    #[test]
    fn each_pair_has_a_row_from_the_start() {
        let rows = rows(&Tally::default(), false);
        assert_eq!(rows.len(), 1 + 8 + 1);
        assert_eq!(rows[1], "ann bob 0/5 muted 0 0 - -");
        assert_eq!(rows[2], "ann cem 0/5 0/5 0 0 - -");
        assert_eq!(rows[9], "talking");
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
