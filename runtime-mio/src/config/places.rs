//! Where each key of a configuration stands, so that a fault can name the line, and a change be given
//! in the form that the file has.
//!
//! Keys are dotted paths, with a number where tables repeat: `control.client[0].secret`. Values stay
//! out of here: some are secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::change::{self, Change, Place};

/// Where the keys of one configuration stand.
#[derive(Clone, Debug, Default)]
pub struct Places {
    file: Option<PathBuf>,
    spots: BTreeMap<String, Spot>,
    /// Keys that the environment gives, with the variables' names.
    variables: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Spot {
    line: usize,
    last: usize,
    form: Form,
}

/// How something is written in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Form {
    /// `key = value`, with what stands before the sign.
    Key(String),
    /// `[table]`, or `[[table]]`.
    Header,
    /// `table.key = value`.
    Dotted,
    /// `{ key = value }`.
    Inline,
}

impl Places {
    /// Of a file without anything in it, or of no file.
    pub(super) fn new(file: Option<&Path>) -> Self {
        Self { file: file.map(Path::to_owned), ..Self::default() }
    }

    /// Of a file with this text.
    pub(super) fn of(file: Option<&Path>, text: &str, table: &DeTable<'_>) -> Self {
        let mut places = Self::new(file);
        places.note("", text, table, false);
        places
    }

    fn note(&mut self, within: &str, text: &str, table: &DeTable<'_>, is_inline: bool) {
        for (key, value) in table {
            let path = join(within, key.get_ref());
            let span = value.span();
            let mut spot = Spot {
                line: line_of(text, key.span().start),
                last: line_of(text, span.end.saturating_sub(1)),
                form: Form::Inline,
            };
            if let DeValue::Table(inner) = value.get_ref() {
                let form = match text.as_bytes().get(span.start) {
                    Some(b'[') => Form::Header,
                    Some(b'{') => Form::Inline,
                    _ => Form::Dotted,
                };
                let is_inline = is_inline || form == Form::Inline;
                self.spots.insert(path.clone(), Spot { form, ..spot });
                self.note(&path, text, inner, is_inline);
                continue;
            }
            if let DeValue::Array(items) = value.get_ref() {
                for (at, item) in items.iter().enumerate() {
                    let DeValue::Table(inner) = item.get_ref() else { continue };
                    let path = format!("{path}[{at}]");
                    let line = line_of(text, item.span().start);
                    let is_header = text.as_bytes().get(item.span().start) == Some(&b'[');
                    let form = if is_header { Form::Header } else { Form::Inline };
                    self.spots.insert(path.clone(), Spot { line, last: line, form });
                    self.note(&path, text, inner, !is_header);
                }
            }
            if !is_inline {
                let start = text[..key.span().start].rfind('\n').map_or(0, |at| at + 1);
                spot.form = Form::Key(text[start..key.span().end].trim().to_owned());
            }
            self.spots.insert(path, spot);
        }
    }

