//! What to write so that something is right, and where: shared by all who find faults.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What mends something: everything of it is to be written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// One place after the other; at least one.
    pub steps: Vec<Step>,
}

/// Lines for one place, as they are to be written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Step {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What to write there.
    pub lines: Vec<String>,
}

/// Where something is to be written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "place", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Place {
    /// In place of these lines of a file, the first one of which is 1.
    Line {
        /// The file.
        file: PathBuf,
        /// The first line.
        line: usize,
        /// The last one, the same where a value has one line.
        last: usize,
    },
    /// Inside an inline table that begins in this line of a file.
    Within {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// Below this line of a file.
    Below {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// At the end of a file.
    End {
        /// The file.
        file: PathBuf,
    },
    /// In a configuration file, where none was given.
    NewFile,
    /// In the environment of the server.
    Environment,
    /// On the command line of a shell; as root where it changes this host.
    Shell,
    /// In the systemd unit of the server.
    Unit,
    /// In the zone of the name server.
    Zone,
    /// In the configuration of the proxy in front: lines of nginx.
    Proxy,
}

impl Change {
    fn at(place: Place, lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let lines = lines.into_iter().map(Into::into).collect();
        Self { steps: vec![Step { place, lines }] }
    }

    pub(super) fn one(place: Place, line: impl Into<String>) -> Self {
        Self::at(place, [line])
    }

    pub(super) fn many(place: Place, lines: Vec<String>) -> Self {
        Self::at(place, lines)
    }

    /// Commands.
    pub fn shell(lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::at(Place::Shell, lines)
    }

    /// A setting of the service.
    pub fn unit(setting: impl Into<String>) -> Self {
        Self::at(Place::Unit, ["[Service]".to_owned(), setting.into()])
    }

    /// A record of a name.
    pub(crate) fn zone(record: impl Into<String>) -> Self {
        Self::one(Place::Zone, record)
    }

    /// A setting of the proxy.
    pub fn proxy(setting: impl Into<String>) -> Self {
        Self::one(Place::Proxy, setting)
    }

    /// Something else that is to be written as well. At one place a header is not repeated.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for step in other.steps {
            match self.steps.iter_mut().find(|known| known.place == step.place) {
                Some(known) => {
                    let is_header = |line: &str| line.starts_with('[');
                    let new = step.lines.into_iter();
                    let new = new.filter(|line| !(is_header(line) && known.lines.contains(line)));
                    let new: Vec<_> = new.collect();
                    known.lines.extend(new);
                }
                None => self.steps.push(step),
            }
        }
        self
    }

    /// Every line of it.
    #[must_use]
    pub fn lines(&self) -> Vec<&str> {
        self.steps.iter().flat_map(|step| &step.lines).map(String::as_str).collect()
    }

    /// For people: each place, and the lines behind it or, if there are several, below it.
    fn text(&self, margin: &str) -> String {
        let mut text = String::new();
        for (at, Step { place, lines }) in self.steps.iter().enumerate() {
            if at > 0 {
                let _ = write!(text, "\n{margin}and in ");
            }
            if let [line] = &**lines {
                let _ = write!(text, "{place}: {line}");
                continue;
            }
            let _ = write!(text, "{place}:");
            for line in lines {
                let _ = write!(text, "\n{margin}    {line}");
            }
        }
        text
    }
}

/// For people: each change in a line of its own or, if it has several lines, in a paragraph.
#[must_use]
pub(crate) fn alternatives(changes: &[Change], margin: &str) -> String {
    let mut text = String::new();
    for (at, change) in changes.iter().enumerate() {
        let word = if at == 0 { "write in" } else { "or in" };
        let _ = writeln!(text, "{margin}{word} {}", change.text(margin));
    }
    text
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, last } if line == last => {
                write!(f, "{}:{line}", file.display())
            }
            Self::Line { file, line, last } => write!(f, "{}:{line}-{last}", file.display()),
            Self::Within { file, line } => {
                write!(f, "{}:{line}, inside the braces", file.display())
            }
            Self::Below { file, line } => write!(f, "{}, below line {line}", file.display()),
            Self::End { file } => write!(f, "{}, at its end", file.display()),
            Self::NewFile => f.write_str("a configuration file (--config)"),
            Self::Environment => f.write_str("the environment of the server"),
            Self::Shell => f.write_str("a shell"),
            Self::Unit => f.write_str("the unit (systemctl edit lvsp-mio)"),
            Self::Zone => f.write_str("the DNS zone"),
            Self::Proxy => f.write_str("the proxy's configuration (here nginx's)"),
        }
    }
}

/// A word of a command line, in quotes where the shell would take it apart.
#[must_use]
pub(crate) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,@%+=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The same of a path.
#[must_use]
pub(crate) fn path_word(path: &Path) -> String {
    word(&path.display().to_string())
}
