//! The sockets that a server listens on: opened here, or passed on by whoever opened them before
//! (`inherited`).

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, UdpSocket};
use socket2::SockRef;

use crate::inherited::{self, InheritError};
use crate::options::{BindError, Options};
use crate::{sys, tcp};

/// Asked of the kernel for each UDP socket, in each direction: a tenth of a second at some 40,000
/// datagrams a second. It gives what it allows.
pub(crate) const BUFFER_BYTES: usize = 4 << 20;
/// Linux reports twice what it gives, its own book-keeping included.
pub(crate) const BUFFER_SHARE: usize = if cfg!(target_os = "linux") { 2 } else { 1 };
/// Connections that may wait in a listener's backlog: everybody comes back at once after a restart.
/// The kernel allows fewer (`net.core.somaxconn`, mostly 4,096), and the usual 128 would make the
/// others try again only after seconds.
const BACKLOG: i32 = 65_535;

/// Sockets that listen already, though nobody is served yet.
#[derive(Debug)]
pub struct Sockets {
    pub(crate) control: TcpListener,
    pub(crate) gateway: TcpListener,
    /// By relay.
    pub(crate) media: Vec<UdpSocket>,
}

/// Where a server listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// Chat servers.
    pub control: SocketAddr,
    /// Voice clients.
    pub gateway: SocketAddr,
    /// Media of the first relay.
    pub media: SocketAddr,
}

impl Sockets {
    /// Opens every socket.
    ///
    /// # Errors
    /// The first one that could not be bound, by its configuration key.
    pub fn bind(options: &Options) -> Result<Self, BindError> {
        Self {
            control: listen("control.listen", options.control)?,
            gateway: listen("gateway.listen", options.gateway)?,
            media: media(options.media, options.relays)?,
        }
        .configured()
    }

    /// Takes the sockets that a service manager opened and passed on with `LISTEN_FDS` and
    /// `LISTEN_FDNAMES`: one named `control`, one `gateway`, and one `media` for each relay, in
    /// the relays' order. `None` when it passed none. They can be taken once in a process.
    ///
    /// # Errors
    /// Which socket is missing, has an unknown name or is of the wrong kind.
    pub fn inherit(relays: u16) -> Result<Option<Self>, InheritError> {
        inherited::take(relays)
    }

    /// Where they listen.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn addresses(&self) -> Result<Addresses, BindError> {
        let media = self.media.first().ok_or(BindError::NoMedia)?;
        Ok(Addresses {
            control: self.control.local_addr()?,
            gateway: self.gateway.local_addr()?,
            media: media.local_addr()?,
        })
    }

    /// Sets what does not depend on who opened them.
    pub(crate) fn configured(self) -> Result<Self, BindError> {
        for listener in [&self.control, &self.gateway] {
            // Listening once more sets the length of the backlog.
            SockRef::from(listener).listen(BACKLOG)?;
            tcp::configure(listener)?;
        }
        for socket in &self.media {
            configure(socket);
        }
        if let Some(socket) = self.media.first() {
            warn_of_small_buffer(socket);
        }
        Ok(self)
    }
}

fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).map_err(|source| BindError::Address { key, address, source })
}

/// One UDP socket for each relay, on consecutive ports unless free ones are taken.
fn media(first: SocketAddr, relays: u16) -> Result<Vec<UdpSocket>, BindError> {
    let mut sockets = Vec::new();
    for at in 0..relays {
        let mut address = first;
        if first.port() != 0 {
            address.set_port(first.port().checked_add(at).ok_or(BindError::Ports(at))?);
        }
        let key = "media.listen";
        let socket = UdpSocket::bind(address);
        sockets.push(socket.map_err(|source| BindError::Address { key, address, source })?);
    }
    Ok(sockets)
}

/// Each of these makes things better, and nothing depends on it.
fn configure(socket: &UdpSocket) {
    let options = SockRef::from(socket);
    let mut wishes = vec![
        ("receive buffer", grow(options.recv_buffer_size(), |b| options.set_recv_buffer_size(b))),
        ("send buffer", grow(options.send_buffer_size(), |b| options.set_send_buffer_size(b))),
    ];
    #[cfg(target_os = "linux")]
    wishes.extend([
        ("arrival times", sys::note_arrivals(socket)),
        ("overflows", sys::note_overflows(socket)),
        ("fragments", sys::allow_fragments(socket)),
    ]);
    for (wish, result) in wishes {
        if let Err(error) = result {
            tracing::warn!(%error, wish, "the media socket does without");
        }
    }
}

/// Asks for a buffer of [`BUFFER_BYTES`], unless whoever opened the socket was given as much: the
/// kernel may allow that one more than us.
fn grow(has: io::Result<usize>, set: impl Fn(usize) -> io::Result<()>) -> io::Result<()> {
    if has? / BUFFER_SHARE < BUFFER_BYTES { set(BUFFER_BYTES) } else { Ok(()) }
}

/// A burst that does not fit is lost before anybody sees it, so it is worth a line at the start.
fn warn_of_small_buffer(socket: &UdpSocket) {
    match SockRef::from(socket).recv_buffer_size() {
        Ok(bytes) if bytes / BUFFER_SHARE < BUFFER_BYTES => tracing::warn!(
            wanted = BUFFER_BYTES,
            given = bytes / BUFFER_SHARE,
            "the media socket's receive buffer is small, bursts may be lost; allow more with \
             `sysctl -w net.core.rmem_max={BUFFER_BYTES}`"
        ),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "asking for the size of a buffer"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn hundreds_of_connections_wait_in_the_backlog() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sockets = Sockets {
            control: listen("control.listen", any).unwrap(),
            gateway: listen("gateway.listen", any).unwrap(),
            media: media(any, 1).unwrap(),
        };
        let sockets = sockets.configured().unwrap();
        let gateway = sockets.addresses().unwrap().gateway;
        // Nobody accepts. One more than fit would wait in vain.
        let waiting: Vec<_> = (0..400)
            .map(|_| TcpStream::connect_timeout(&gateway, Duration::from_secs(60)).unwrap())
            .collect();
        assert_eq!(waiting.len(), 400);
    }

    #[test]
    fn a_buffer_is_never_made_smaller() {
        let asked = std::cell::Cell::new(None);
        let grow = |has| {
            grow(Ok(has * BUFFER_SHARE), |bytes| {
                asked.set(Some(bytes));
                Ok(())
            })
        };
        grow(BUFFER_BYTES).unwrap();
        assert_eq!(asked.get(), None);
        grow(BUFFER_BYTES - 1).unwrap();
        assert_eq!(asked.get(), Some(BUFFER_BYTES));
    }
}
