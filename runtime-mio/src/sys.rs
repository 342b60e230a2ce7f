//! What the standard library does not offer: many datagrams in one system call (`recvmmsg` and
//! `sendmmsg` on Linux, single calls elsewhere), their age, the limit of open files, and
//! descriptors that came with the process.
//!
//! The only file with `unsafe`. Every pointer handed to the kernel points into memory that the
//! function that makes the call has borrowed for its whole length.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::time::SystemTime;

use lvsp_core::media::Flights;
use mio::net::UdpSocket;
#[cfg(target_os = "linux")]
use socket2::{SockAddr, SockAddrStorage};

/// Messages in one system call. More gains nothing.
pub(crate) const BATCH: usize = 64;
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

/// Lets the kernel note when each datagram arrives, so that its time in the socket's buffer counts
/// for its age. Without it only the time since [`receive`] counts.
///
/// # Errors
/// When the kernel cannot.
#[cfg(target_os = "linux")]
pub(crate) fn note_arrivals(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Lets the kernel tell with each datagram how many the buffer had no room for.
///
/// # Errors
/// When the kernel cannot.
#[cfg(target_os = "linux")]
pub(crate) fn note_overflows(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Lets routers split datagrams to IPv4 addresses, and ignores what anybody says about a path's
/// size.
///
/// The largest datagram has 1,400 bytes, and nothing here could act on a smaller path: with the
/// usual "don't fragment" it would be lost there, every time, unless an ICMP message came back;
/// and such messages can be forged to make the kernel split everything.
///
/// # Errors
/// When the kernel cannot.
#[cfg(target_os = "linux")]
pub(crate) fn allow_fragments(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
}

#[cfg(target_os = "linux")]
fn set_option(socket: &UdpSocket, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    // SAFETY: the pointer and the length are those of `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many descriptors this process may have open; `usize::MAX` where there is no limit.
pub(crate) fn descriptors_max() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a structure of the right type, which outlives the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result == 0 { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) } else { usize::MAX }
}

/// The descriptors that a service manager passed on, with their names, marked to be closed on exec.
/// There are none at the second call.
///
/// # Errors
/// When the variables that announce them are wrong, or one is not open.
pub(crate) fn inherited_descriptors() -> io::Result<Vec<(OwnedFd, String)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    let passed = sd_notify::listen_fds_with_names()?;
    // SAFETY: whoever started this process opened these descriptors for it and says so in the
    // environment, by this process's id; they are open, as marking them has just shown, and this
    // line, reached once, is the only one that takes them.
    Ok(passed.map(|(fd, name)| (unsafe { OwnedFd::from_raw_fd(fd) }, name)).collect())
}

/// How much processor time this process has used, all threads together.
pub(crate) fn processor_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a structure of the right type, which outlives the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (result == 0).then(|| Duration::new(seconds, nanos))
}

/// Sends datagrams, up to [`BATCH`] at once; how many the socket took.
///
/// # Errors
/// When the first was not taken: `WouldBlock` for a full socket, or what it reports.
#[cfg(test)]
pub(crate) fn send<'a>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
) -> io::Result<usize> {
    let messages = datagrams.map(|(to, bytes)| (to, std::iter::once(bytes)));
    socket.try_io(|| send_batch(socket, messages))
}

/// Sends flights, up to [`BATCH`] at once; how many the socket took.
///
/// # Errors
/// When the first was not taken: `WouldBlock` for a full socket, or what it reports.
pub(crate) fn send_flights(socket: &UdpSocket, flights: Flights<'_>) -> io::Result<usize> {
    let messages = flights.map(|flight| (flight.address(), flight.datagrams()));
    socket.try_io(|| send_batch(socket, messages))
}

/// Whether the kernel makes several datagrams out of one send.
#[cfg(target_os = "linux")]
pub(crate) fn segments(socket: &UdpSocket) -> bool {
    use std::os::fd::AsRawFd;

    let (mut size, mut length): (libc::c_int, _) = (0, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: both pointers are to values of the right type that outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw mut size).cast(),
            &raw mut length,
        )
    };
    result == 0
}

/// Whether the kernel makes several datagrams out of one send.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn segments(_: &UdpSocket) -> bool {
    false
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

/// Datagrams in all messages of one system call: a message of several has a vector for each.
#[cfg(target_os = "linux")]
const VECTORS: usize = 4 * BATCH;

/// An address as the kernel reads it, without the padding that `sockaddr_storage` would add.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

