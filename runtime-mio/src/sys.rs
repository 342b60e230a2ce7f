//! Many datagrams in one system call: `recvmmsg` and `sendmmsg` on Linux, single calls elsewhere.
//!
//! The only file with `unsafe`. Every pointer handed to the kernel points into memory that the
//! function that makes the call has borrowed for its whole length.

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use socket2::{SockAddr, SockAddrStorage};

/// Datagrams in one system call. More gains nothing.
pub(crate) const BATCH: usize = 64;
/// Room for one datagram; a larger one than the core takes is seen as such.
const DATAGRAM_BYTES: usize = 2_048;

/// Memory for one batch of received datagrams, allocated once.
pub(crate) struct Received {
    bytes: Vec<u8>,
    lengths: [usize; BATCH],
    from: [Option<SocketAddr>; BATCH],
    count: usize,
    #[cfg(target_os = "linux")]
    addresses: Vec<SockAddrStorage>,
}

impl Received {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * DATAGRAM_BYTES],
            lengths: [0; BATCH],
            from: [None; BATCH],
            count: 0,
            #[cfg(target_os = "linux")]
            addresses: (0..BATCH).map(|_| SockAddrStorage::zeroed()).collect(),
        }
    }

    /// The datagrams of the last batch and where they came from.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, &mut [u8])> {
        self.bytes
            .chunks_exact_mut(DATAGRAM_BYTES)
            .zip(self.lengths)
            .zip(self.from)
            .take(self.count)
            .filter_map(|((bytes, length), from)| Some((from?, bytes.get_mut(..length)?)))
    }
}

/// Takes up to [`BATCH`] datagrams from a non-blocking socket.
///
/// # Errors
/// `WouldBlock` when there is none, and what else the socket reports.
pub(crate) fn receive(socket: &UdpSocket, into: &mut Received) -> io::Result<()> {
    into.count = 0;
    socket.try_io(|| receive_batch(socket, into))
}

/// Sends datagrams, up to [`BATCH`] at once; how many the socket took.
///
/// # Errors
/// When the first was not taken: `WouldBlock` for a full socket, or what it reports.
pub(crate) fn send<'a>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
) -> io::Result<usize> {
    socket.try_io(|| send_batch(socket, datagrams))
}

#[cfg(target_os = "linux")]
fn receive_batch(socket: &UdpSocket, into: &mut Received) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let mut vectors: [libc::iovec; BATCH] =
        [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
    // SAFETY: `mmsghdr` is plain data for which zeros are valid (null pointers, zero lengths).
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let slots = into.bytes.chunks_exact_mut(DATAGRAM_BYTES).zip(&mut into.addresses);
    for ((header, vector), (bytes, address)) in headers.iter_mut().zip(&mut vectors).zip(slots) {
        vector.iov_base = bytes.as_mut_ptr().cast();
        vector.iov_len = bytes.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
        header.msg_hdr.msg_namelen = address.size_of();
    }
    // SAFETY: each header points to one vector and one address of its own; the vectors point into
    // disjoint parts of `into.bytes`. All of them outlive the call.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            BATCH as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (at, header) in headers.iter().enumerate().take(count) {
        into.lengths[at] = header.msg_len as usize;
        let storage = std::mem::replace(&mut into.addresses[at], SockAddrStorage::zeroed());
        // SAFETY: the kernel wrote an address of this length into the storage.
        let address = unsafe { SockAddr::new(storage, header.msg_hdr.msg_namelen) };
        into.from[at] = address.as_socket();
    }
    into.count = count;
    Ok(())
}

#[cfg(target_os = "linux")]
fn send_batch<'a>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
) -> io::Result<usize> {
    use std::os::fd::AsRawFd;

    let mut addresses: [Option<SockAddr>; BATCH] = [const { None }; BATCH];
    let mut vectors: [libc::iovec; BATCH] =
        [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
    // SAFETY: `mmsghdr` is plain data for which zeros are valid (null pointers, zero lengths).
    let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
    let mut count = 0;
    let slots = headers.iter_mut().zip(&mut vectors).zip(&mut addresses);
    for (((header, vector), slot), (to, bytes)) in slots.zip(datagrams) {
        let address = slot.insert(SockAddr::from(to));
        // The kernel only reads what a sent vector points to.
        vector.iov_base = bytes.as_ptr().cast_mut().cast();
        vector.iov_len = bytes.len();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = address.len();
        count += 1;
    }
    if count == 0 {
        return Ok(0);
    }
    // SAFETY: the first `count` headers point to vectors and addresses that outlive the call; the
    // vectors point to borrowed bytes, which the kernel does not write.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(not(target_os = "linux"))]
fn receive_batch(socket: &UdpSocket, into: &mut Received) -> io::Result<()> {
    for bytes in into.bytes.chunks_exact_mut(DATAGRAM_BYTES) {
        match socket.recv_from(bytes) {
            Ok((length, from)) => {
                into.lengths[into.count] = length;
                into.from[into.count] = Some(from);
                into.count += 1;
            }
            Err(_) if into.count > 0 => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn send_batch<'a>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
) -> io::Result<usize> {
    let mut sent = 0;
    for (to, bytes) in datagrams.take(BATCH) {
        match socket.send_to(bytes, to) {
            Ok(_) => sent += 1,
            Err(_) if sent > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        while receive(&to, &mut received).is_ok() {
            assert!(received.count <= BATCH);
            for (source, bytes) in received.datagrams() {
                assert_eq!(source, from.local_addr().unwrap());
                all.push(bytes.to_vec());
            }
        }
        assert_eq!(all, payloads);
        let error = receive(&to, &mut received).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
