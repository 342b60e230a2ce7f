//! Feeds recordings to new machines and says whether they answer the same.
//!
//! ```sh
//! lvsp-mio serve --config plain-tcp.toml --record /tmp/recordings
//! cargo run -p lvsp-core --features record --example replay -- /tmp/recordings/*.lvsprec
//! ```
#![allow(
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a program that reads files and prints"
)]

use std::process::ExitCode;

use lvsp_core::record::replay;

fn main() -> ExitCode {
    let mut differs = false;
    for path in std::env::args().skip(1) {
        let verdict = std::fs::read(&path)
            .map_err(|error| error.to_string())
            .and_then(|recording| replay(&recording).map_err(|error| error.to_string()));
        match verdict {
            Ok(replayed) => println!(
                "{path}: {} inputs, {} outputs, all equal; {} bytes behind the last whole record",
                replayed.inputs, replayed.outputs, replayed.rest
            ),
            Err(why) => {
                differs = true;
                println!("{path}: {why}");
            }
        }
    }
    if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
