//! The text format of Prometheus, version 0.0.4: families of samples, written.
//!
//! A writer and no registry: the figures are snapshots of what the server's threads counted, so that
//! there is nothing to keep.

use std::fmt::Write as _;

/// What a family's numbers mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Samples of one name.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    /// The labels that its samples have, in their order.
    pub(super) labels: &'static [&'static str],
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    /// What stands behind the name: `_bucket` and the like.
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

/// A histogram's counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    /// Upper bounds with how many were in each bucket alone, lowest first.
    pub(crate) buckets: Vec<(f64, u64)>,
    /// How many were above the last bound.
    pub(crate) above: u64,
    pub(crate) sum: f64,
}

impl Family {
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Counter, help)
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Gauge, help)
    }

    pub(super) const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Histogram, help)
    }

    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help, labels: &[], samples: Vec::new() }
    }

    pub(super) const fn by(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    /// A sample without labels, if there is one.
    pub(super) fn of(self, value: impl Into<Option<f64>>) -> Self {
        match value.into() {
            Some(value) => self.each([([], value)]),
            None => self,
        }
    }

    /// A sample for each set of label values.
    pub(super) fn each<const N: usize>(
        mut self,
        samples: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> Self {
        for (values, value) in samples {
            let labels = self.labels.iter().copied().zip(values).collect();
            self.samples.push(Sample { suffix: "", labels, value });
        }
        self
    }

    /// A histogram for each set of label values.
    pub(super) fn counted<const N: usize>(
        mut self,
        histograms: impl IntoIterator<Item = ([String; N], Histogram)>,
    ) -> Self {
        for (values, histogram) in histograms {
            let labels: Vec<_> = self.labels.iter().copied().zip(values).collect();
            let mut count = 0;
            for (bound, inside) in &histogram.buckets {
                count += inside;
                self.bucket(&labels, format!("{bound}"), count);
            }
            count += histogram.above;
            self.bucket(&labels, "+Inf".to_owned(), count);
            let sum = Sample { suffix: "_sum", labels: labels.clone(), value: histogram.sum };
            self.samples.extend([sum, Sample { suffix: "_count", labels, value: number(count) }]);
        }
        self
    }

    fn bucket(&mut self, labels: &[(&'static str, String)], bound: String, count: u64) {
        let mut labels = labels.to_vec();
        labels.push(("le", bound));
        self.samples.push(Sample { suffix: "_bucket", labels, value: number(count) });
    }
}

/// A count as Prometheus has it.
#[expect(clippy::cast_precision_loss, reason = "every number of the format is a double")]
pub(super) const fn number(count: u64) -> f64 {
    count as f64
}

/// The families as text.
pub(super) fn write(families: &[Family]) -> String {
    let mut text = String::new();
    for Family { name, kind, help, samples, .. } in families {
        let _ = writeln!(text, "# HELP {name} {}", escape(help));
        let _ = writeln!(text, "# TYPE {name} {}", kind.name());
        for Sample { suffix, labels, value } in samples {
            let _ = write!(text, "{name}{suffix}");
            for (at, (label, value)) in labels.iter().enumerate() {
                let before = if at == 0 { '{' } else { ',' };
                let _ = write!(text, "{before}{label}=\"{}\"", escape(value).replace('"', "\\\""));
            }
            let after = if labels.is_empty() { "" } else { "}" };
            let _ = writeln!(text, "{after} {value}");
        }
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_the_format_has_them() {
        let histogram = Histogram { buckets: vec![(0.5, 2), (1.0, 1)], above: 1, sum: 3.25 };
        let families = [
            Family::counter("a_total", "Back\\slash.").of(3.0),
            Family::gauge("b", "Named.").by(&["name"]).each([(["x\"y\\z\n".to_owned()], 0.5)]),
            Family::gauge("none", "Not known.").of(None),
            Family::histogram("c_seconds", "Times.")
                .by(&["r"])
                .counted([(["0".to_owned()], histogram)]),
        ];
        assert_eq!(
            write(&families),
            "# HELP a_total Back\\\\slash.\n# TYPE a_total counter\na_total 3\n\
             # HELP b Named.\n# TYPE b gauge\nb{name=\"x\\\"y\\\\z\\n\"} 0.5\n\
             # HELP none Not known.\n# TYPE none gauge\n\
             # HELP c_seconds Times.\n# TYPE c_seconds histogram\n\
             c_seconds_bucket{r=\"0\",le=\"0.5\"} 2\nc_seconds_bucket{r=\"0\",le=\"1\"} 3\n\
             c_seconds_bucket{r=\"0\",le=\"+Inf\"} 4\nc_seconds_sum{r=\"0\"} 3.25\n\
             c_seconds_count{r=\"0\"} 4\n"
        );
    }
}
