//! Sockets passed on by a service manager (systemd's socket activation).
//!
//! They stay open there while one process ends and the next begins, so that nobody is refused in
//! between. All that is needed is passed on, or nothing: a listener that was forgotten would be
//! noticed only by the clients that meet a restart.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::net::{TcpListener, UdpSocket};
use socket2::{Socket, Type};

use crate::options::BindError;
use crate::sockets::Sockets;
use crate::sys;

/// The names that sockets are passed on by, `FileDescriptorName=` in a systemd unit.
const NAMES: [&str; 3] = [CONTROL, GATEWAY, MEDIA];
const CONTROL: &str = "control";
const GATEWAY: &str = "gateway";
const MEDIA: &str = "media";

/// Why sockets that a service manager passed on cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InheritError {
    /// The variables contradict each other or what is open.
    #[error("sockets from the service manager: LISTEN_FDS and LISTEN_FDNAMES")]
    Variables(#[source] io::Error),
    /// A name that means nothing here.
    #[error(
        "sockets from the service manager: descriptor {fd} is named {name:?}; \
         FileDescriptorName= must be control, gateway or media"
    )]
    Unknown {
        /// The descriptor's number.
        fd: i32,
        /// Its name.
        name: String,
    },
    /// The wrong kind of socket for its name.
    #[error(
        "sockets from the service manager: descriptor {fd}, {name}, is {found}; it must be {wanted}"
    )]
    Kind {
        /// The descriptor's number.
        fd: i32,
        /// Its name.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Too few or too many of one name.
    #[error(
        "sockets from the service manager: {found} named {name}, and {wanted} needed ({why}); \
         without any socket from it, all are opened here"
    )]
    Count {
        /// The name.
        name: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        wanted: usize,
        /// What decides that.
        why: &'static str,
    },
    /// The operating system refused something.
    #[error("sockets from the service manager")]
    Io(#[from] io::Error),
    /// A socket could not be set up.
    #[error("sockets from the service manager")]
    Bind(#[from] BindError),
}

/// Takes what was passed on, if anything.
pub(crate) fn take(relays: u16) -> Result<Option<Sockets>, InheritError> {
    let passed = sys::inherited_descriptors().map_err(InheritError::Variables)?;
    if passed.is_empty() { Ok(None) } else { sort(passed, relays).map(Some) }
}

fn sort(passed: Vec<(OwnedFd, String)>, relays: u16) -> Result<Sockets, InheritError> {
    let (mut control, mut gateway, mut media) = (Vec::new(), Vec::new(), Vec::new());
    for (fd, name) in passed {
        match NAMES.into_iter().find(|known| *known == name) {
            Some(CONTROL) => control.push(listener(CONTROL, fd)?),
            Some(GATEWAY) => gateway.push(listener(GATEWAY, fd)?),
            Some(_) => media.push(datagrams(fd)?),
            None => return Err(InheritError::Unknown { fd: fd.as_raw_fd(), name }),
        }
    }
    let wanted = usize::from(relays);
    if media.len() != wanted {
        let (name, found, why) = (MEDIA, media.len(), "media.relays");
        return Err(InheritError::Count { name, found, wanted, why });
    }
    let (control, gateway) = (only(CONTROL, control)?, only(GATEWAY, gateway)?);
    Ok(Sockets { control, gateway, media }.configured()?)
}

fn only(name: &'static str, mut found: Vec<TcpListener>) -> Result<TcpListener, InheritError> {
    match (found.pop(), found.len()) {
        (Some(listener), 0) => Ok(listener),
        (last, more) => {
            let found = more + usize::from(last.is_some());
            Err(InheritError::Count { name, found, wanted: 1, why: "it is one listener" })
        }
    }
}

fn listener(name: &'static str, fd: OwnedFd) -> Result<TcpListener, InheritError> {
    let socket = inspect(name, fd, Type::STREAM, "a TCP socket that listens")?;
    Ok(TcpListener::from_std(socket.into()))
}

fn datagrams(fd: OwnedFd) -> Result<UdpSocket, InheritError> {
    let socket = inspect(MEDIA, fd, Type::DGRAM, "a UDP socket that IPv4 clients reach")?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Checks what a socket is, and makes it ready for an event loop.
fn inspect(
    name: &'static str,
    fd: OwnedFd,
    kind: Type,
    wanted: &'static str,
) -> Result<Socket, InheritError> {
    let socket = Socket::from(fd);
    if let Some(found) = misfit(&socket, kind)? {
        return Err(InheritError::Kind { fd: socket.as_raw_fd(), name, found, wanted });
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What is wrong with a socket that should be of this kind, if anything.
fn misfit(socket: &Socket, kind: Type) -> Result<Option<String>, InheritError> {
    let is_no_socket = |error: &io::Error| error.raw_os_error() == Some(libc::ENOTSOCK);
    let address = match socket.local_addr() {
        Err(error) if is_no_socket(&error) => return Ok(Some("no socket".to_owned())),
        address => address?,
    };
    let found = match (address.as_socket(), socket.r#type()?) {
        (None, _) => "neither IPv4 nor IPv6".to_owned(),
        (Some(address), found) if found != kind => match found {
            Type::STREAM => format!("a TCP socket at {address}"),
            Type::DGRAM => format!("a UDP socket at {address}"),
            _ => format!("a socket of another type at {address}"),
        },
        (Some(address), Type::STREAM) if !listens(socket)? => {
            format!("a TCP socket at {address} that does not listen (Accept=yes?)")
        }
        // Clients are told an IPv4 address.
        (Some(address), Type::DGRAM) if address.is_ipv6() && socket.only_v6()? => {
            format!("a UDP socket at {address} for IPv6 alone (BindIPv6Only=both?)")
        }
        (Some(_), _) => return Ok(None),
    };
    Ok(Some(found))
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn listens(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// Elsewhere it cannot be asked.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
const fn listens(_: &Socket) -> io::Result<bool> {
    Ok(true)
}
