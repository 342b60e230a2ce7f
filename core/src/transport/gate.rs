//! Whole frames out of bytes that arrive in pieces.
//!
//! Here: where a frame ends, and what is held until then. tungstenite sets memory aside for a whole
//! frame as soon as it has read the frame's head; so it is shown a frame when all of it is there,
//! and memory grows only with what was received. Not here: any other rule of frames.
//!
//! Invariant: what is held is less than one frame, and belongs to a message within the limit.

use std::borrow::Cow;

/// The frame that is arriving.
pub(super) struct Gate {
    bytes: Vec<u8>,
    /// Payload of the earlier frames of the same message, which the library holds.
    fragments: usize,
    /// Largest payload of a message.
    limit: usize,
}

/// What the next bytes are.
pub(super) enum GateStep<'a> {
    /// Not a whole frame yet; all input was taken.
    More,
    /// A whole frame.
    Frame(Cow<'a, [u8]>),
    /// The head of a frame that makes its message larger than the limit.
    TooBig,
}

impl Gate {
    pub(super) const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), fragments: 0, limit }
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes of messages that are not complete.
    pub(super) const fn held(&self) -> usize {
        self.bytes.len() + self.fragments
    }

    /// Takes the next whole frame from `input`, or all of it.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> GateStep<'a> {
        if self.bytes.is_empty() {
            return match Head::read(input) {
                Some(head) if self.exceeds(&head) => GateStep::TooBig,
                Some(head) if head.frame_bytes() <= input.len() => {
                    let (frame, rest) = input.split_at(head.frame_bytes());
                    *input = rest;
                    self.note(&head);
                    GateStep::Frame(Cow::Borrowed(frame))
                }
                Some(head) => self.hold(input, input.len(), head.frame_bytes()),
                None => self.hold(input, input.len(), HEAD_BYTES),
            };
        }
        // Byte by byte: what follows the head is not looked at before the head.
        let head = loop {
            match Head::read(&self.bytes) {
                Some(head) => break head,
                None if input.is_empty() => return GateStep::More,
                None => self.hold(input, 1, HEAD_BYTES),
            };
        };
        if self.exceeds(&head) {
            return GateStep::TooBig;
        }
        let missing = head.frame_bytes().saturating_sub(self.bytes.len());
        self.hold(input, missing.min(input.len()), head.frame_bytes());
        if self.bytes.len() < head.frame_bytes() {
            return GateStep::More;
        }
        self.note(&head);
        // Nothing is kept for the next one: an idle connection holds nothing.
        GateStep::Frame(Cow::Owned(std::mem::take(&mut self.bytes)))
    }

    /// Keeps `count` bytes of a frame that will have `frame_bytes`. Memory grows by a quarter, and
    /// not beyond the frame.
    fn hold<'a>(&mut self, input: &mut &[u8], count: usize, frame_bytes: usize) -> GateStep<'a> {
        let (taken, rest) = input.split_at(count);
        *input = rest;
        let needed = self.bytes.len() + count;
        if needed > self.bytes.capacity() {
            let ahead = (needed + needed / 4).max(STEP_BYTES).min(frame_bytes.max(needed));
            self.bytes.reserve_exact(ahead - self.bytes.len());
        }
        self.bytes.extend_from_slice(taken);
        GateStep::More
    }

    const fn exceeds(&self, head: &Head) -> bool {
        let before = if head.is_control { 0 } else { self.fragments };
        head.payload_bytes > self.limit.saturating_sub(before)
    }

    const fn note(&mut self, head: &Head) {
        if !head.is_control {
            self.fragments = if head.is_last { 0 } else { self.fragments + head.payload_bytes };
        }
    }
}

/// What a frame's head says of its length (RFC 6455 section 5.2).
struct Head {
    head_bytes: usize,
    payload_bytes: usize,
    is_last: bool,
    is_control: bool,
}

impl Head {
    /// `None` when the head is not complete.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (extended, payload) = match second & 0x7F {
            126 => {
                let length = bytes.get(2..4)?.try_into().ok()?;
                (2, u64::from(u16::from_be_bytes(length)))
            }
            127 => (8, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
            short => (0, u64::from(short)),
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        Some(Self {
            head_bytes: 2 + extended + mask,
            payload_bytes: usize::try_from(payload).unwrap_or(usize::MAX),
            is_last: first & 0x80 != 0,
            is_control: first & 0x08 != 0,
        })
    }

    const fn frame_bytes(&self) -> usize {
        self.head_bytes.saturating_add(self.payload_bytes)
    }
}

/// The longest head of a frame.
const HEAD_BYTES: usize = 14;
/// What is set aside at least for a frame that is longer.
const STEP_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload lengths of the frames that come out, when `input` is given in such pieces.
    fn frames(gate: &mut Gate, input: &[u8], piece: usize) -> Vec<usize> {
        let mut lengths = Vec::new();
        for mut part in input.chunks(piece) {
            loop {
                match gate.next(&mut part) {
                    GateStep::More => break,
                    GateStep::Frame(frame) => lengths.push(frame.len()),
                    GateStep::TooBig => return vec![usize::MAX],
                }
            }
        }
        lengths
    }

    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload {
            0..=125 => bytes.push(0x80 | payload as u8),
            126..=0xFFFF => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + 4 + payload, 0);
        bytes
    }

    #[test]
    fn frames_come_out_whole_however_they_were_cut() {
        let all = [frame(0x81, 5), frame(0x82, 300), frame(0x89, 0), frame(0x82, 70_000)];
        let lengths: Vec<_> = all.iter().map(Vec::len).collect();
        for piece in [1, 2, 3, 7, 100, 1_000, 100_000] {
            let mut gate = Gate::new(100_000);
            assert_eq!(frames(&mut gate, &all.concat(), piece), lengths, "pieces of {piece}");
            assert_eq!((gate.held(), gate.bytes.capacity()), (0, 0), "pieces of {piece}");
        }
    }

    #[test]
    fn a_message_over_the_limit_is_known_by_the_head_that_makes_it_so() {
        for piece in [1, 1_000] {
            assert_eq!(frames(&mut Gate::new(99), &frame(0x82, 100)[..6], piece), [usize::MAX]);
            let mut gate = Gate::new(1_000);
            assert_eq!(frames(&mut gate, &frame(0x01, 600), piece).len(), 1);
            assert_eq!(gate.held(), 600);
            assert_eq!(frames(&mut gate, &frame(0x89, 100), piece).len(), 1, "no part of it");
            assert_eq!(frames(&mut gate, &frame(0x80, 401)[..8], piece), [usize::MAX]);
        }
    }

    #[test]
    fn memory_grows_with_what_was_received() {
        let mut gate = Gate::new(1 << 20);
        let whole = frame(0x82, 1 << 20);
        for received in 1..60_000 {
            let mut one = &whole[received - 1..received];
            assert!(matches!(gate.next(&mut one), GateStep::More));
            let most = received + received / 4 + 2 * STEP_BYTES;
            assert!(gate.bytes.capacity() <= most, "{received} received");
        }
    }
}