    /// The environment gives a key, in place of the file.
    pub(super) fn note_variable(&mut self, key: String, variable: &str) {
        self.variables.insert(key, variable.to_owned());
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Where a key stands, in words: the file and its line, or the variable; only the file for a key
    /// that does not stand there.
    #[must_use]
    pub(crate) fn where_is(&self, key: &str) -> Option<String> {
        if let Some(variable) = self.variables.get(key) {
            return Some(variable.clone());
        }
        let file = self.file.as_ref()?.display();
        Some(match self.spots.get(key) {
            Some(spot) => format!("{file}:{}", spot.line),
            None => file.to_string(),
        })
    }

    /// Whether the file has a key.
    pub(super) fn stands(&self, key: &str) -> bool {
        self.spots.contains_key(key)
    }

    /// Gives a key this value.
    #[must_use]
    pub fn set(&self, key: &str, value: impl Into<toml::Value>) -> Change {
        let value = value.into();
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        if let Some(variable) = self.variables.get(key) {
            return variable_line(variable, &value);
        }
        let Some(file) = self.file.clone() else {
            let is_scalar = !value.is_array() && !key.contains('[');
            return if is_scalar {
                variable_line(&format!("LVSP_{section}__{name}").to_uppercase(), &value)
            } else {
                Change::many(Place::NewFile, vec![header(section), format!("{name} = {value}")])
            };
        };
        if let Some(Spot { line, last, form }) = self.spots.get(key) {
            let (line, last) = (*line, *last);
            return match form {
                Form::Key(written) => {
                    Change::one(Place::Line { file, line, last }, format!("{written} = {value}"))
                }
                Form::Header | Form::Dotted | Form::Inline => {
                    Change::one(Place::Within { file, line }, format!("{name} = {value}"))
                }
            };
        }
        let Some(Spot { line, form, .. }) = self.spots.get(section) else {
            let lines = vec![header(section), format!("{name} = {value}")];
            return Change::many(Place::End { file }, lines);
        };
        let line = *line;
        match form {
            Form::Header | Form::Key(_) => {
                Change::one(Place::Below { file, line }, format!("{name} = {value}"))
            }
            Form::Inline => Change::one(Place::Within { file, line }, format!("{name} = {value}")),
            Form::Dotted => {
                // Not into a list that begins there.
                let keys = self.spots.iter().filter(|(key, spot)| {
                    spot.line == line
                        && key.strip_prefix(section).is_some_and(|k| k.starts_with('.'))
                });
                let line = keys.map(|(_, spot)| spot.last).max().unwrap_or(line);
                Change::one(Place::Below { file, line }, format!("{section}.{name} = {value}"))
            }
        }
    }

    /// Gives several keys of a section their values.
    #[must_use]
    pub(crate) fn set_all(
        &self,
        section: &str,
        values: impl IntoIterator<Item = (&'static str, toml::Value)>,
    ) -> Change {
        let each =
            values.into_iter().map(|(name, value)| self.set(&format!("{section}.{name}"), value));
        each.reduce(Change::and).unwrap_or_else(|| Change::one(Place::NewFile, header(section)))
    }

    /// Takes a key out.
    #[must_use]
    pub(super) fn remove(&self, key: &str) -> Change {
        if let Some(variable) = self.variables.get(key) {
            return Change::shell([format!("unset {variable}")]);
        }
        match (&self.file, self.spots.get(key)) {
            (Some(file), Some(Spot { line, last, .. })) => {
                let place = Place::Line { file: file.clone(), line: *line, last: *last };
                Change::one(place, format!("# {key} is not needed"))
            }
            _ => Change::one(Place::NewFile, format!("# {key} is not needed")),
        }
    }

    /// Puts another key of the same section into the place of one.
    #[must_use]
    pub(super) fn replace(&self, key: &str, other: &str, value: String) -> Change {
        let name = other.rsplit_once('.').map_or(other, |(_, name)| name);
        let value = toml::Value::from(value);
        if self.variables.contains_key(key) {
            return self.set(other, value);
        }
        let renamed = self.rename(key, name, &value.to_string());
        renamed.unwrap_or_else(|| self.set(other, value))
    }

    /// Gives a key another name and leaves its value; `value` is what is shown of that.
    pub(super) fn rename(&self, key: &str, name: &str, value: &str) -> Option<Change> {
        let (file, spot) = (self.file.clone()?, self.spots.get(key)?);
        let Spot { line, last, form } = spot;
        let written = match form {
            Form::Key(written) => match written.rsplit_once('.') {
                Some((before, _)) => format!("{before}.{name}"),
                None => name.to_owned(),
            },
            Form::Header => {
                return Some(Change::one(
                    Place::Line { file, line: *line, last: *line },
                    header(name),
                ));
            }
            Form::Dotted | Form::Inline => name.to_owned(),
        };
        let place = Place::Line { file, line: *line, last: *last };
        Some(Change::one(place, format!("{written} = {value}")))
    }
}

/// A variable and its value, as a shell or a unit takes it.
fn variable_line(variable: &str, value: &toml::Value) -> Change {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Change::one(Place::Environment, format!("{variable}={}", change::word(&text)))
}

/// The header of a table, of one that repeats where there is a number.
fn header(section: &str) -> String {
    match section.split_once('[') {
        Some((name, _)) => format!("[[{name}]]"),
        None => format!("[{section}]"),
    }
}

fn join(within: &str, key: &str) -> String {
    if within.is_empty() { key.to_owned() } else { format!("{within}.{key}") }
}

/// The line of a byte, the first one of which is 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    let end = at.min(text.len());
    text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count() + 1
}
