//! What a probe tells.

use std::fmt::Write as _;

use serde::Serialize;

use super::explain::Failure;

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Whose: `control`, or that of a voice client.
    pub of: &'static str,
    /// What.
    pub step: &'static str,
    /// How long it took, in milliseconds, if it was passed.
    pub ms: Option<f64>,
    /// What it told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it was not passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What became of one client's frames on their way to the other.
#[derive(Clone, Debug, Serialize)]
pub struct Direction {
    /// From which client to which.
    pub way: &'static str,
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that did not arrive within a second.
    pub lost: u64,
    /// There and back, through the server, in milliseconds: half of the frames took no longer.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// How much that varies from one frame to the next, smoothed as RFC 3550 says, in milliseconds.
    pub jitter_ms: f64,
}

/// Everything that a probe came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Whether every step was passed and less than a hundredth was lost.
    pub passed: bool,
    /// In their order, up to the first that failed.
    pub steps: Vec<Step>,
    /// How talk fared.
    pub talk: Vec<Direction>,
    /// What talk as a whole suffers from, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Failure>,
}

impl Report {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Step { of, step, ms, note, failure } in &self.steps {
            let time = ms.map_or_else(|| "FAILED".to_owned(), |ms| format!("{ms:.1} ms"));
            let note = note.as_deref().unwrap_or_default();
            let line = format!("{of:<10} {step:<20} {time:>10}  {note}");
            let _ = writeln!(text, "{}", line.trim_end());
            explain(&mut text, failure.as_ref());
        }
        for Direction { way, sent, lost, p50_ms, p99_ms, jitter_ms } in &self.talk {
            let _ = writeln!(
                text,
                "{:<10} {way:<20} {p50_ms:>7.1} ms  round trip (99 of 100: {p99_ms:.1} ms), jitter \
                 {jitter_ms:.1} ms, lost {lost} of {sent}",
                "talk"
            );
        }
        explain(&mut text, self.trouble.as_ref());
        text += if self.passed { "every step was passed" } else { "the probe FAILED" };
        text
    }
}

/// Milliseconds to the microsecond: more is noise.
pub(super) fn round(ms: f64) -> f64 {
    (ms * 1_000.0).round() / 1_000.0
}

fn explain(text: &mut String, failure: Option<&Failure>) {
    if let Some(Failure { what, remedy }) = failure {
        let _ = writeln!(text, "    {what}\n    -> {remedy}");
    }
}
