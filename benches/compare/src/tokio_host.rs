//! The smallest host of lvsp-tokio that a chat server can connect to: LVSP, gateway and media.

use std::fs;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use lvsp_core::config::{Config, ControlClient};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::transport::TlsIdentity;
use lvsp_tokio::Builder;

/// Where it listens, and with what.
#[derive(Args)]
pub(crate) struct Options {
    #[arg(long)]
    control: SocketAddr,
    #[arg(long)]
    gateway: SocketAddr,
    /// Its media address, which clients are told as it is.
    #[arg(long)]
    media: SocketAddrV4,
    #[arg(long)]
    certificate: PathBuf,
    #[arg(long)]
    key: PathBuf,
    #[arg(long)]
    secret_file: PathBuf,
}

/// Serves for ever.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let secret = fs::read_to_string(&options.secret_file).context("--secret-file")?;
        let client = ControlClient::new("compare".to_owned(), ControlSecret::new(secret)?);
        let config = Config {
            control_clients: vec![client],
            ..Config::new(options.gateway.to_string(), vec![options.media])
        };
        let chain = fs::read(&options.certificate).context("--certificate")?;
        let key = fs::read(&options.key).context("--key")?;
        let (server, handle) = Builder::new(config)
            .control(options.control)
            .gateway(options.gateway)
            .media(SocketAddr::V4(options.media))
            .tls(TlsIdentity::from_pem(&chain, &key)?)
            .bind()?;
        // Media has a task of its own, as an application that cares would have it.
        let (control, media) = server.split();
        for part in media {
            tokio::spawn(part);
        }
        crate::contest::say("ready: it listens")?;
        control.await;
        drop(handle);
        Ok(())
    })
}
