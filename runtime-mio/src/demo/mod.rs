//! The main job on real sockets: callers of two channels talk at the same time, and every payload
//! is accounted for.
//!
//! The server runs in this process, but the chat server and the callers share nothing with it but
//! sockets: LVSP and the voice gateway over TLS, voice over UDP. All speak through the client
//! roles of [`lvsp_core::client`], so this is the server held against a second reading of each
//! protocol, not against real client libraries.
//!
//! | file | decides |
//! |---|---|
//! | `cast` | who takes part, who is to hear whom, whom a fault befalls |
//! | `peer` | when bytes move between a role and its sockets (`crate::peers`) |
//! | `chat`, `caller` | what the two roles do |
//! | `director` | what happens in which order, and how long it may take |
//! | `tally`, `verdict` | what was heard; what is wrong with that |
//! | `table` | what is shown |

mod caller;
mod cast;
mod chat;
mod director;
mod news;
mod peer;
mod table;
mod tally;
mod verdict;

use std::thread;

use anyhow::{Context, Result};
use lvsp_core::config::ControlClient;
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::transport::TlsTrust;

pub use cast::Fault;
pub use verdict::Verdict;

use crate::development;
use crate::entropy::OsEntropy;
use crate::entry::today;
use crate::options::Options as ServerOptions;
use crate::runtime::Runtime;
use cast::Cast;
use director::{Director, Doors};
use table::Screen;

/// How to demonstrate.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Frames of 20 ms that each caller says.
    pub frames: u32,
    /// What goes wrong on purpose.
    pub fault: Option<Fault>,
}

/// Demonstrates on standard output, the verdict included.
///
/// # Errors
/// When standard output cannot be written to or a server cannot be started. Whatever goes wrong
/// between server and clients is a [`Verdict::Fail`].
pub fn run(options: Options) -> Result<Verdict> {
    let cast = Cast::new(options.frames, options.fault);
    let screen = Screen::new();
    let (runtime, doors) = prepare_server()?;
    introduce(&cast, &screen)?;
    let stop = runtime.stop_handle();
    let verdict = thread::scope(|scope| {
        let builder = thread::Builder::new().name("control".to_owned());
        let server = builder.spawn_scoped(scope, || runtime.run())?;
        // It lives until the server has stopped, or the server would see its chat server go.
        let mut director = Director::new(&cast, &screen);
        let played = director.play(scope, &doors);
        stop.stop();
        match server.join() {
            Ok(ended) => ended.context("the server's event loop ended")?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        director.conclude(played)
    })?;
    screen.say(&verdict.to_string())?;
    Ok(verdict)
}

/// Says who takes part.
fn introduce(cast: &Cast, screen: &Screen) -> Result<()> {
    for (name, id) in [("A", cast::A), ("B", cast::B)] {
        let seats = cast.seats.iter().filter(|seat| seat.home == id);
        let seats: Vec<_> = seats
            .map(|seat| format!("{} (v{} {})", seat.name, seat.version, seat.mode.name()))
            .collect();
        screen.say(&format!("channel {name}: {}", seats.join(", ")))?;
    }
    Ok(())
}

/// A server on free ports of this host, with a certificate and a secret of its own.
fn prepare_server() -> Result<(Runtime, Doors)> {
    let certificate = development::certificate()?;
    let secret = OsEntropy::hex::<32>();
    let client = ControlClient::new("demo".to_owned(), ControlSecret::new(secret.clone())?);
    let runtime = Runtime::bind(ServerOptions {
        tls: Some(certificate.identity),
        ..ServerOptions::on_loopback(vec![client])
    })?;
    let trust = TlsTrust::from_pem(certificate.ca.as_bytes(), today()?)?;
    let doors = Doors { control: runtime.control_address(), secret, trust };
    Ok((runtime, doors))
}
