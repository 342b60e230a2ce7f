//! What somebody at a terminal sees while they wait.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TEMPLATE: &str = "{prefix}{msg:>8} [{bar:40}] {pos}/{len}";

/// A bar on standard error, if that is a terminal; and above it, what changes meanwhile.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Shows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Begins something of `length` parts.
    pub(crate) fn begin(&self, what: &'static str, length: u64) {
        self.0.set_message(what);
        self.0.set_length(length);
        self.0.set_position(0);
    }

    /// Shows whole lines above the bar, in place of those from before.
    pub(crate) fn above(&self, lines: String) {
        self.0.set_prefix(lines);
    }

    /// So many parts are done.
    pub(crate) fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Makes room for what is shown next.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