#[cfg(target_os = "linux")]
impl Name {
    fn new(address: SocketAddr) -> (Self, libc::socklen_t) {
        match address {
            SocketAddr::V4(v4) => {
                let sin_addr = libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) };
                let name = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr,
                    sin_zero: [0; 8],
                };
                (Self { v4: name }, size_of_val(&name) as libc::socklen_t)
            }
            SocketAddr::V6(v6) => {
                let name = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                (Self { v6: name }, size_of_val(&name) as libc::socklen_t)
            }
        }
    }
}

/// A control message that tells the kernel how long each datagram of a message is, aligned as
/// `cmsghdr` is.
#[cfg(target_os = "linux")]
#[repr(C)]
#[derive(Clone, Copy)]
struct SegmentNote {
    header: libc::cmsghdr,
    bytes: u16,
}

#[cfg(target_os = "linux")]
impl SegmentNote {
    fn new(bytes: u16) -> Self {
        // SAFETY: `cmsghdr` is plain data for which zeros are valid.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: it only computes.
        header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as u32) } as _;
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = libc::UDP_SEGMENT;
        Self { header, bytes }
    }
}

/// Sends messages, each of one or more datagrams to one address: all as long as the first, but for
/// the last, which may be shorter.
#[cfg(target_os = "linux")]
fn send_batch<'a, D: ExactSizeIterator<Item = &'a [u8]>>(
    socket: &UdpSocket,
    messages: impl Iterator<Item = (SocketAddr, D)>,
) -> io::Result<usize> {
    use std::mem::MaybeUninit;
    use std::os::fd::AsRawFd;

    let mut names = [const { MaybeUninit::<Name>::uninit() }; BATCH];
    let mut notes = [const { MaybeUninit::<SegmentNote>::uninit() }; BATCH];
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; VECTORS];
    // SAFETY: `mmsghdr` is plain data for which zeros are valid (null pointers, zero lengths).
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let (mut count, mut free) = (0, &mut vectors[..]);
    let slots = headers.iter_mut().zip(&mut names).zip(&mut notes);
    for (((header, name), note), (to, datagrams)) in slots.zip(messages) {
        let Some((mine, rest)) = std::mem::take(&mut free).split_at_mut_checked(datagrams.len())
        else {
            break;
        };
        free = rest;
        let (address, length) = Name::new(to);
        header.msg_hdr.msg_name = std::ptr::from_mut(name.write(address)).cast();
        header.msg_hdr.msg_namelen = length;
        header.msg_hdr.msg_iov = mine.as_mut_ptr().cast();
        header.msg_hdr.msg_iovlen = mine.len() as _;
        let mut segment = 0;
        for (vector, bytes) in mine.iter_mut().zip(datagrams) {
            // The kernel only reads what a sent vector points to.
            let iov_base = bytes.as_ptr().cast_mut().cast();
            vector.write(libc::iovec { iov_base, iov_len: bytes.len() });
            segment = segment.max(bytes.len());
        }
        if mine.len() > 1 {
            let segment = u16::try_from(segment).map_err(|_| io::ErrorKind::InvalidInput)?;
            let note = note.write(SegmentNote::new(segment));
            header.msg_hdr.msg_controllen = note.header.cmsg_len;
            header.msg_hdr.msg_control = std::ptr::from_mut(note).cast();
        }
        count += 1;
    }
    if count == 0 {
        return Ok(0);
    }
    // SAFETY: the first `count` headers point to names, notes and as many vectors as they say, all
    // of which were written above and outlive the call; the vectors point to borrowed bytes, which
    // the kernel does not write.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
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

