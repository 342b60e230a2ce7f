//! What keeps a configuration from being served: everything that can be named in one go, each with its
//! place and what to write.

use std::fmt;

use serde::Serialize;

use super::change::{Change, alternatives};
use super::places::Places;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fault {
    /// The key, as in `control.client[0].secret`, or the variable.
    pub key: String,
    /// The file and its line, or the variable; only the file where the key does not stand there.
    pub place: Option<String>,
    /// What is wrong, and why it matters.
    pub what: String,
    /// What to write, and where. One of them is enough.
    pub changes: Vec<Change>,
}

impl Fault {
    pub(super) fn new(
        places: &Places,
        key: impl Into<String>,
        what: impl Into<String>,
        change: Change,
    ) -> Self {
        let key = key.into();
        Self { place: places.where_is(&key), key, what: what.into(), changes: vec![change] }
    }

    /// Another change that would do.
    #[must_use]
    pub(super) fn or(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

/// Everything that is wrong; at least one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The value where nothing is wrong.
    pub(super) fn none_or<T>(faults: Vec<Fault>, value: T) -> Result<T, Self> {
        if faults.is_empty() { Ok(value) } else { Err(Self(faults)) }
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 1 {
            writeln!(f, "{} faults", self.0.len())?;
        }
        let mut text = String::new();
        for Fault { place, what, changes, .. } in &self.0 {
            if let Some(place) = place.as_ref().filter(|place| !what.starts_with(*place)) {
                text += &format!("{place}: ");
            }
            text += &format!("{what}\n{}", alternatives(changes, "    "));
        }
        f.write_str(text.trim_end())
    }
}
