//! What the documents say of the configuration is what the code does.

#![allow(clippy::expect_used, reason = "a test may panic: that is its verdict")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use lvsp_core::config::{ControlAuth, HealthScale, Revision};
use lvsp_mio::config::File;

fn path(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document)
}

fn read(document: &str) -> String {
    fs::read_to_string(path(document)).expect("the document is in the tree")
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
