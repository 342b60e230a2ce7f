//! Configuration keys from environment variables: `LVSP_SECTION__KEY`.
//!
//! A variable is text, so its key decides what it is: text where the key wants text, however much
//! it looks like a number, otherwise a number or a switch. What the keys are is asked of the
//! sections themselves, so that no second list of them can fall behind. Values stay out of
//! messages where they could be secrets.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use super::change::{self, Change, Place};
use super::fault::Fault;
use super::places::Places;
use super::{File, most_similar, typing};

const PREFIX: &str = "LVSP_";
/// Names the configuration file itself.
const CONFIG_FILE: &str = "LVSP_CONFIG_FILE";
/// What Kubernetes sets in every container beside a service that is called `lvsp`.
const KUBERNETES: [&str; 2] = ["LVSP_SERVICE_", "LVSP_PORT"];
/// Lists have no variable.
const LISTS: [(&str, &str); 4] = [
    ("control", "client"),
    ("control", "allow"),
    ("gateway", "trusted_proxies"),
    ("admin", "hosts"),
];

/// Puts the environment's values over those of the file. What is wrong with variables is returned.
pub(super) fn apply(
    table: &mut toml::Table,
    environment: impl Iterator<Item = (OsString, OsString)>,
    places: &mut Places,
) -> Vec<Fault> {
    let mut given = BTreeSet::new();
    let mut faults = Vec::new();
    for (variable, value) in environment {
        let Some(variable) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let is_kubernetes = KUBERNETES.iter().any(|prefix| variable.starts_with(prefix));
        if variable == CONFIG_FILE || (is_kubernetes && !variable.contains("__")) {
            continue;
        }
        match take(table, variable, &value) {
            Ok((section, key)) => {
                places.note_variable(format!("{section}.{key}"), variable);
                given.insert((section, key));
            }
            Err(wrong) => faults.push(wrong.into_fault(variable)),
        }
    }
    displace(table, &given);
    faults
}

/// What is wrong with a variable, and what to set in its place.
struct Wrong {
    what: String,
    change: Change,
}

impl Wrong {
    fn new(variable: &str, what: &str, change: Change) -> Self {
        Self { what: format!("{variable}: {what}"), change }
    }

    fn into_fault(self, variable: &str) -> Fault {
        let Self { what, change } = self;
        Fault { key: variable.to_owned(), place: None, what, changes: vec![change] }
    }
}

/// Takes one variable; its section and key.
fn take(table: &mut toml::Table, variable: &str, value: &OsStr) -> Result<(String, String), Wrong> {
    let (section, key) = split(variable)?;
    let value = value.to_str().ok_or_else(|| {
        let example = example_line(variable, &section, &key);
        Wrong::new(variable, "it is no UTF-8 text", example)
    })?;
    let value = interpret(variable, &section, &key, value)?;
    set(table, variable, &section, &key, value)?;
    Ok((section, key))
}

/// The variable with a value that it takes.
fn example_line(variable: &str, section: &str, key: &str) -> Change {
    let value = typing::example(&format!("{section}.{key}")).map_or_else(
        || "...".to_owned(),
        |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    );
    Change::one(Place::Environment, format!("{variable}={}", change::word(&value)))
}

fn split(variable: &str) -> Result<(String, String), Wrong> {
    let name = variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase();
    match name.split_once("__") {
        Some((section, key)) => Ok((section.to_owned(), key.to_owned())),
        None => Err(unknown(variable)),
    }
}

/// The value as what its key wants.
fn interpret(variable: &str, section: &str, key: &str, value: &str) -> Result<toml::Value, Wrong> {
    if !keys(section).iter().any(|known| known == key) {
        return Err(unknown(variable));
    }
    if LISTS.contains(&(section, key)) {
        let what = format!("lists have no variable; give {section}.{key} in the file");
        let line = match typing::example(&format!("{section}.{key}")) {
            Some(example) => vec![format!("[{section}]"), format!("{key} = {example}")],
            None => vec![format!("[[{section}.{key}]]")],
        };
        return Err(Wrong::new(variable, &what, Change::many(Place::NewFile, line)));
    }
    // Text first: a key that wants text takes nothing else, and one that does not takes no text.
    let text = toml::Value::String(value.to_owned());
    let number = value.parse::<i64>().ok().map(toml::Value::Integer);
    let switch = value.parse::<bool>().ok().map(toml::Value::Boolean);
    let mut wrong = String::new();
    for candidate in [Some(text), number, switch].into_iter().flatten() {
        match probe(section, key, candidate.clone()) {
            Ok(_) => return Ok(candidate),
            Err(error) => wrong = error.message().to_owned(),
        }
    }
    Err(Wrong::new(variable, &wrong, example_line(variable, section, key)))
}

