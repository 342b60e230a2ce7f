//! `docs/limits.md` is what the catalogue says, and what the catalogue says is so.
//!
//! Each fault has its limits, their counters and its tests. Checked here: no fault of the catalogue
//! is missing, every key and counter is one of the code's, every test exists. The document is
//! written by `UPDATE=1 cargo test -p lvsp-tests --test it catalogue`.

mod rows;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::{env, fs};

use lvsp_core::limits::{LimitRow, Limits};
use lvsp_core::reasons::{CloseReason, DropReason};

use crate::trace::root;
use rows::{CHAPTERS, Chapter, Row};

const DOCUMENT: &str = "docs/limits.md";

/// Reads a file of the tree.
fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// The keys outside `[limits]` with their defaults, as the document of the configuration has them.
fn other_default(key: &str) -> Option<String> {
    let document = read("docs/configuration.md")?;
    let name = format!("`{key}`");
    let is_of = |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&name));
    let row = document.lines().find(is_of)?;
    row.split('|').nth(2).map(|cell| cell.trim().trim_matches('`').to_owned())
}

fn limit(key: &str) -> Option<LimitRow> {
    Limits::default().table().into_iter().find(|row| row.key == key)
}

/// Whether a counter of that name is counted anywhere.
fn counter_exists(name: &str) -> bool {
    let field = |name: &str| {
        read("core/src/stats.rs").is_some_and(|text| text.contains(&format!("pub {name}: u64")))
    };
    match name.split_once('.') {
        Some(("drops", name)) => DropReason::ALL.iter().any(|reason| reason.name() == name),
        Some(("closes", name)) => CloseReason::ALL.iter().any(|reason| reason.name() == name),
        Some(("relay" | "server", name)) => field(name),
        Some(_) | None => false,
    }
}

/// What is wrong with the name of a test, given the text of its file.
fn test_fault(name: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    if let Some((path, function)) = name.split_once("::") {
        let Some(text) = read(path) else { return Some(format!("{name}: no such file")) };
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let is_test = |at: usize| {
            // Attributes and comments may stand between.
            let above = lines[..at].iter().rev();
            above
                .take_while(|line| line.starts_with('#') || line.starts_with("//"))
                .any(|line| *line == "#[test]")
        };
        let start = format!("fn {function}(");
        let found = (0..lines.len()).any(|at| lines[at].starts_with(&start) && is_test(at));
        return (!found).then(|| format!("{name}: no such test"));
    }
    let (path, word) = name.split_once('#').unwrap_or((name, ""));
    match read(path) {
        None => Some(format!("{name}: no such file")),
        Some(text) if !text.contains(word) => Some(format!("{name}: says nothing of {word}")),
        Some(_) => None,
    }
}

fn all_rows() -> impl Iterator<Item = &'static Row> {
    CHAPTERS.iter().flat_map(|chapter| chapter.rows)
}

fn faults(rows: &[&Row], read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let ids = |chapter: &Chapter| {
        let letter = chapter.letter;
        (1..=chapter.count).map(move |n| format!("{letter}{n}"))
    };
    let known: Vec<_> = CHAPTERS.iter().flat_map(ids).collect();
    let found: Vec<_> = rows.iter().map(|row| row.id.to_owned()).collect();
    if found != known {
        faults.push(format!("the rows are {found:?}, and should be {known:?}"));
    }
    for row in rows {
        let id = row.id;
        for key in row.keys {
            let known =
                if key.contains('.') { other_default(key).is_some() } else { limit(key).is_some() };
            if !known {
                faults.push(format!("{id}: no key {key}"));
            }
        }
        let counters = row.counters.iter().filter(|name| !counter_exists(name));
        faults.extend(counters.map(|name| format!("{id}: no counter {name}")));
        let wrong = row.tests.iter().filter_map(|test| test_fault(test, &read));
        faults.extend(wrong.map(|fault| format!("{id}: {fault}")));
        if row.tests.is_empty() && row.missing.is_empty() {
            faults.push(format!("{id}: neither a test nor a word on why there is none"));
        }
    }
    faults
}

// --- the document ---

fn cell(items: impl Iterator<Item = String>) -> String {
    let text = items.collect::<Vec<_>>().join("<br>");
    if text.is_empty() { "—".to_owned() } else { text }
}

