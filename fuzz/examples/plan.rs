//! Prints the plan that an input of `core_ops` stands for: `cargo run --example plan FILE`.
//!
//! `cargo run -p lvsp-tests --bin simulate -- --plan FILE` then tells everything that happens in it.
#![expect(clippy::print_stdout, reason = "this is what the program is for")]

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("which file?")?;
    print!("{}", lvsp_fuzz::core_ops::decode(&std::fs::read(path)?));
    Ok(())
}
