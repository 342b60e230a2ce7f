//! The catalogue: each fault and attack that is expected, and what is done about it.

mod control;
mod gateway;
mod media;

/// The faults of one plane.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    /// What the ids of its rows begin with.
    pub(super) letter: char,
    /// How many there are, so that none is lost.
    pub(super) count: usize,
    pub(super) rows: &'static [Row],
}

/// In the order of the document.
pub(super) const CHAPTERS: &[Chapter] = &[
    Chapter { title: "Control plane", letter: 'C', count: 12, rows: control::ROWS },
    Chapter { title: "Voice gateway", letter: 'G', count: 22, rows: gateway::ROWS },
    Chapter { title: "Media", letter: 'M', count: 17, rows: media::ROWS },
];

/// One fault.
pub(super) struct Row {
    /// The chapter's letter and a number from 1 on.
    pub(super) id: &'static str,
    pub(super) fault: &'static str,
    pub(super) answer: &'static str,
    /// Keys of `[limits]` by their name alone, others as `section.key`.
    pub(super) keys: &'static [&'static str],
    /// Counters beside those of the limits: `drops.`, `closes.`, `relay.` and `server.`.
    pub(super) counters: &'static [&'static str],
    /// `file::function` for a test, `file#word` for a script and its part.
    pub(super) tests: &'static [&'static str],
    /// What is not served or not tested yet. Empty when there is nothing of that kind.
    pub(super) missing: &'static str,
}

const NOTHING: Row =
    Row { id: "", fault: "", answer: "", keys: &[], counters: &[], tests: &[], missing: "" };

const EACH: &str = "tests/it/bites.rs::each_limit_is_counted_under_its_name_when_it_is_reached";
