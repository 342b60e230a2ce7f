//! The runtimes, each as something that serves on a thread of its own until it is stopped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lvsp_core::config::{ClientAddress, Config, Proxies};
use lvsp_core::limits::Limits;

use crate::peers::chat_servers;

/// What a server is started with.
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) relays: u16,
    /// Where recordings go.
    pub(crate) record: PathBuf,
}

/// A server that serves.
pub(crate) struct Running {
    pub(crate) control: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) media: SocketAddr,
    stop: Box<dyn FnOnce()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Stops it and waits until everything is written.
    pub(crate) fn stop(self) {
        (self.stop)();
        self.thread.join().expect("the runtime does not panic");
    }
}

/// A runtime.
pub(crate) struct Driver {
    pub(crate) name: &'static str,
    pub(crate) start: fn(Setup) -> Running,
}

/// Every runtime; the table of scenarios runs against each.
pub(crate) const DRIVERS: [Driver; 3] = [
    Driver { name: "mio", start: start_mio },
    Driver { name: "tokio, one task", start: start_tokio },
    Driver { name: "tokio, a task for each part", start: start_tokio_split },
];

const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// Where trusted proxies connect from.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
const GRACE: Duration = Duration::from_secs(60);

fn proxies() -> Proxies {
    Proxies {
        trusted: vec![IpAddr::V4(PROXY).into()],
        client_address: ClientAddress::ProxyProtocol,
    }
}

fn start_mio(setup: Setup) -> Running {
    let runtime = lvsp_mio::Runtime::bind(lvsp_mio::Options {
        relays: setup.relays,
        grace: GRACE,
        proxies: proxies(),
        limits: setup.limits,
        record: Some(setup.record),
        ..lvsp_mio::Options::on_loopback(chat_servers())
    })
    .expect("free ports");
    let stop = runtime.stop_handle();
    Running {
        control: runtime.control_address(),
        gateway: runtime.gateway_address(),
        media: runtime.media_addresses()[0],
        stop: Box::new(move || stop.stop()),
        thread: thread::spawn(|| {
            runtime.run().expect("the loop ends well");
        }),
    }
}

fn start_tokio(setup: Setup) -> Running {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    serve_in_tokio(setup, runtime.expect("a runtime"), false)
}

fn start_tokio_split(setup: Setup) -> Running {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    serve_in_tokio(setup, runtime.expect("a runtime"), true)
}

fn serve_in_tokio(setup: Setup, runtime: tokio::runtime::Runtime, split: bool) -> Running {
    let config = Config {
        control_clients: chat_servers(),
        control_grace: GRACE,
        drain: Duration::ZERO,
        proxies: proxies(),
        limits: setup.limits,
        ..Config::new(
            String::new(),
            vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0); setup.relays.into()],
        )
    };
    let builder = lvsp_tokio::Builder::new(config).control(ANY).gateway(ANY);
    let builder = (0..setup.relays).fold(builder, |builder, _| builder.media(ANY));
    let (server, handle) = {
        let _inside = runtime.enter();
        builder.record(setup.record).bind().expect("free ports")
    };
    let addresses = handle.addresses().clone();
    Running {
        control: addresses.control.expect("asked for"),
        gateway: addresses.gateway,
        media: addresses.media[0],
        stop: Box::new(move || handle.stop()),
        thread: thread::spawn(move || {
            runtime.block_on(async {
                if !split {
                    return server.run().await;
                }
                let (control, media) = server.split();
                let parts = media.into_iter().map(tokio::spawn).collect::<Vec<_>>();
                tokio::spawn(control).await.expect("no panic");
                for part in parts {
                    part.await.expect("no panic");
                }
            });
        }),
    }
}
