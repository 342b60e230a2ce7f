//! A stand-in for a chat server: rooms over a small HTTP API, and the voice server in the same
//! process, driven by its `Handle` instead of LVSP.
//!
//! ```sh
//! cargo run -p lvsp-tokio --example rooms                # serves plain TCP on loopback
//! cargo run -p lvsp-tokio --example rooms -- --check     # a call over HTTP, verdict
//!
//! curl -X PUT localhost:8080/rooms/7
//! curl -X PUT localhost:8080/rooms/7/members/1           # what the voice client of user 1 needs
//! curl localhost:8080/rooms/7/why/1/2                    # why user 2 does not hear user 1
//! ```
//!
//! `api.rs` has the HTTP API, `check.rs` the call of `--check`. Real client libraries speak TLS
//! alone: give `--certificate` and `--key`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "an example is a program of its own, and prints"
)]

mod api;
mod check;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use clap::Parser;
use lvsp_tokio::lvsp_core::config::Config;
use lvsp_tokio::lvsp_core::transport::TlsIdentity;
use lvsp_tokio::{Builder, News, Subscription};
use tokio::net::TcpListener;

pub type Failure = Box<dyn Error + Send + Sync>;

/// Rooms over HTTP, with voice.
#[derive(Parser)]
struct Options {
    /// Where the HTTP API listens. It asks nobody who they are: keep it on loopback.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where voice clients connect.
    #[arg(long, default_value = "127.0.0.1:8443")]
    gateway: SocketAddr,
    /// `host:port` that voice clients dial; the gateway's own address unless this says otherwise.
    #[arg(long, default_value = "")]
    endpoint: String,
    /// Where media arrives.
    #[arg(long, default_value = "127.0.0.1:50000")]
    media: SocketAddr,
    /// The address that voice clients send media to.
    #[arg(long, default_value = "127.0.0.1")]
    public_ip: Ipv4Addr,
    /// PEM file of the certificate chain; without it voice clients speak plain TCP.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// Serve on free ports, have two clients call each other, and end with a verdict.
    #[arg(long)]
    check: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut options = Options::parse();
    if options.check {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (options.http, options.gateway, options.media) = (any, any, any);
    }
    let mut builder = Builder::new(config(&options)).gateway(options.gateway).media(options.media);
    if let Some((certificate, key)) = options.certificate.zip(options.key) {
        let (chain, key) = (std::fs::read(certificate)?, std::fs::read(key)?);
        builder = builder.tls(TlsIdentity::from_pem(&chain, &key)?);
    }
    let (server, handle) = builder.bind()?;
    // Media has tasks of its own, so that no handshake keeps it waiting.
    let (control, media) = server.split();
    let media = media.into_iter().map(tokio::spawn).collect::<Vec<_>>();
    let control = tokio::spawn(control);
    tokio::spawn(tell(handle.subscribe()?));

    let listener = TcpListener::bind(options.http).await?;
    let http = listener.local_addr()?;
    let api = tokio::spawn(axum::serve(listener, api::router(handle.clone())).into_future());
    let addresses = handle.addresses();
    println!("ready: http {http}, gateway {}, media {:?}", addresses.gateway, addresses.media);

    let verdict = if options.check {
        let verdict = check::call(http).await;
        handle.stop();
        verdict
    } else {
        tokio::signal::ctrl_c().await?;
        println!("draining");
        handle.shutdown();
        Ok(())
    };
    control.await?;
    for part in media {
        part.await?;
    }
    api.abort();
    if options.check {
        match &verdict {
            Ok(()) => println!("PASS"),
            Err(why) => println!("FAIL: {why}"),
        }
    }
    verdict
}

/// What voice clients are told. No chat server is named: orders are given in process alone.
fn config(options: &Options) -> Config {
    let relay = SocketAddrV4::new(options.public_ip, options.media.port());
    Config::new(options.endpoint.clone(), vec![relay])
}

/// Says what happens, as a chat server would tell its users.
async fn tell(mut events: Subscription) {
    while let Some(news) = events.recv().await {
        match news {
            News::Event(event) => println!("{event:?}"),
            News::Missed(count) => println!("{count} events were too fast to be told"),
            _ => {}
        }
    }
}
