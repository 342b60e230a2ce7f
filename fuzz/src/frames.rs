//! Frames by RFC 6455: building them, and reading them as a server must.

use lvsp_core::reasons::CloseReason;
use lvsp_core::transport::TransportEvent;

/// Traffic from a description: for each frame its first byte, a byte of shape, and its payload.
///
/// | shape | bits |
/// |---|---|
/// | 0..=5 | length of the payload, up to 63 bytes of the description |
/// | 6 | the payload 64 times over |
/// | 7 | leave the mask out |
///
/// A first byte of 0xFF stands for raw bytes instead of a frame: as many as the shape says.
pub(crate) fn build(mut description: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(([first, shape], rest)) = description.split_first_chunk() {
        let (piece, rest) = rest.split_at(usize::from(shape & 0x3F).min(rest.len()));
        description = rest;
        if *first == 0xFF {
            bytes.extend_from_slice(piece);
            continue;
        }
        let payload = if shape & 0x40 == 0 { piece.to_vec() } else { piece.repeat(64) };
        frame(&mut bytes, *first, &payload, shape & 0x80 == 0);
    }
    bytes
}

fn frame(bytes: &mut Vec<u8>, first: u8, payload: &[u8], masked: bool) {
    let mask_bit = if masked { 0x80 } else { 0 };
    bytes.push(first);
    match payload.len() {
        length @ 0..=125 => bytes.push(mask_bit | length as u8),
        length => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    let mask = if masked { [0x5A, first, 0, 0xFF] } else { [0; 4] };
    bytes.extend(&mask[..if masked { 4 } else { 0 }]);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
}

/// What a server makes of a peer's bytes.
#[derive(Default, Debug)]
pub(crate) struct Peer {
    pub(crate) events: Vec<TransportEvent>,
    /// The answers to its pings.
    pub(crate) pongs: Vec<u8>,
    /// The code of its close frame, or the reasons for which it may be failed.
    pub(crate) end: Option<Result<u16, &'static [CloseReason]>>,
    message: Option<(bool, Vec<u8>)>,
}

/// A broken rule.
const BROKEN: &[CloseReason] = &[CloseReason::WebSocketProtocol];
/// Over the limit, by a frame that may break other rules as well: either reason will do.
const TOO_BIG: &[CloseReason] = &[CloseReason::MessageTooBig, CloseReason::WebSocketProtocol];

impl Peer {
    pub(crate) fn read(mut bytes: &[u8], limit: usize) -> Self {
        let mut peer = Self::default();
        while peer.end.is_none() && peer.read_frame(&mut bytes, limit).is_some() {}
        peer
    }

    /// Reads one frame; `None` when it has not arrived.
    fn read_frame(&mut self, bytes: &mut &[u8], limit: usize) -> Option<()> {
        let ([first, second], rest) = bytes.split_first_chunk()?;
        let (length, rest) = match second & 0x7F {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0F);
        let earlier = self.message.as_ref().filter(|_| opcode < 8).map_or(0, |(_, m)| m.len());
        // Said by the head alone, whatever else is wrong with the frame.
        if length > (limit - earlier) as u64 {
            return self.fail(TOO_BIG);
        }
        let masked = second & 0x80 != 0;
        let (mask, rest) = if masked { rest.split_first_chunk()? } else { (&[0; 4], rest) };
        let reserved = matches!(opcode, 3..=7 | 11..=15);
        let broken =
            reserved || first & 0x70 != 0 || !masked || (opcode >= 8 && (!fin || length > 125));
        let length = usize::try_from(length).ok()?;
        let (payload, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        if broken {
            return self.fail(BROKEN);
        }
        let payload: Vec<u8> =
            payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
        match opcode {
            8 => self.close(&payload),
            9 => {
                self.pongs.extend([0x8A, payload.len() as u8]);
                self.pongs.extend(payload);
                Some(())
            }
            10 => {
                self.events.push(TransportEvent::Pong);
                Some(())
            }
            _ => self.data(opcode, fin, payload),
        }
    }

    fn data(&mut self, opcode: u8, fin: bool, payload: Vec<u8>) -> Option<()> {
        let (is_text, message) = match (self.message.take(), opcode) {
            (Some((is_text, mut message)), 0) => {
                message.extend(payload);
                (is_text, message)
            }
            (None, 1 | 2) => (opcode == 1, payload),
            // A new message inside another, or the rest of none.
            (Some(_), _) | (None, _) => return self.fail(BROKEN),
        };
        if is_text && is_broken(&message, fin) {
            return self.fail(BROKEN);
        }
        if !fin {
            self.message = Some((is_text, message));
        } else if is_text {
            let text = String::from_utf8(message).expect("checked above");
            self.events.push(TransportEvent::Text(text));
        } else {
            self.events.push(TransportEvent::Binary(message.into()));
        }
        Some(())
    }

    fn close(&mut self, payload: &[u8]) -> Option<()> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            if payload.is_empty() {
                self.end = Some(Ok(1_005));
                return Some(());
            }
            return self.fail(BROKEN);
        };
        if std::str::from_utf8(reason).is_err() {
            return self.fail(BROKEN);
        }
        // A code that nobody may send counts as a broken rule.
        let code = u16::from_be_bytes(*code);
        let legal = matches!(code, 1_000..=1_003 | 1_007..=1_013 | 3_000..=4_999);
        self.end = Some(Ok(if legal { code } else { 1_002 }));
        Some(())
    }

    fn fail(&mut self, reasons: &'static [CloseReason]) -> Option<()> {
        self.end = Some(Err(reasons));
        Some(())
    }
}

/// Whether this is no UTF-8, or, before the end, not the beginning of any.
fn is_broken(bytes: &[u8], complete: bool) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| complete || error.error_len().is_some())
}
