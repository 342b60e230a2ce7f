//! Whether a server is well, by its own admin plane: for containers and packages, which bring no
//! program that could ask over HTTP.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a step may take. An event loop that stands still answers nothing.
const PATIENCE: Duration = Duration::from_secs(3);
/// More of an answer is not read.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Asks `/livez` at this address of `admin.listen`.
///
/// # Errors
/// When nobody answers there, or the answer is that the server is not well: with its words.
pub fn ask(listen: SocketAddr) -> Result<()> {
    get(listen, "/livez").map(drop)
}

/// Asks for a path at this address of `admin.listen`; the body of the answer.
///
/// # Errors
/// The same.
pub(crate) fn get(listen: SocketAddr, path: &str) -> Result<String> {
    let address = SocketAddr::new(reachable(listen.ip()), listen.port());
    let answer = exchange(address, path).with_context(|| {
        format!(
            "no answer at admin.listen = {listen}: is the server running, with this configuration?"
        )
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        let first = body.trim().lines().next().unwrap_or_default();
        bail!("{address} says that the server is not well: {status} {first}");
    }
    Ok(body.to_owned())
}

/// The address to dial for one that is listened on.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

fn exchange(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: who has read enough to answer may close before the next one comes.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What is made of an answer.
    fn made_of(answer: &'static str) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4_096];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        // As it is configured in a container.
        let verdict = ask(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
        server.join().unwrap();
        verdict
    }

    #[test]
    fn a_server_is_well_if_it_says_so() {
        made_of("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n").unwrap();
        let unwell = made_of("HTTP/1.1 503 Service Unavailable\r\n\r\nthreads stand still\n");
        let unwell = format!("{:#}", unwell.unwrap_err());
        assert!(unwell.ends_with("not well: 503 threads stand still"), "{unwell}");
        assert!(made_of("").is_err() && made_of("nonsense").is_err());
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let said = format!("{:#}", ask(address).unwrap_err());
        assert!(said.contains(&format!("admin.listen = {address}")), "{said}");
    }
}
