//! Every rule of the protocol documents is proven by a test that names it.
//!
//! A rule is marked `[L2.1]` in `docs/lvsp.md` or `[V2.1]` in `docs/voice-gateway.md`. A test names
//! the rules that it proves in a comment line above it: `// Clauses: L2.1, V2.1`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENTS: [&str; 2] = ["docs/lvsp.md", "docs/voice-gateway.md"];
const SOURCES: [&str; 3] = ["core/src", "runtime-mio/tests", "tests/it"];
const MARK: &str = "// Clauses:";

/// The folder of the whole project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rules that a document marks where it states them: at the beginning of a list item.
fn stated(document: &str) -> Vec<String> {
    let items = document.lines().filter_map(|line| line.trim_start().strip_prefix("* ["));
    items.filter_map(|item| item.split_once(']')).map(|(name, _)| name.to_owned()).collect()
}

/// The rules that a source names above a test.
fn named(source: &str) -> Vec<String> {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let mut names = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(list) = line.strip_prefix(MARK) else { continue };
        if lines.get(at + 1).is_some_and(|next| *next == "#[test]") {
            names.extend(list.split(',').map(|name| name.trim().to_owned()));
        }
    }
    names
}

fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(&path).expect("source text"));
        }
    }
}

/// What is wrong between the rules stated and the rules named.
fn faults(stated: &[String], named: &[String]) -> Vec<String> {
    let rules: BTreeSet<_> = stated.iter().collect();
    let proven: BTreeSet<_> = named.iter().collect();
    let twice = stated.len() - rules.len();
    let mut faults = Vec::new();
    if twice > 0 {
        faults.push(format!("{twice} marks stand twice"));
    }
    faults.extend(rules.difference(&proven).map(|rule| format!("no test names {rule}")));
    faults.extend(proven.difference(&rules).map(|rule| format!("no document states {rule}")));
    faults
}

#[test]
fn every_rule_of_the_documents_is_proven_by_a_test() {
    let rules: Vec<_> = DOCUMENTS
        .iter()
        .flat_map(|path| stated(&fs::read_to_string(root().join(path)).expect("a document")))
        .collect();
    assert!(rules.len() > 80, "the marks were not found");
    let mut texts = Vec::new();
    SOURCES.iter().for_each(|folder| sources(&root().join(folder), &mut texts));
    let names: Vec<_> = texts.iter().flat_map(|text| named(text)).collect();
    let faults = faults(&rules, &names);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn planted_omissions_are_found() {
    let rules =
        stated("text\n* [L1.1] A rule.\n* [V2.3] Another, as [L1.1] says.\n* no rule [L9.9]\n");
    assert_eq!(rules, ["L1.1", "V2.3"]);
    let names = named(
        "    // Clauses: L1.1, L7.7\n    #[test]\n    fn a() {}\n// Clauses: V2.3\nfn b() {}\n",
    );
    assert_eq!(names, ["L1.1", "L7.7"], "only what stands above a test counts");
    assert_eq!(faults(&rules, &names), ["no test names V2.3", "no document states L7.7"]);
    assert_eq!(faults(&["L1.1".to_owned(), "L1.1".to_owned()], &names[..1]).len(), 1);
}
