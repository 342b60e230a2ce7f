//! Says what a WebAssembly module imports; ends with status 1 if it is anything.

use std::process::ExitCode;

/// The number of the section that lists imports.
const IMPORTS: u8 = 2;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: imports FILE.wasm");
        return ExitCode::from(2);
    };
    let module = match std::fs::read(&path) {
        Ok(module) if module.starts_with(b"\0asm\x01\0\0\0") => module,
        Ok(_) => {
            eprintln!("{path} is no WebAssembly module");
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut rest = &module[8..];
    while let [number, after @ ..] = rest {
        let Some((length, body)) = length(after) else {
            eprintln!("{path} is damaged");
            return ExitCode::from(2);
        };
        if *number == IMPORTS {
            let text = String::from_utf8_lossy(&body[..length]);
            eprintln!("{path} has an import section of {length} bytes: {text:?}");
            return ExitCode::FAILURE;
        }
        rest = &body[length..];
    }
    println!("{path}: {} bytes, no import section", module.len());
    ExitCode::SUCCESS
}

/// The length of a section (LEB128), and what follows it.
fn length(mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        bytes = rest;
        value |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return (value <= bytes.len()).then_some((value, bytes));
        }
    }
    None
}
