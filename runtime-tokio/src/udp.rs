//! Receiving datagrams with the time that each waited in the socket's buffer, and sending flights.
//!
//! On Linux the kernel notes when each arrived; elsewhere only the time since it was received
//! counts. On Linux a flight of several datagrams is one system call.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::media::{Flight, Flights, Sent};
use socket2::SockRef;
#[cfg(target_os = "linux")]
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams that are received before they are handled.
const BATCH: usize = 64;
/// Room for one datagram; a larger one than the core takes is seen as such.
const DATAGRAM_BYTES: usize = 2_048;
/// Asked of the kernel for each UDP socket, in each direction: a tenth of a second at some 40,000
/// datagrams a second. It gives what it allows.
const BUFFER_BYTES: usize = 4 << 20;

/// Memory for one batch of received datagrams, allocated once.
#[derive(Debug)]
pub(crate) struct Received {
    bytes: Box<[u8]>,
    entries: Vec<Entry>,
    /// How many datagrams the socket's buffer had no room for, modulo 2^32: now, and as far as that
    /// was told.
    overflows: u32,
    told: u32,
    /// Room for what the kernel notes about one datagram.
    #[cfg(target_os = "linux")]
    notes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    length: usize,
    from: SocketAddr,
    age: Duration,
}

impl Received {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * DATAGRAM_BYTES].into_boxed_slice(),
            entries: Vec::with_capacity(BATCH),
            overflows: 0,
            told: 0,
            #[cfg(target_os = "linux")]
            notes: nix::cmsg_space!(nix::sys::time::TimeSpec, u32),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// How long each had waited when it was received, where it came from, and what it is.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = (Duration, SocketAddr, &mut [u8])> {
        let slots = self.bytes.chunks_exact_mut(DATAGRAM_BYTES);
        slots.zip(&self.entries).map(|(bytes, entry)| {
            (entry.age, entry.from, &mut bytes[..entry.length.min(DATAGRAM_BYTES)])
        })
    }

    /// How many datagrams the socket's buffer had no room for since this was last asked.
    pub(crate) fn take_overflows(&mut self) -> u32 {
        let before = std::mem::replace(&mut self.told, self.overflows);
        self.overflows.wrapping_sub(before)
    }

    /// Takes up to `most` datagrams; whether there may be more.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, most: usize) -> bool {
        self.clear();
        for _ in 0..most.min(BATCH) {
            match self.receive_one(socket) {
                Ok(entry) => self.entries.push(entry),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // What an earlier datagram met on its way: nothing about this socket.
                Err(error) => tracing::debug!(%error, "receiving"),
            }
        }
        true
    }

    #[cfg(target_os = "linux")]
    fn receive_one(&mut self, socket: &UdpSocket) -> io::Result<Entry> {
        use std::os::fd::AsRawFd;

        use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

        let start = self.entries.len() * DATAGRAM_BYTES;
        let slot = &mut self.bytes[start..start + DATAGRAM_BYTES];
        let mut slots = [io::IoSliceMut::new(slot)];
        let (fd, notes) = (socket.as_raw_fd(), &mut self.notes);
        let message = socket.try_io(Interest::READABLE, || {
            let notes = Some(notes.as_mut_slice());
            Ok(recvmsg::<SockaddrStorage>(fd, &mut slots, notes, MsgFlags::MSG_DONTWAIT)?)
        })?;
        let from = message.address.as_ref().and_then(socket_address);
        let from = from.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut arrival = None;
        for note in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampns(time) = note {
                arrival = Some(Duration::from(time));
            } else if let ControlMessageOwned::RxqOvfl(count) = note {
                self.overflows = count;
            }
        }
        let age = arrival.map_or(Duration::ZERO, age_of);
        Ok(Entry { length: message.bytes, from, age })
    }

    #[cfg(not(target_os = "linux"))]
    fn receive_one(&mut self, socket: &UdpSocket) -> io::Result<Entry> {
        let start = self.entries.len() * DATAGRAM_BYTES;
        let slot = &mut self.bytes[start..start + DATAGRAM_BYTES];
        let (length, from) = socket.try_recv_from(slot)?;
        Ok(Entry { length, from, age: Duration::ZERO })
    }
}

#[cfg(target_os = "linux")]
fn socket_address(storage: &nix::sys::socket::SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

/// The kernel notes arrivals by the wall clock, which may have been set since.
#[cfg(target_os = "linux")]
fn age_of(arrival: Duration) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(Duration::ZERO, |now| now.saturating_sub(arrival))
}

/// Gives flights to the socket, as many as it takes at once.
pub(crate) fn send(socket: &UdpSocket, flights: Flights<'_>) -> Sent {
    flights.send_each(|flight| send_flight(socket, flight))
}

fn send_flight(socket: &UdpSocket, flight: &Flight<'_>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if flight.len() > 1 {
        return send_segments(socket, flight);
    }
    for bytes in flight.datagrams() {
        socket.try_send_to(bytes, flight.address())?;
    }
    Ok(())
}

/// Sends a flight of several datagrams, which the kernel takes apart.
#[cfg(target_os = "linux")]
fn send_segments(socket: &UdpSocket, flight: &Flight<'_>) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
    use smallvec::SmallVec;

    let segment = u16::try_from(flight.segment_bytes()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let slices: SmallVec<[io::IoSlice<'_>; 16]> =
        flight.datagrams().map(io::IoSlice::new).collect();
    let notes = [ControlMessage::UdpGsoSegments(&segment)];
    let (fd, to) = (socket.as_raw_fd(), SockaddrStorage::from(flight.address()));
    socket.try_io(Interest::WRITABLE, || {
        sendmsg(fd, &slices, &notes, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    })
}

/// Whether the kernel takes flights of several datagrams apart.
pub(crate) fn segments(socket: &UdpSocket) -> bool {
    #[cfg(target_os = "linux")]
    return nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::UdpGsoSegment).is_ok();
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        false
    }
}

/// Each of these makes things better, and nothing depends on it.
pub(crate) fn configure(socket: &UdpSocket) {
    let options = SockRef::from(socket);
    let mut wishes = vec![
        ("receive buffer", options.set_recv_buffer_size(BUFFER_BYTES)),
        ("send buffer", options.set_send_buffer_size(BUFFER_BYTES)),
    ];
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::setsockopt;
        use nix::sys::socket::sockopt::{ReceiveTimestampns, RxqOvfl};
        let noted = setsockopt(socket, ReceiveTimestampns, &true).map_err(io::Error::from);
        wishes.push(("arrival times", noted));
        let noted = setsockopt(socket, RxqOvfl, &1).map_err(io::Error::from);
        wishes.push(("overflows", noted));
    }
    for (wish, result) in wishes {
        if let Err(error) = result {
            tracing::warn!(%error, wish, "the media socket does without");
        }
    }
}
