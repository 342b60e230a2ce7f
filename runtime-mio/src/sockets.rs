//! Opening the sockets that a server listens on.

use std::net::SocketAddr;

use mio::net::{TcpListener, UdpSocket};
use socket2::SockRef;

use crate::runtime::BindError;
use crate::sys;

/// Asked of the kernel for each UDP socket, in each direction: a tenth of a second at some 40,000
/// datagrams a second. It gives what it allows.
const BUFFER_BYTES: usize = 4 << 20;

/// A TCP listener; `key` is where its address stands in the configuration.
pub(crate) fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).map_err(|source| BindError::Address { key, address, source })
}

/// One UDP socket for each relay, on consecutive ports unless free ones are taken.
pub(crate) fn media(first: SocketAddr, relays: u16) -> Result<Vec<UdpSocket>, BindError> {
    let mut sockets = Vec::new();
    for at in 0..relays {
        let mut address = first;
        if first.port() != 0 {
            address.set_port(first.port().checked_add(at).ok_or(BindError::Ports(at))?);
        }
        let socket = UdpSocket::bind(address).map_err(|source| BindError::Address {
            key: "media.listen",
            address,
            source,
        })?;
        configure(&socket);
        sockets.push(socket);
    }
    if let Some(socket) = sockets.first() {
        warn_of_small_buffer(socket);
    }
    Ok(sockets)
}

/// Each of these makes things better, and nothing depends on it.
fn configure(socket: &UdpSocket) {
    let options = SockRef::from(socket);
    let mut wishes = vec![
        ("receive buffer", options.set_recv_buffer_size(BUFFER_BYTES)),
        ("send buffer", options.set_send_buffer_size(BUFFER_BYTES)),
    ];
    #[cfg(target_os = "linux")]
    wishes.extend([
        ("arrival times", sys::note_arrivals(socket)),
        ("fragments", sys::allow_fragments(socket)),
    ]);
    for (wish, result) in wishes {
        if let Err(error) = result {
            tracing::warn!(%error, wish, "the media socket does without");
        }
    }
}

/// A burst that does not fit is lost before anybody sees it, so it is worth a line at the start.
fn warn_of_small_buffer(socket: &UdpSocket) {
    // Linux reports twice what it gives, its own book-keeping included.
    let share = if cfg!(target_os = "linux") { 2 } else { 1 };
    match SockRef::from(socket).recv_buffer_size() {
        Ok(bytes) if bytes / share < BUFFER_BYTES => tracing::warn!(
            wanted = BUFFER_BYTES,
            given = bytes / share,
            "the media socket's receive buffer is small, bursts may be lost; allow more with \
             `sysctl -w net.core.rmem_max={BUFFER_BYTES}`"
        ),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "asking for the size of a buffer"),
    }
}