/// What the sections say to one key alone.
fn probe(section: &str, key: &str, value: toml::Value) -> Result<File, toml::de::Error> {
    let table = toml::Table::from_iter([(key.to_owned(), value)]);
    toml::Table::from_iter([(section.to_owned(), toml::Value::Table(table))]).try_into()
}

fn set(
    table: &mut toml::Table,
    variable: &str,
    section: &str,
    key: &str,
    value: toml::Value,
) -> Result<(), Wrong> {
    let inner = table
        .entry(section)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
        .as_table_mut();
    let Some(inner) = inner else {
        let header = Change::one(Place::NewFile, format!("[{section}]"));
        return Err(Wrong::new(variable, &format!("{section} is no section of the file"), header));
    };
    inner.insert(key.to_owned(), value);
    Ok(())
}

/// `key` and `key_file` say the same thing: the environment's one displaces the file's other one.
fn displace(table: &mut toml::Table, given: &BTreeSet<(String, String)>) {
    for (section, key) in given {
        let other = match key.strip_suffix("_file") {
            Some(key) => key.to_owned(),
            None => format!("{key}_file"),
        };
        let is_given = given.contains(&(section.clone(), other.clone()));
        if let Some(toml::Value::Table(table)) = table.get_mut(section)
            && !is_given
        {
            table.remove(&other);
        }
    }
}

fn unknown(variable: &str) -> Wrong {
    let known: Vec<String> = sections().iter().flat_map(|section| variables(section)).collect();
    let similar = most_similar(variable, known.iter().map(String::as_str));
    let hint = similar.map_or_else(String::new, |known| format!("; did you mean {known}?"));
    let what = format!("there is no such key, and a variable is named LVSP_SECTION__KEY{hint}");
    // The value could be a secret.
    let line = format!("{}=...", similar.unwrap_or("LVSP_SECTION__KEY"));
    Wrong::new(variable, &what, Change::one(Place::Environment, line))
}

fn variables(section: &str) -> Vec<String> {
    keys(section)
        .into_iter()
        .filter(|key| !LISTS.contains(&(section, key.as_str())))
        .map(|key| format!("{PREFIX}{section}__{key}").to_uppercase())
        .collect()
}

/// The names of all sections.
fn sections() -> Vec<String> {
    let table = toml::Table::from_iter([(NOBODYS_NAME.to_owned(), toml::Value::Boolean(true))]);
    names_expected(table.try_into::<File>())
}

/// The keys of a section; none when there is no such section.
fn keys(section: &str) -> Vec<String> {
    if sections().iter().any(|known| known == section) {
        names_expected(probe(section, NOBODYS_NAME, toml::Value::Boolean(true)))
    } else {
        Vec::new()
    }
}

const NOBODYS_NAME: &str = "-";

/// The names that serde says it would have known: those in backticks, but for the unknown one.
fn names_expected(result: Result<File, toml::de::Error>) -> Vec<String> {
    let Err(error) = result else { return Vec::new() };
    error.message().split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_variable() {
        assert_eq!(sections(), ["control", "gateway", "media", "tls", "drain", "admin", "limits"]);
        let control = variables("control");
        assert!(control.contains(&"LVSP_CONTROL__SECRET_FILE".to_owned()), "{control:?}");
        assert!(!control.contains(&"LVSP_CONTROL__CLIENT".to_owned()), "{control:?}");
        assert_eq!(keys("drain"), ["seconds"]);
        let limits = lvsp_core::limits::Limits::default().table();
        assert_eq!(keys("limits"), limits.iter().map(|row| row.key).collect::<Vec<_>>());
    }
}
