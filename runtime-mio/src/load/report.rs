//! What a load came to: as a table for people, as JSON for programs.

use std::fmt::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::climb::LOSS_FREE;

/// A generator later than this blames the server for its own lateness.
const LATE_US: u64 = 5_000;

/// Everything about one load.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Everybody.
    pub members: usize,
    /// The channels they were in.
    pub channels: usize,
    /// How the media was sealed.
    pub mode: String,
    /// `opus`, or the bytes of each payload.
    pub payload: String,
    /// Whether speakers paused.
    pub dtx: bool,
    /// Whether members read what arrived. If not, `arrived` is what arrived on the link, if one was
    /// named.
    pub receive: bool,
    /// How everybody joined.
    pub joins: Joins,
    /// The measured time: the only step, or the largest without loss.
    #[serde(flatten)]
    pub step: Step,
    /// Every step on the way to saturation, the repeated ones as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Whether more was lost with more speakers; `None` when it was not to saturate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturated: Option<bool>,
}

/// How everybody joined.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Joins {
    /// How long it took.
    pub seconds: f64,
    /// Processor time of the server for each, the placing over LVSP included.
    pub server_cpu_us_per_join: Option<f64>,
    /// Resident memory of the server before anybody joined.
    pub server_rss_before_bytes: Option<u64>,
    /// And when everybody had.
    pub server_rss_after_bytes: Option<u64>,
    /// The difference for each, in KiB.
    pub server_rss_kib_per_member: Option<f64>,
}

/// One measured time.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Who talked.
    pub speakers: usize,
    /// How long it was.
    pub seconds: f64,
    /// Frames of speech that were sent.
    pub sent: u64,
    /// Frames of silence that were sent.
    pub silences: u64,
    /// Frames that the generator's own sockets refused.
    pub refused: u64,
    /// Copies of speech that had to arrive.
    pub expected: u64,
    /// Copies that did arrive; computed from the loss when it was counted on a link, and `None` when
    /// nothing counted.
    pub arrived: Option<u64>,
    /// The share that was lost, 0 to 1.
    pub lost_share: Option<f64>,
    /// Copies that arrived more than once.
    pub repeated: u64,
    /// Frames that nobody said, or that were for somebody else.
    pub foreign: u64,
    /// Copies in a second: those that arrived, or those expected when nothing counted.
    pub forwarded_per_s: f64,
    /// From when a frame was due to its arrival at a receiver's socket.
    pub latency_us: Option<Percentiles>,
    /// From when a frame was sent to its arrival there: without the generator's lateness.
    pub transit_us: Option<Percentiles>,
    /// From when a frame was due to when the generator sent it.
    pub lateness_us: Percentiles,
    /// Processor time of the server for each forwarded copy.
    pub server_cpu_ns_per_forwarded: Option<f64>,
    /// The same of its media threads alone: without heartbeats and joins.
    pub server_media_cpu_ns_per_forwarded: Option<f64>,
    /// Processors that the server kept busy.
    pub server_cores: Option<f64>,
    /// Processor time of the generator for each forwarded copy.
    pub generator_cpu_ns_per_forwarded: Option<f64>,
}

/// How a histogram looks, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Percentiles {
    /// Half was no more.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// 999 of a thousand.
    pub p999: u64,
    /// Everything.
    pub max: u64,
}

impl Percentiles {
    /// Reads them off.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |percent| histogram.value_at_percentile(percent);
        Self { p50: at(50.0), p90: at(90.0), p99: at(99.0), p999: at(99.9), max: histogram.max() }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max } = self;
        write!(f, "p50 {p50} us, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")
    }
}

impl Report {
    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![("load", self.load()), ("joins", self.joins.to_string())];
        for step in &self.steps {
            rows.push(("step", step.line()));
        }
        rows.extend(self.step.rows());
        match self.saturated {
            Some(true) => rows.push(("verdict", self.saturation())),
            Some(false) => rows.push((
                "verdict",
                "not saturated: everybody talked and nothing was lost; use more --members".into(),
            )),
            None => {}
        }
        if let Some(warning) = self.warning() {
            rows.push(("warning", warning));
        }
        rows.into_iter().fold(String::new(), |mut table, (name, words)| {
            let _ = writeln!(table, "{name:<10}{words}");
            table
        })
    }

    fn load(&self) -> String {
        let Self { members, channels, mode, payload, step: Step { speakers, .. }, .. } = self;
        let dtx = if self.dtx { " with pauses" } else { "" };
        let reading = if self.receive { "" } else { ", nobody reads" };
        format!(
            "{} in {}, {}{dtx}, payload {payload}, {mode}{reading}",
            many(*members, "member"),
            many(*channels, "channel"),
            many(*speakers, "speaker")
        )
    }

    fn saturation(&self) -> String {
        if self.step.lost_share.is_some_and(|share| share > LOSS_FREE) {
            return "saturated from the start: begin with fewer --speakers".to_owned();
        }
        format!("{:.0} packets/s without loss at the most", self.step.forwarded_per_s)
    }

    /// What makes the figures worth less than they look.
    fn warning(&self) -> Option<String> {
        let late = self.step.lateness_us.p99;
        if late > LATE_US {
            return Some(format!(
                "the generator itself was late (p99 {late} us), which counts as latency; give it a \
                 processor of its own, or less to do"
            ));
        }
        let refused = self.step.refused;
        (refused > 0).then(|| {
            format!("the generator's own sockets refused {refused} frames, which were not sent")
        })
    }
}

