//! Sending many messages at once, each of one or more datagrams to one address.

use std::io;
use std::net::SocketAddr;

use lvsp_core::media::Flights;
use mio::net::UdpSocket;

use super::BATCH;

/// Sends datagrams, up to [`BATCH`] at once; how many the socket took.
///
/// # Errors
/// When the first was not taken: `WouldBlock` for a full socket, or what it reports.
#[cfg(test)]
pub(super) fn send<'a>(
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

/// Datagrams in all messages of one system call: a message of several has a vector for each.
#[cfg(target_os = "linux")]
pub(super) const VECTORS: usize = 4 * BATCH;

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
pub(super) fn send_batch<'a, D: ExactSizeIterator<Item = &'a [u8]>>(
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

/// There are no messages of several datagrams here: see [`segments`].
#[cfg(not(target_os = "linux"))]
pub(super) fn send_batch<'a, D: ExactSizeIterator<Item = &'a [u8]>>(
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
