//! TCP connections: their options, and what became of one read or write.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How a read or write ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// So many bytes; there may be more.
    Bytes(usize),
    /// Nothing for now.
    Blocked,
    /// The peer sends no more. It may still read.
    HalfClosed,
    /// The connection is broken.
    Broken,
}

/// Reads once, by an operation that does not wait; an interrupted one is repeated.
pub fn read(operation: impl FnMut() -> io::Result<usize>) -> Progress {
    let progress = settle(operation);
    if progress == Progress::Bytes(0) { Progress::HalfClosed } else { progress }
}

/// Writes once, by an operation that does not wait; an interrupted one is repeated.
pub fn write(operation: impl FnMut() -> io::Result<usize>) -> Progress {
    settle(operation)
}

fn settle(mut operation: impl FnMut() -> io::Result<usize>) -> Progress {
    loop {
        match operation() {
            Ok(count) => return Progress::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Blocked,
            Err(_) => return Progress::Broken,
        }
    }
}

/// Small messages leave at once, and a peer that is gone is noticed within a minute.
///
/// # Errors
/// When the operating system refuses one of the options. The connection works without them.
pub fn configure<'s>(stream: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = stream.into();
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_end_is_no_error_and_an_interruption_is_no_end() {
        let outcomes = |kind: Option<ErrorKind>| {
            let mut answers = vec![kind.map_or(Ok(0), |kind| Err(kind.into()))];
            answers.push(Err(ErrorKind::Interrupted.into()));
            let mut operation = || answers.pop().unwrap_or(Ok(7));
            read(&mut operation)
        };
        assert_eq!(outcomes(None), Progress::HalfClosed);
        assert_eq!(outcomes(Some(ErrorKind::WouldBlock)), Progress::Blocked);
        assert_eq!(outcomes(Some(ErrorKind::ConnectionReset)), Progress::Broken);
        assert_eq!(read(|| Ok(7)), Progress::Bytes(7));
        assert_eq!(write(|| Ok(0)), Progress::Bytes(0), "nothing was to be written");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_silent_peer_is_asked_and_given_up_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        configure(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }
}
