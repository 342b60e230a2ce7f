//! The two ends of a stream that is memory.
//!
//! Here: [`Pipe`], which libraries read and write instead of a socket, and [`Outbound`], the bytes
//! that wait for the TCP connection. Not here: what the bytes mean.
//!
//! Invariant: an empty pipe says `WouldBlock` and never end of file, so that "no more bytes yet"
//! and "the peer has gone" cannot be confused; writing never fails.

use std::io::{self, ErrorKind, Read, Write};

/// A stream over a slice of input and a vector of output.
pub(super) struct Pipe<'a, 'b> {
    /// What has not been read yet.
    pub(super) input: &'a mut &'b [u8],
    /// Where writes are appended.
    pub(super) output: &'a mut Vec<u8>,
}

impl Read for Pipe<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that wait to be written to the TCP connection, consumed from the front.
///
/// Moving the rest to the front is put off until an eighth of the buffer is consumed: a slow reader
/// that takes one byte at a time costs a constant for each byte. Memory is what is counted against
/// the limits, so it follows what waits: a quarter more at most, and 1 KiB.
#[derive(Default)]
pub(super) struct Outbound {
    bytes: Vec<u8>,
    start: usize,
}

impl Outbound {
    /// What waits.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The vector to append to. Nothing else may be done with it.
    pub(super) const fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Drops the first `count` waiting bytes, or all when there are fewer.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        if self.start * 8 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.fit();
    }

    /// Memory that is set aside, in bytes.
    pub(super) const fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back what is set aside and not needed soon. After anything was appended or consumed.
    pub(super) fn fit(&mut self) {
        let most = self.bytes.len() + self.bytes.len() / 4 + KEPT_BYTES;
        if self.bytes.capacity() > most {
            self.bytes.shrink_to(self.bytes.len() + self.bytes.len() / 8);
        }
    }
}

/// Capacity that an idle connection keeps. A constant and not a limit: no peer can exhaust it.
const KEPT_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_pipe_would_block_and_is_not_at_its_end() {
        let (mut input, mut output) = (&b"ab"[..], Vec::new());
        let mut pipe = Pipe { input: &mut input, output: &mut output };
        let mut buffer = [0; 8];
        assert_eq!(pipe.read(&mut buffer).unwrap(), 2);
        assert_eq!(pipe.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        pipe.write_all(b"cd").unwrap();
        assert_eq!(output, b"cd");
    }

    #[test]
    fn bytes_leave_in_order_whatever_the_sizes_taken() {
        for size in 1..20 {
            let mut outbound = Outbound::default();
            let mut taken = Vec::new();
            for round in 0..50_u8 {
                outbound.tail().extend_from_slice(&[round; 10]);
                let part = outbound.waiting().len().min(size);
                taken.extend_from_slice(&outbound.waiting()[..part]);
                outbound.consume(part);
            }
            taken.extend_from_slice(outbound.waiting());
            outbound.consume(usize::MAX);
            assert!(outbound.waiting().is_empty());
            let expected: Vec<u8> = (0..50).flat_map(|round| [round; 10]).collect();
            assert_eq!(taken, expected, "taken {size} at a time");
        }
    }

    #[test]
    fn a_drained_outbound_gives_its_memory_back() {
        let mut outbound = Outbound::default();
        outbound.tail().resize(1_000_000, 0);
        outbound.consume(1_000_000);
        assert!(outbound.held() <= KEPT_BYTES);
    }

    #[test]
    fn memory_follows_what_waits() {
        let mut outbound = Outbound::default();
        for round in 0..4_000_usize {
            outbound.tail().extend_from_slice(&[0; 700]);
            outbound.fit();
            outbound.consume(round % 1_100);
            let waiting = outbound.waiting().len();
            // An eighth that is consumed may still be there.
            let most = waiting + waiting / 2 + 2 * KEPT_BYTES;
            assert!(outbound.held() <= most, "{} for {waiting}", outbound.held());
        }
    }
}
