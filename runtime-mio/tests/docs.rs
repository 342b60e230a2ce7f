//! What the documents say of the configuration is what the code does.

#![allow(clippy::expect_used, reason = "a test may panic: that is its verdict")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use lvsp_core::config::{ControlAuth, HealthScale, Revision};
use lvsp_core::reasons::CloseReason;
use lvsp_core::wire::close::{self, Close};
use lvsp_mio::config::File;

/// Two tests write to one document.
static WRITING: Mutex<()> = Mutex::new(());

fn path(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document)
}

fn read(document: &str) -> String {
    fs::read_to_string(path(document)).expect("the document is in the tree")
}

#[test]
fn the_table_of_closes_has_every_reason_with_its_codes() {
    const METRICS: &str = "docs/metrics.md";
    const MARK: &str = "<!-- closes: written by runtime-mio/tests/docs.rs -->\n";
    const END: &str = "<!-- end of closes -->";
    let said = |close: Option<Close>| {
        close.map_or_else(String::new, |(code, text)| format!("{code}, {text}"))
    };
    let mut table =
        String::from("| reason | to voice clients | to chat servers |\n|---|---|---|\n");
    for reason in CloseReason::ALL {
        let codes = [close::gateway(*reason), close::control(*reason)].map(said);
        table += &format!("| `{}` | {} | {} |\n", reason.name(), codes[0], codes[1]);
    }
    let _alone = WRITING.lock();
    let document = read(METRICS);
    let (before, rest) = document.split_once(MARK).expect("the mark");
    let (found, after) = rest.split_once(END).expect("the other mark");
    if env::var_os("UPDATE").is_some() {
        let text = format!("{before}{MARK}{table}{END}{after}");
        return fs::write(path(METRICS), text).expect("the document can be written");
    }
    assert!(
        found == table,
        "{METRICS} differs; UPDATE=1 cargo test -p lvsp-mio --test docs writes it"
    );
}

#[test]
fn the_table_of_figures_is_that_of_the_code() {
    const METRICS: &str = "docs/metrics.md";
    const MARK: &str = "runtime-mio/src/admin/metrics.rs -->\n";
    let _alone = WRITING.lock();
    let document = read(METRICS);
    let (before, found) = document.split_once(MARK).expect("the mark");
    let table = lvsp_mio::admin::metrics_table();
    if env::var_os("UPDATE").is_some() {
        let text = format!("{before}{MARK}{table}");
        return fs::write(path(METRICS), text).expect("the document can be written");
    }
    assert!(
        found == table,
        "{METRICS} differs; UPDATE=1 cargo test -p lvsp-mio --test docs writes it"
    );
}

#[test]
fn the_configuration_for_litecord_is_served_as_the_guide_says() {
    let guide = read("docs/litecord.md");
    let (_, rest) = guide.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let secret = example.replace("\"...\"", "\"0123456789abcdef0123456789abcdef\"");
    let path = env::temp_dir().join(format!("lvsp-litecord-{}.toml", std::process::id()));
    fs::write(&path, format!("{secret}\n[tls]\noff = true\n")).expect("a temporary file");
    let file = File::load(Some(&path), std::iter::empty()).expect("it is read");
    fs::remove_file(&path).expect("it was written");
    let client = file.options().expect("it can be served").control_clients.remove(0);
    let found = (client.revision, client.auth, client.health, client.litecord_assign);
    assert_eq!(found, (Revision::Litecord, ControlAuth::Hmac, HealthScale::BestIs0, false));
}

/// What a heading is linked by.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "-_".contains(c) => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// The links of a document that lead nowhere, given the text of each document by its path.
fn lost_links(document: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let text = read(document).expect("the document");
    let folder =
        document.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let links = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let leads = |link: &&str| {
        let (file, part) = link.split_once('#').unwrap_or((*link, ""));
        let file = if file.is_empty() { document.to_owned() } else { format!("{folder}{file}") };
        let Some(text) = read(&file) else { return false };
        let mut headings = text.lines().filter(|line| line.starts_with('#'));
        part.is_empty() || headings.any(|heading| anchor(heading) == part)
    };
    let inside = links.filter(|link| !link.contains("://"));
    inside.filter(|link| !leads(link)).map(|link| format!("{document}: {link}")).collect()
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let planted = |name: &str| match name {
        "docs/a.md" => Some("## One `two_3`\n[x](#one-two_3) [y](b.md#b) [z](c.md)".to_owned()),
        "docs/b.md" => Some("# A\n".to_owned()),
        _ => None,
    };
    assert_eq!(lost_links("docs/a.md", planted), ["docs/a.md: b.md#b", "docs/a.md: c.md"]);
    let folder = fs::read_dir(path("docs")).expect("the documents");
    let names = folder.map(|entry| entry.expect("a name").file_name().into_string().expect("text"));
    let documents: Vec<_> = names.map(|name| format!("docs/{name}")).collect();
    assert!(documents.len() > 8, "{documents:?}");
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned);
    let there = |name: &str| fs::read_to_string(path(name)).ok();
    let lost: Vec<_> =
        documents.iter().chain(&top).flat_map(|document| lost_links(document, there)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}
