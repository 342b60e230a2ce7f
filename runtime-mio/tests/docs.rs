//! What the documents say of the configuration is what the code does.

#![allow(clippy::expect_used, reason = "a test may panic: that is its verdict")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use lvsp_core::config::{ControlAuth, HealthScale, Revision};
use lvsp_core::limits::{LimitRow, Limits};
use lvsp_mio::config::File;

const OPERATING: &str = "docs/operating.md";

fn path(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document)
}

fn read(document: &str) -> String {
    fs::read_to_string(path(document)).expect("the document is in the tree")
}

fn document() -> String {
    read(OPERATING)
}

const MARK: &str = "runtime-mio/tests/docs.rs -->\n";
const END: &str = "<!-- end of limits -->";

#[test]
fn the_table_of_limits_is_that_of_the_code() {
    let mut table =
        String::from("| key | default | range | | its counter counts |\n|---|---|---|---|---|\n");
    for LimitRow { key, value, min, max, doc, counts } in Limits::default().table() {
        table += &format!("| `{key}` | {value} | {min} to {max} | {doc} | {counts} |\n");
    }
    let document = document();
    let (before, rest) = document.split_once(MARK).expect("the mark");
    let (found, after) = rest.split_once(END).expect("the other mark");
    if env::var_os("UPDATE").is_some() {
        let text = format!("{before}{MARK}{table}{END}{after}");
        return fs::write(path(OPERATING), text).expect("the document can be written");
    }
    assert!(found == table, "docs/operating.md differs; UPDATE=1 cargo test --test docs writes it");
}

#[test]
fn the_table_of_figures_is_that_of_the_code() {
    const METRICS: &str = "docs/metrics.md";
    const MARK: &str = "runtime-mio/src/admin/metrics.rs -->\n";
    let document = read(METRICS);
    let (before, found) = document.split_once(MARK).expect("the mark");
    let table = lvsp_mio::admin::metrics_table();
    if env::var_os("UPDATE").is_some() {
        let text = format!("{before}{MARK}{table}");
        return fs::write(path(METRICS), text).expect("the document can be written");
    }
    assert!(found == table, "{METRICS} differs; UPDATE=1 cargo test --test docs writes it");
}

#[test]
fn every_key_is_explained() {
    let document = document();
    let text = File::default().to_masked_toml().expect("the defaults can be printed");
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| section != "limits") {
            assert!(document.contains(&format!("`{section}.{key}`")), "{section}.{key}");
        }
    }
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