fn key_and_default(key: &&str) -> String {
    match limit(key) {
        Some(row) => format!("`{key}` {}", row.value),
        None => {
            let default = other_default(key).unwrap_or_default();
            format!("`{key}` {default}").trim_end().to_owned()
        }
    }
}

fn table_row(row: &Row) -> String {
    let limits = row.keys.iter().filter_map(|key| limit(key)).filter(|row| !row.counts.is_empty());
    let limits = limits.map(|row| format!("`{}`", row.key));
    let counters = limits.chain(row.counters.iter().map(|name| format!("`{name}`")));
    let short = |test: &&str| format!("`{}`", test.strip_prefix("tests/it/").unwrap_or(test));
    let mut answer = row.answer.to_owned();
    if !row.missing.is_empty() {
        let separator = if answer.is_empty() { "" } else { "<br>" };
        let _ = write!(answer, "{separator}*Not there: {}.*", row.missing);
    }
    format!(
        "| {} | {} | {answer} | {} | {} | {} |\n",
        row.id,
        row.fault,
        cell(row.keys.iter().map(key_and_default)),
        cell(counters),
        cell(row.tests.iter().map(short)),
    )
}

fn document() -> String {
    let mut text = String::from(
        "# Faults, limits, counters and tests\n\n\
         What may go wrong or be done on purpose, what the server does about it, the configuration \
         keys with their\ndefaults, the counters that move, and the tests that show it. Keys without \
         a section stand in `[limits]`;\n[configuration.md](configuration.md) explains each. A limit's \
         counter has its name; `drops.` and `closes.` are counted by\nreason, `relay.` and `server.` \
         are other figures. A dash means that there is nothing to set or to count.\nTests without a \
         folder are in `tests/it`.\n\n\
         This file is written by `UPDATE=1 cargo test -p lvsp-tests --test it catalogue`; without \
         `UPDATE` the same test\nchecks it, and that every test named here exists.\n",
    );
    for Chapter { title, rows, .. } in CHAPTERS {
        let _ = write!(
            text,
            "\n## {title}\n\n| | fault | what is done | keys | counters | tests |\n\
             |---|---|---|---|---|---|\n"
        );
        rows.iter().for_each(|row| text += &table_row(row));
    }
    let named: BTreeSet<_> = all_rows().flat_map(|row| row.keys).copied().collect();
    text += "\n## Other limits\n\n| key | | counter counts |\n|---|---|---|\n";
    for LimitRow { key, value, doc, counts, .. } in Limits::default().table() {
        if !named.contains(key) {
            let _ = writeln!(text, "| `{key}` {value} | {doc} | {counts} |");
        }
    }
    text
}

#[test]
fn the_catalogue_is_complete_and_names_what_exists() {
    let faults = faults(&all_rows().collect::<Vec<_>>(), read);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_in_the_tree_is_that_of_the_code() {
    let expected = document();
    if env::var_os("UPDATE").is_some() {
        return fs::write(root().join(DOCUMENT), expected).expect("the document can be written");
    }
    let how = "UPDATE=1 cargo test -p lvsp-tests --test it catalogue";
    assert!(read(DOCUMENT) == Some(expected), "{DOCUMENT} differs from the code; {how} writes it");
}

#[test]
fn planted_mistakes_are_found() {
    let file = |path: &str| {
        (path == "a.rs").then(|| "#[test]\n// why\nfn one() {}\nfn two() {}\n".to_owned())
    };
    assert_eq!(test_fault("a.rs::one", file), None);
    assert_eq!(test_fault("a.rs::two", file).as_deref(), Some("a.rs::two: no such test"));
    assert_eq!(test_fault("b.rs::one", file).as_deref(), Some("b.rs::one: no such file"));
    assert_eq!(test_fault("a.rs#why", file), None);
    assert!(test_fault("a.rs#what", file).is_some());
    let shortened = faults(&all_rows().skip(1).collect::<Vec<_>>(), read);
    assert_eq!(shortened.len(), 1, "a row is missing: {shortened:?}");
    assert!(!counter_exists("drops.nothing") && !counter_exists("server.nothing"));
    assert!(counter_exists("relay.rebinds") && counter_exists("closes.decode"));
}
