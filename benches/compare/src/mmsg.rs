//! `recvmmsg` and `sendmmsg` with everything they need allocated once: the cheapest way there is to
//! move datagrams through plain sockets, for [`crate::forwarder`] and [`crate::senders`].
//!
//! The only file of this crate with `unsafe`. Headers point to vectors, vectors to buffers, and all
//! of them live in boxes that are neither moved nor resized.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

/// Datagrams in one system call.
pub(crate) const BATCH: usize = 64;
/// Room for one datagram.
const SLOT_BYTES: usize = 2_048;

/// Datagrams with their addresses, and what the kernel wants to see of them.
struct Slots {
    bytes: Box<[u8]>,
    addresses: Box<[libc::sockaddr_in]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Slots {
    fn new() -> Self {
        let mut bytes = vec![0; BATCH * SLOT_BYTES].into_boxed_slice();
        // SAFETY: both are plain data for which zeros are valid.
        let (address, header): (libc::sockaddr_in, libc::mmsghdr) = unsafe { std::mem::zeroed() };
        let mut addresses = vec![address; BATCH].into_boxed_slice();
        let vector = |slot: &mut [u8]| libc::iovec {
            iov_base: slot.as_mut_ptr().cast(),
            iov_len: slot.len(),
        };
        let mut vectors: Box<[_]> = bytes.chunks_exact_mut(SLOT_BYTES).map(vector).collect();
        let mut headers = vec![header; BATCH].into_boxed_slice();
        for ((header, vector), address) in headers.iter_mut().zip(&mut vectors).zip(&mut addresses)
        {
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(address).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        Self { bytes, addresses, vectors, headers }
    }
}

/// Datagrams that were received.
pub(crate) struct Inbox(Slots);

impl Inbox {
    pub(crate) fn new() -> Self {
        Self(Slots::new())
    }

    /// Waits for a datagram and takes what else is there; how many.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let Self(Slots { headers, .. }) = self;
        // SAFETY: each header points to one vector and one address, each vector to one slot, all of
        // them in boxes of this structure, which is borrowed for the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// A datagram of the last batch, and where it came from.
    pub(crate) fn datagram(&mut self, at: usize) -> (&mut [u8], SocketAddrV4) {
        let Self(Slots { bytes, addresses, headers, .. }) = self;
        let libc::sockaddr_in { sin_addr, sin_port, .. } = addresses[at];
        let from = SocketAddrV4::new(u32::from_be(sin_addr.s_addr).into(), u16::from_be(sin_port));
        let length = (headers[at].msg_len as usize).min(SLOT_BYTES);
        (&mut bytes[at * SLOT_BYTES..][..length], from)
    }
}

/// Datagrams to send.
pub(crate) struct Outbox {
    slots: Slots,
    count: usize,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { slots: Slots::new(), count: 0 }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// Adds a datagram that `write` writes and gives the length of. There must be room for it.
    pub(crate) fn push(&mut self, to: SocketAddrV4, write: impl FnOnce(&mut [u8]) -> usize) {
        let Slots { bytes, addresses, vectors, .. } = &mut self.slots;
        let slot = &mut bytes[self.count * SLOT_BYTES..][..SLOT_BYTES];
        vectors[self.count].iov_len = write(slot).min(SLOT_BYTES);
        let address = &mut addresses[self.count];
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = to.port().to_be();
        address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
        self.count += 1;
    }

    /// Sends them all; what the socket refuses is passed over. How many were sent.
    pub(crate) fn send(&mut self, socket: &UdpSocket) -> usize {
        let (mut at, mut sent) = (0, 0);
        while at < self.count {
            let rest = &mut self.slots.headers[at..self.count];
            // SAFETY: as for receiving; the kernel only reads what a sent vector points to.
            let count = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            };
            match usize::try_from(count) {
                Ok(count) if count > 0 => (at, sent) = (at + count, sent + count),
                _ => at += 1,
            }
        }
        self.count = 0;
        sent
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic: that is its verdict")]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives_with_its_source() {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = |socket: &UdpSocket| match socket.local_addr().unwrap() {
            std::net::SocketAddr::V4(address) => address,
            std::net::SocketAddr::V6(_) => panic!("bound to IPv4"),
        };
        let (from, to) = (socket(), socket());
        let mut outbox = Outbox::new();
        for round in 1..=2u8 {
            while !outbox.is_full() {
                let length = outbox.count + 1;
                outbox.push(address(&to), |slot| {
                    slot[..length].fill(round);
                    length
                });
            }
            assert_eq!(outbox.send(&from), BATCH);
            let mut inbox = Inbox::new();
            let mut lengths = Vec::new();
            while lengths.len() < BATCH {
                for at in 0..inbox.receive(&to).unwrap() {
                    let (bytes, source) = inbox.datagram(at);
                    assert!(bytes.iter().all(|byte| *byte == round));
                    assert_eq!(source, address(&from));
                    lengths.push(bytes.len());
                }
            }
            assert_eq!(lengths, (1..=BATCH).collect::<Vec<_>>());
        }
    }
}
