//! Receiving many datagrams at once, each with how long it waited.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::time::SystemTime;

use mio::net::UdpSocket;
#[cfg(target_os = "linux")]
use socket2::{SockAddr, SockAddrStorage};

use super::BATCH;

/// Room for one datagram; a larger one than the core takes is seen as such.
const DATAGRAM_BYTES: usize = 2_048;

/// What [`Received`] takes, about.
pub(crate) const RECEIVED_BYTES: usize = BATCH * (DATAGRAM_BYTES + 384);

/// Memory for one batch of received datagrams, allocated once.
pub(crate) struct Received {
    bytes: Vec<u8>,
    lengths: [usize; BATCH],
    from: [Option<SocketAddr>; BATCH],
    ages: [Duration; BATCH],
    count: usize,
    /// How many datagrams the socket's buffer had no room for, modulo 2^32.
    #[cfg(target_os = "linux")]
    overflows: u32,
    #[cfg(target_os = "linux")]
    addresses: Vec<SockAddrStorage>,
    #[cfg(target_os = "linux")]
    notes: Vec<Note>,
}

/// Room for what the kernel notes about a datagram: when it arrived. Aligned as `cmsghdr` is.
#[cfg(target_os = "linux")]
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Note([u8; 64]);

impl Received {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * DATAGRAM_BYTES],
            lengths: [0; BATCH],
            from: [None; BATCH],
            ages: [Duration::ZERO; BATCH],
            count: 0,
            #[cfg(target_os = "linux")]
            overflows: 0,
            #[cfg(target_os = "linux")]
            addresses: (0..BATCH).map(|_| SockAddrStorage::zeroed()).collect(),
            #[cfg(target_os = "linux")]
            notes: vec![Note([0; 64]); BATCH],
        }
    }

    /// How many datagrams there are.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Forgets them.
    pub(crate) const fn clear(&mut self) {
        self.count = 0;
    }

    /// The datagrams of the last batch: how long each had waited when the batch was received, and
    /// where it came from.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = (Duration, SocketAddr, &mut [u8])> {
        self.bytes
            .chunks_exact_mut(DATAGRAM_BYTES)
            .zip(self.lengths)
            .zip(self.from)
            .zip(self.ages)
            .take(self.count)
            .filter_map(|(((bytes, length), from), age)| {
                Some((age, from?, bytes.get_mut(..length)?))
            })
    }
}

/// Takes up to `most` datagrams, [`BATCH`] at the most, from a non-blocking socket. Returns how many
/// the socket's buffer had no room for since the last call, as far as the kernel said so with these.
///
/// # Errors
/// `WouldBlock` when there is none, and what else the socket reports. There are no datagrams then.
pub(crate) fn receive(socket: &UdpSocket, into: &mut Received, most: usize) -> io::Result<u32> {
    into.count = 0;
    socket.try_io(|| receive_batch(socket, into, most.min(BATCH)))
}

#[cfg(target_os = "linux")]
fn receive_batch(socket: &UdpSocket, into: &mut Received, most: usize) -> io::Result<u32> {
    use std::os::fd::AsRawFd;

    let mut vectors: [libc::iovec; BATCH] =
        [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
    // SAFETY: `mmsghdr` is plain data for which zeros are valid (null pointers, zero lengths).
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let slots = into.bytes.chunks_exact_mut(DATAGRAM_BYTES).zip(&mut into.addresses);
    let slots = slots.zip(&mut into.notes);
    for ((header, vector), slot) in headers.iter_mut().zip(&mut vectors).zip(slots) {
        let ((bytes, address), note) = slot;
        vector.iov_base = bytes.as_mut_ptr().cast();
        vector.iov_len = bytes.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
        header.msg_hdr.msg_namelen = address.size_of();
        header.msg_hdr.msg_control = note.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = note.0.len() as _;
    }
    // SAFETY: each header points to one vector, one address and one note of its own; the vectors
    // point into disjoint parts of `into.bytes`. All of them outlive the call.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            most as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // The clock of the kernel's notes. When it is set, the batch at hand looks old or new, once.
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let before = into.overflows;
    for (at, header) in headers.iter().enumerate().take(count) {
        let noted = Noted::read(header);
        into.ages[at] =
            noted.arrival.map_or(Duration::ZERO, |arrived| wall.saturating_sub(arrived));
        into.overflows = noted.overflows.unwrap_or(into.overflows);
        into.lengths[at] = header.msg_len as usize;
        let storage = std::mem::replace(&mut into.addresses[at], SockAddrStorage::zeroed());
        // SAFETY: the kernel wrote an address of this length into the storage.
        let address = unsafe { SockAddr::new(storage, header.msg_hdr.msg_namelen) };
        into.from[at] = address.as_socket();
    }
    into.count = count;
    Ok(into.overflows.wrapping_sub(before))
}

/// What the kernel noted about a received datagram.
#[cfg(target_os = "linux")]
#[derive(Default)]
struct Noted {
    /// When it arrived, since 1970.
    arrival: Option<Duration>,
    /// How many the socket's buffer had no room for until then; not noted while there were none.
    overflows: Option<u32>,
}

#[cfg(target_os = "linux")]
impl Noted {
    fn read(header: &libc::mmsghdr) -> Self {
        let mut noted = Self::default();
        // SAFETY: the kernel filled in `header`, whose control part points to a `Note` that is still
        // borrowed by the caller; the macro checks its length and returns null when there is nothing.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header.msg_hdr) };
        // SAFETY: not null, it points to a message that the kernel wrote into the `Note`.
        while let Some(message) = unsafe { next.as_ref() } {
            match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    // SAFETY: a message of this type holds one `timespec`, perhaps unaligned.
                    let time: libc::timespec =
                        unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(message).cast()) };
                    noted.arrival = duration(time);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    // SAFETY: a message of this type holds one `u32`, perhaps unaligned.
                    let overflows =
                        unsafe { libc::CMSG_DATA(message).cast::<u32>().read_unaligned() };
                    noted.overflows = Some(overflows);
                }
                _ => {}
            }
            // SAFETY: as for the first.
            next = unsafe { libc::CMSG_NXTHDR(&raw const header.msg_hdr, message) };
        }
        noted
    }
}

#[cfg(target_os = "linux")]
fn duration(time: libc::timespec) -> Option<Duration> {
    let nanos = u32::try_from(time.tv_nsec).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanos))
}

#[cfg(not(target_os = "linux"))]
fn receive_batch(socket: &UdpSocket, into: &mut Received, most: usize) -> io::Result<u32> {
    for bytes in into.bytes.chunks_exact_mut(DATAGRAM_BYTES).take(most) {
        match socket.recv_from(bytes) {
            Ok((length, from)) => {
                into.lengths[into.count] = length;
                into.from[into.count] = Some(from);
                into.count += 1;
            }
            Err(_) if into.count > 0 => return Ok(0),
            Err(error) => return Err(error),
        }
    }
    Ok(0)
}
