//! What `docs/operating.md` says of the configuration is what the code does.

#![allow(clippy::expect_used, reason = "a test may panic: that is its verdict")]

use std::fs;
use std::path::Path;

use lvsp_core::limits::Limits;
use lvsp_mio::config::File;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    fs::read_to_string(path).expect("the document is in the tree")
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
