//! A forwarder with nothing to it: what the fan-out costs at least with ring and plain sockets.
//!
//! One thread, one socket, one room, AES-256-GCM as in `aead_aes256_gcm_rtpsize`. A member makes
//! itself known by its number and `helo`, and its key is a function of that number. There is no
//! control plane, no check of who speaks, no replay window, no limit: a lower bound, not a product.

use std::net::{SocketAddrV4, UdpSocket};

use anyhow::{Context, Result};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::mmsg::{Inbox, Outbox};

const HEADER_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const COUNTER_BYTES: usize = 4;
const OVERHEAD_BYTES: usize = TAG_BYTES + COUNTER_BYTES;
/// What a member says behind its number.
pub(crate) const HELLO: [u8; 4] = *b"helo";
/// Asked of the kernel, for bursts.
const BUFFER_BYTES: usize = 4 << 20;

struct Member {
    address: SocketAddrV4,
    key: LessSafeKey,
    counter: u32,
}

/// The key of a member.
pub(crate) fn key(number: u32) -> [u8; 32] {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    key
}

/// Serves for ever.
pub(crate) fn serve(listen: SocketAddrV4) -> Result<()> {
    let socket = UdpSocket::bind(listen).with_context(|| format!("--listen {listen}"))?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(BUFFER_BYTES)?;
    options.set_send_buffer_size(BUFFER_BYTES)?;
    let mut forwarder = Forwarder {
        members: Vec::new(),
        by_port: vec![None; usize::from(u16::MAX) + 1],
        outbox: Outbox::new(),
        socket,
    };
    let mut inbox = Inbox::new();
    crate::contest::say(&format!("ready: {listen}"))?;
    loop {
        for at in 0..inbox.receive(&forwarder.socket)? {
            let (packet, from) = inbox.datagram(at);
            forwarder.handle(packet, from);
        }
        forwarder.outbox.send(&forwarder.socket);
    }
}

struct Forwarder {
    members: Vec<Member>,
    /// All members are on one host, so a port is one member's.
    by_port: Vec<Option<usize>>,
    outbox: Outbox,
    socket: UdpSocket,
}

impl Forwarder {
    fn handle(&mut self, packet: &mut [u8], from: SocketAddrV4) {
        let known = &mut self.by_port[usize::from(from.port())];
        let Some(sender) = *known else {
            if let Some(member) = greet(packet, from) {
                *known = Some(self.members.len());
                self.members.push(member);
            }
            return;
        };
        let Some(plain) = open(&self.members[sender].key, packet) else { return };
        let clear = &packet[..plain];
        for (at, member) in self.members.iter_mut().enumerate() {
            if at == sender {
                continue;
            }
            self.outbox.push(member.address, |slot| seal(member, clear, slot));
            if self.outbox.is_full() {
                self.outbox.send(&self.socket);
            }
        }
    }
}

/// Who says hello.
fn greet(packet: &[u8], address: SocketAddrV4) -> Option<Member> {
    let (number, rest) = packet.split_first_chunk()?;
    let key = UnboundKey::new(&AES_256_GCM, &key(u32::from_le_bytes(*number))).ok()?;
    let key = LessSafeKey::new(key);
    (*rest == HELLO).then_some(Member { address, key, counter: 0 })
}

fn nonce(counter: [u8; COUNTER_BYTES]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..COUNTER_BYTES].copy_from_slice(&counter);
    Nonce::assume_unique_for_key(nonce)
}

/// Opens a packet in place; the length of header and plaintext.
fn open(key: &LessSafeKey, packet: &mut [u8]) -> Option<usize> {
    let (rest, counter) = packet.split_last_chunk_mut::<COUNTER_BYTES>()?;
    let (header, sealed) = rest.split_at_mut_checked(HEADER_BYTES)?;
    let plain = key.open_in_place(nonce(*counter), Aad::from(&*header), sealed).ok()?;
    Some(HEADER_BYTES + plain.len())
}

/// Writes a copy for a member; its length.
fn seal(member: &mut Member, clear: &[u8], slot: &mut [u8]) -> usize {
    member.counter = member.counter.wrapping_add(1);
    let counter = member.counter.to_le_bytes();
    let length = clear.len() + OVERHEAD_BYTES;
    let Some(packet) = slot.get_mut(..length) else { return 0 };
    packet[..clear.len()].copy_from_slice(clear);
    let (header, body) = packet.split_at_mut(HEADER_BYTES);
    let (body, suffix) = body.split_at_mut(clear.len() - HEADER_BYTES);
    let tag = member.key.seal_in_place_separate_tag(nonce(counter), Aad::from(&*header), body);
    let Ok(tag) = tag else { return 0 };
    suffix[..TAG_BYTES].copy_from_slice(tag.as_ref());
    suffix[TAG_BYTES..].copy_from_slice(&counter);
    length
}
