//! Figures of rounds, held against goals.
//!
//! Absolute figures of two rounds cannot be compared on a machine that others use as well; ratios
//! within a round can. So a row's figure is the median of the rounds' ratios.

use std::fmt::Write;

use lvsp_mio::load::Report;
use serde::Serialize;

/// What a figure is to be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// There is none; it is only told.
    None,
}

impl Goal {
    fn is_met(self, figure: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(figure <= most),
            Self::AtLeast(least) => Some(figure >= least),
            Self::None => None,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtMost(most) => format!("<= {most:.2}"),
            Self::AtLeast(least) => format!(">= {least:.2}"),
            Self::None => String::new(),
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// The goal's name, as in `P1`.
    goal: &'static str,
    /// What is compared.
    what: String,
    /// Median of the first figure.
    ours: f64,
    /// Median of the second.
    other: f64,
    /// Median of the rounds' ratios.
    ratio: f64,
    /// The smallest of them.
    low: f64,
    /// The largest.
    high: f64,
    /// What is wanted of the ratio.
    wanted: String,
    /// Whether it is so.
    met: Option<bool>,
}

/// One load in one round.
#[derive(Clone, Debug, Serialize)]
struct Run {
    section: &'static str,
    round: usize,
    who: &'static str,
    #[serde(flatten)]
    report: Report,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Results {
    rows: Vec<Row>,
    runs: Vec<Run>,
}

/// Two figures of one round, and how they are held together.
pub(super) type Pair = (f64, f64);

impl Results {
    pub(super) fn keep(
        &mut self,
        section: &'static str,
        round: usize,
        who: &'static str,
        report: &Report,
    ) {
        self.runs.push(Run { section, round, who, report: report.clone() });
    }

    /// Adds a line: the first figure of each round over the second.
    pub(super) fn add(&mut self, goal: (&'static str, Goal), what: String, rounds: &[Pair]) {
        let ratios: Vec<_> = rounds.iter().map(|(ours, other)| ours / other).collect();
        let ratio = median(&ratios);
        self.rows.push(Row {
            goal: goal.0,
            what,
            ours: median(&rounds.iter().map(|pair| pair.0).collect::<Vec<_>>()),
            other: median(&rounds.iter().map(|pair| pair.1).collect::<Vec<_>>()),
            ratio,
            low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            high: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            wanted: goal.1.words(),
            met: goal.1.is_met(ratio),
        });
    }

    /// For people. Verdicts are left out where loads were too small for them.
    pub(super) fn table(&self, judged: bool) -> String {
        let mut table = format!(
            "{:<4} {:<58} {:>10} {:>10} {:>7} {:>13} {:>9}\n",
            "goal", "what", "this", "that", "ratio", "of rounds", "wanted"
        );
        for Row { goal, what, ours, other, ratio, low, high, wanted, met } in &self.rows {
            let verdict = match met.filter(|_| judged) {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            let spread = format!("{low:.2}..{high:.2}");
            let _ = writeln!(
                table,
                "{goal:<4} {what:<58} {:>10} {:>10} {ratio:>7.3} {spread:>13} {wanted:>9} {verdict}",
                number(*ours),
                number(*other)
            );
        }
        table
    }
}

/// With as many digits as say something.
fn number(figure: f64) -> String {
    if figure.abs() < 100.0 { format!("{figure:.2}") } else { format!("{figure:.0}") }
}

/// The middle one, or the mean of the two in the middle; no number for none.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len() / 2), sorted.len() % 2) {
        (Some(upper), 0) => f64::midpoint(sorted[sorted.len() / 2 - 1], *upper),
        (Some(middle), _) => *middle,
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_of_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_row_is_the_median_of_ratios_and_not_the_ratio_of_medians() {
        let mut results = Results::default();
        let rounds = [(1.0, 1.0), (30.0, 10.0), (2.0, 1.0)];
        results.add(("P1", Goal::AtMost(2.0)), "this/that".to_owned(), &rounds);
        results.add(("P2", Goal::AtLeast(2.1)), "this/that".to_owned(), &rounds);
        let row = &results.rows[0];
        assert_eq!((row.ratio, row.low, row.high, row.met), (2.0, 1.0, 3.0, Some(true)));
        assert_eq!((row.ours, row.other), (2.0, 1.0));
        assert_eq!(results.rows[1].met, Some(false));
        assert!(results.table(true).lines().nth(2).is_some_and(|line| line.ends_with("MISSED")));
        assert!(!results.table(false).contains("MISSED"));
    }
}
