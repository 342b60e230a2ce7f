//! What the documents say of the configuration is what the code does.

#![allow(clippy::expect_used, reason = "a test may panic: that is its verdict")]

use std::fs;
use std::path::Path;

use lvsp_core::config::{ControlAuth, HealthScale, Revision};
use lvsp_core::limits::Limits;
use lvsp_mio::config::File;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(path).expect("the document is in the tree")
}

fn document() -> String {
    read("docs/operating.md")
}

#[test]
fn the_table_of_limits_is_that_of_the_code() {
    let mut table = String::from("| key | default | range | |\n|---|---|---|---|\n");
    for row in Limits::default().table() {
        let (key, value, doc) = (row.key, row.value, row.doc);
        table += &format!("| `{key}` | {value} | {} to {} | {doc} |\n", row.min, row.max);
    }
    let document = document();
    let (_, rest) = document.split_once("runtime-mio/tests/docs.rs -->\n").expect("the mark");
    let (found, _) = rest.split_once("<!-- end of limits -->").expect("the other mark");
    assert!(found == table, "put this between the marks of docs/operating.md:\n{table}");
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
    let path = std::env::temp_dir().join(format!("lvsp-litecord-{}.toml", std::process::id()));
    fs::write(&path, format!("{secret}\n[tls]\noff = true\n")).expect("a temporary file");
    let file = File::load(Some(&path), std::iter::empty()).expect("it is read");
    fs::remove_file(&path).expect("it was written");
    let client = file.options().expect("it can be served").control_clients.remove(0);
    let found = (client.revision, client.auth, client.health, client.litecord_assign);
    assert_eq!(found, (Revision::Litecord, ControlAuth::Hmac, HealthScale::BestIs0, false));
}