impl fmt::Display for Joins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s", self.seconds)?;
        if let Some(cpu) = self.server_cpu_us_per_join {
            write!(f, ", {cpu:.0} us of server CPU each")?;
        }
        if let Some(memory) = self.server_rss_kib_per_member {
            write!(f, ", {memory:.1} KiB of server memory each")?;
        }
        Ok(())
    }
}

impl Step {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![("sent", format!("{} frames in {:.1} s", self.sent, self.seconds))];
        rows.push(("forwarded", self.forwarded()));
        if let Some(latency) = self.latency_us {
            rows.push(("latency", latency.to_string()));
        }
        if let Some(transit) = self.transit_us {
            rows.push(("transit", format!("{transit} (from when it was sent)")));
        }
        rows.push(("lateness", format!("{} (of the generator)", self.lateness_us)));
        if let (Some(cpu), Some(cores)) = (self.server_cpu_ns_per_forwarded, self.server_cores) {
            let words = format!("{cpu:.0} ns of CPU for each forwarded packet, {cores:.3} cores");
            rows.push(("server", words));
        }
        if let Some(cpu) = self.generator_cpu_ns_per_forwarded {
            rows.push(("generator", format!("{cpu:.0} ns of CPU for each forwarded packet")));
        }
        rows
    }

    fn forwarded(&self) -> String {
        let Self { expected, repeated, foreign, forwarded_per_s, .. } = self;
        let counted = match (self.arrived, self.lost_share) {
            (Some(arrived), Some(lost)) => format!(
                "{arrived} of {expected} arrived, {:.2} % lost, {repeated} repeated, {foreign} \
                 foreign",
                lost * 100.0
            ),
            _ => format!("{expected} expected, not counted"),
        };
        format!("{counted}; {forwarded_per_s:.0}/s")
    }

    fn line(&self) -> String {
        let lost = self.lost_share.map_or(f64::NAN, |share| share * 100.0);
        format!(
            "{:>4} speakers {:>8.0}/s {lost:>6.2} % lost {:>6.0} ns",
            self.speakers,
            self.forwarded_per_s,
            self.server_cpu_ns_per_forwarded.unwrap_or(f64::NAN)
        )
    }
}

/// So many of something, in words.
fn many(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A duration for each of `count`, in nanoseconds; `None` for none.
pub(super) fn each(time: Duration, count: f64) -> Option<f64> {
    (count > 0.0).then(|| time.as_secs_f64() * 1e9 / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let lateness_us = Percentiles { p50: 1, p90: 2, p99: 3, p999: 4, max: 5 };
        let step = Step {
            speakers: 2,
            seconds: 2.0,
            sent: 200,
            silences: 0,
            refused: 0,
            expected: 1_000,
            arrived: Some(990),
            lost_share: Some(0.01),
            repeated: 1,
            foreign: 0,
            forwarded_per_s: 495.0,
            latency_us: Some(Percentiles { max: 900, ..lateness_us }),
            transit_us: None,
            lateness_us,
            server_cpu_ns_per_forwarded: Some(2_100.4),
            server_media_cpu_ns_per_forwarded: Some(2_000.0),
            server_cores: Some(0.25),
            generator_cpu_ns_per_forwarded: None,
        };
        let joins = Joins {
            seconds: 0.5,
            server_cpu_us_per_join: Some(300.0),
            server_rss_before_bytes: None,
            server_rss_after_bytes: None,
            server_rss_kib_per_member: None,
        };
        let mode = "a_mode".to_owned();
        Report {
            members: 6,
            channels: 1,
            mode,
            payload: "opus".to_owned(),
            dtx: false,
            receive: true,
            joins,
            step,
            steps: Vec::new(),
            saturated: None,
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_figure() {
        let table = report().table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "load      6 members in 1 channel, 2 speakers, payload opus, a_mode");
        assert_eq!(lines[1], "joins     0.50 s, 300 us of server CPU each");
        assert_eq!(
            lines[3],
            "forwarded 990 of 1000 arrived, 1.00 % lost, 1 repeated, 0 foreign; 495/s"
        );
        assert_eq!(lines[4], "latency   p50 1 us, p90 2, p99 3, p99.9 4, max 900");
        assert_eq!(lines[6], "server    2100 ns of CPU for each forwarded packet, 0.250 cores");
        assert_eq!(lines.len(), 7);
    }

    #[test]
    fn figures_that_are_worth_less_come_with_a_warning() {
        let mut late = report();
        late.step.lateness_us.p99 = LATE_US + 1;
        assert!(late.table().contains("\nwarning   the generator itself was late"));
        let mut refused = report();
        refused.step.refused = 3;
        assert!(refused.table().contains("refused 3 frames"));
    }

    #[test]
    fn programs_are_told_the_same_in_one_object() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["arrived"], 990);
        assert_eq!(json["latency_us"]["max"], 900);
        assert_eq!(json["joins"]["server_cpu_us_per_join"], 300.0);
        assert_eq!(json.get("steps"), None, "only when there were several");
    }
}