/// There are no messages of several datagrams here: see [`segments`].
#[cfg(not(target_os = "linux"))]
fn send_batch<'a, D: ExactSizeIterator<Item = &'a [u8]>>(
    socket: &UdpSocket,
    messages: impl Iterator<Item = (SocketAddr, D)>,
) -> io::Result<usize> {
    let mut sent = 0;
    for (to, datagrams) in messages.take(BATCH) {
        let result =
            datagrams.into_iter().try_for_each(|bytes| socket.send_to(bytes, to).map(drop));
        match result {
            Ok(()) => sent += 1,
            Err(_) if sent > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_used_and_never_given_back() {
        let before = processor_time().expect("every supported system tells it");
        assert!((1..1_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n)) < 1 << 20);
        assert!(processor_time().expect("as before") > before);
    }

    fn socket() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_batch_arrives_whole_and_in_order_with_its_source() {
        let (from, to) = (socket(), socket());
        let target = to.local_addr().unwrap();
        let payloads: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; usize::from(n) + 1]).collect();
        let mut sent = 0;
        while sent < payloads.len() {
            let rest = payloads[sent..].iter().map(|bytes| (target, bytes.as_slice()));
            sent += send(&from, rest).unwrap();
        }
        let mut received = Received::new();
        let mut all = Vec::new();
        while receive(&to, &mut received, 50).is_ok() {
            assert!(received.len() <= 50);
            for (_, source, bytes) in received.datagrams() {
                assert_eq!(source, from.local_addr().unwrap());
                all.push(bytes.to_vec());
            }
        }
        assert_eq!(all, payloads);
        let error = receive(&to, &mut received, BATCH).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(received.len(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_message_of_several_datagrams_arrives_as_such() {
        let (from, to) = (socket(), socket());
        let target = to.local_addr().unwrap();
        assert!(segments(&from));
        let messages = [vec![[1; 100].as_slice(), &[2; 100], &[3; 40]], vec![&[4; 7]]];
        let given = messages.iter().map(|parts| (target, parts.iter().copied()));
        assert_eq!(send_batch(&from, given).unwrap(), 2);
        let mut received = Received::new();
        receive(&to, &mut received, BATCH).unwrap();
        let all: Vec<_> = received.datagrams().map(|(_, _, bytes)| bytes.to_vec()).collect();
        assert_eq!(all, messages.concat());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn messages_that_do_not_fit_wait_for_the_next_call() {
        let (from, to) = (socket(), socket());
        let target = to.local_addr().unwrap();
        let (count, datagrams) = (VECTORS / 16 + 1, [[5; 10].as_slice(); 16]);
        let given = (0..count).map(|_| (target, datagrams.iter().copied()));
        assert_eq!(send_batch(&from, given).unwrap(), count - 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn datagrams_go_to_addresses_of_both_families() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(from) = UdpSocket::bind(local.parse().unwrap()) else { continue };
            let to = UdpSocket::bind(local.parse().unwrap()).unwrap();
            let address = to.local_addr().unwrap();
            assert_eq!(send(&from, [(address, &b"here"[..])].into_iter()).unwrap(), 1, "{local}");
            let mut received = Received::new();
            receive(&to, &mut received, BATCH).unwrap();
            assert_eq!(received.datagrams().next().unwrap().2, b"here");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn datagrams_that_the_buffer_had_no_room_for_are_told() {
        let (from, to) = (socket(), socket());
        note_overflows(&to).unwrap();
        set_option(&to, libc::SOL_SOCKET, libc::SO_RCVBUF, 2_048).unwrap();
        let target = to.local_addr().unwrap();
        let mut received = Received::new();
        let (mut sent, mut taken, mut overflows) = (0, 0, 0);
        for _ in 0..2 {
            for _ in 0..100 {
                from.send_to(&[7; 500], target).unwrap();
                sent += 1;
            }
            // One more behind those that found no room, because the kernel tells with the next.
            while let Ok(told) = receive(&to, &mut received, BATCH) {
                taken += received.len();
                overflows += told as usize;
            }
            from.send_to(b"next", target).unwrap();
            sent += 1;
            overflows += receive(&to, &mut received, BATCH).unwrap() as usize;
            taken += received.len();
        }
        assert!(overflows > 100, "{overflows}");
        assert_eq!(taken + overflows, sent);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn time_in_the_sockets_buffer_counts_for_a_datagrams_age() {
        let (from, to) = (socket(), socket());
        note_arrivals(&to).unwrap();
        allow_fragments(&to).unwrap();
        let waited = Duration::from_millis(20);
        let mut received = Received::new();
        // The kernel begins to note arrivals some time after it was asked to.
        let found = (0..500).any(|_| {
            from.send_to(b"waits", to.local_addr().unwrap()).unwrap();
            std::thread::sleep(waited);
            receive(&to, &mut received, BATCH).unwrap();
            let (age, _, bytes) = received.datagrams().next().unwrap();
            assert_eq!(bytes, b"waits");
            assert!(age < Duration::from_secs(600), "{age:?}");
            age >= waited
        });
        assert!(found, "ages do not count from the arrival");
    }

    #[test]
    fn a_process_may_open_some_files() {
        assert!(descriptors_max() > 3);
    }
}
