//! Mumble's packets over UDP: the encrypted frame around, and the voice packet within.
//!
//! ```text
//! first byte of the nonce 1 | first bytes of the tag 3 | sealed
//! type and target 1 | session (from the server only) | sequence | length | Opus
//! ```

use super::ocb2::Ocb2;

/// In front of what is sealed.
const HEAD_BYTES: usize = 4;
const PING: u8 = 1 << 5;
const OPUS: u8 = 4 << 5;
const TYPE: u8 = 0b1110_0000;

/// What CryptSetup gives a client: a key, and where the nonces of both directions begin.
pub(super) struct Crypt {
    cipher: Ocb2,
    sending: u128,
    receiving: u128,
}

impl Crypt {
    pub(super) fn new(key: &[u8; 16], client: &[u8; 16], server: &[u8; 16]) -> Self {
        // The first byte counts fastest.
        let number = |nonce: &[u8; 16]| u128::from_le_bytes(*nonce);
        Self { cipher: Ocb2::new(key), sending: number(client), receiving: number(server) }
    }

    /// Seals `plain` into `packet`.
    pub(super) fn seal(&mut self, plain: &[u8], packet: &mut Vec<u8>) {
        self.sending = self.sending.wrapping_add(1);
        packet.clear();
        packet.resize(HEAD_BYTES, 0);
        packet.extend_from_slice(plain);
        let (head, text) = packet.split_at_mut(HEAD_BYTES);
        let tag = self.cipher.seal(self.sending.swap_bytes(), text);
        head.copy_from_slice(&[self.sending as u8, tag[0], tag[1], tag[2]]);
    }

    /// Opens a packet in place; `None` for one that does not belong here.
    pub(super) fn open<'a>(&mut self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        let (head, text) = packet.split_at_mut_checked(HEAD_BYTES)?;
        // The packet names the lowest byte of its nonce, which is near the last one.
        let ahead = head[0].wrapping_sub(self.receiving as u8).cast_signed();
        let nonce = self.receiving.wrapping_add_signed(ahead.into());
        let tag = self.cipher.open(nonce.swap_bytes(), text);
        if tag[..3] != head[1..] {
            return None;
        }
        self.receiving = if ahead > 0 { nonce } else { self.receiving };
        Some(text)
    }
}

/// A packet that makes the server learn a client's address.
pub(super) fn ping(plain: &mut Vec<u8>) {
    plain.clear();
    plain.extend_from_slice(&[PING, 1]);
}

/// A voice packet with one Opus frame, for everybody in the channel.
pub(super) fn voice(sequence: u64, opus: &[u8], plain: &mut Vec<u8>) {
    plain.clear();
    plain.push(OPUS);
    write_number(sequence, plain);
    write_number(opus.len() as u64, plain);
    plain.extend_from_slice(opus);
}

/// The Opus frame in a voice packet from the server.
pub(super) fn opus(plain: &[u8]) -> Option<&[u8]> {
    let (kind, rest) = plain.split_first()?;
    if kind & TYPE != OPUS {
        return None;
    }
    let (_session, rest) = read_number(rest)?;
    let (_sequence, rest) = read_number(rest)?;
    let (length, rest) = read_number(rest)?;
    // A bit above the length says that this is the last frame of a talk.
    rest.get(..usize::try_from(length & 0x1FFF).ok()?)
}

/// Mumble's numbers of varying length: the leading ones of the first byte say how many follow.
fn write_number(number: u64, into: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    match number {
        0..0x80 => into.push(bytes[7]),
        0x80..0x4000 => into.extend_from_slice(&[0x80 | bytes[6], bytes[7]]),
        0x4000..0x20_0000 => into.extend_from_slice(&[0xC0 | bytes[5], bytes[6], bytes[7]]),
        _ => {
            into.push(0xF0);
            into.extend_from_slice(&bytes[4..]);
        }
    }
}

fn read_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, high) = match first {
        0..0x80 => (0, *first),
        0x80..0xC0 => (1, first & 0x3F),
        0xC0..0xE0 => (2, first & 0x1F),
        0xE0..0xF0 => (3, first & 0x0F),
        0xF0 => (4, 0),
        _ => return None,
    };
    let (low, rest) = rest.split_at_checked(length)?;
    let number = low.iter().fold(u64::from(high), |number, byte| number << 8 | u64::from(*byte));
    Some((number, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic: that is its verdict")]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_in_their_shortest_form() {
        let cases = [(0, 1), (0x7F, 1), (0x80, 2), (0x3FFF, 2), (0x4000, 3), (0x1F_FFFF, 3)];
        for (number, length) in cases.into_iter().chain([(0x20_0000, 5), (u32::MAX.into(), 5)]) {
            let mut bytes = Vec::new();
            write_number(number, &mut bytes);
            assert_eq!(bytes.len(), length, "{number:x}");
            bytes.push(9);
            assert_eq!(read_number(&bytes), Some((number, &[9][..])), "{number:x}");
        }
        assert_eq!(read_number(&[0xE1, 2, 3, 4]), Some((0x0102_0304, &[][..])));
        assert_eq!(read_number(&[0x80]), None);
    }

    /// A packet as the server passes it on: with the speaker's session.
    fn from_server(frame: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        voice(300, frame, &mut plain);
        plain.splice(1..1, [0x80, 0xC8]);
        plain
    }

    #[test]
    fn a_servers_voice_packet_holds_the_frame() {
        assert_eq!(opus(&from_server(&[7; 200])), Some(&[7; 200][..]));
        assert_eq!(opus(&from_server(&[7; 200])[..150]), None);
        assert_eq!(opus(&[PING, 1]), None);
    }

    #[test]
    fn packets_open_in_any_near_order_and_each_nonce_is_new() {
        let (key, a, b) = ([1; 16], [0xFE; 16], [3; 16]);
        let (mut client, mut server) = (Crypt::new(&key, &a, &b), Crypt::new(&key, &b, &a));
        let mut packets: Vec<Vec<u8>> = Vec::new();
        for number in 0..600u16 {
            let mut packet = Vec::new();
            client.seal(&number.to_be_bytes(), &mut packet);
            packets.push(packet);
        }
        packets.swap(100, 101);
        packets.drain(300..400);
        for packet in &mut packets {
            assert!(server.open(packet).is_some());
        }
        packets[0][5] ^= 1;
        assert!(server.open(&mut packets[0].clone()).is_none());
    }
}
