//! Two voice clients in a room that was made over HTTP: they talk, one is muted, the room ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lvsp_tokio::lvsp_core::client::{Role as _, Ticket, VoiceClient, VoiceEvent};
use lvsp_tokio::lvsp_core::command::Secret;
use lvsp_tokio::lvsp_core::crypto::mode::Mode;
use lvsp_tokio::lvsp_core::entropy::SeededEntropy;
use lvsp_tokio::lvsp_core::ids::UserId;
use lvsp_tokio::lvsp_core::time::Timestamp;
use lvsp_tokio::lvsp_core::wire::gateway::Version;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

use crate::Failure;

const FRAMES: u8 = 50;
const FRAME: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

/// The whole call.
pub async fn call(http: SocketAddr) -> Result<(), Failure> {
    expect(http, "PUT", "/rooms/7", r#"{"bitrate": 96000}"#, 204).await?;
    let mut ann = Caller::join(http, 1).await?;
    let mut bob = Caller::join(http, 2).await?;
    let heard = ann.talk_to(&mut bob).await?;
    if heard != FRAMES {
        return Err(format!("{heard} of {FRAMES} frames were heard").into());
    }
    expect(http, "PATCH", "/rooms/7/members/1", r#"{"mute": true}"#, 204).await?;
    let heard = ann.talk_to(&mut bob).await?;
    if heard != 0 {
        return Err(format!("{heard} frames of somebody muted were heard").into());
    }
    let why = expect(http, "GET", "/rooms/7/why/1/2", "", 200).await?;
    if !why["summary"].as_str().is_some_and(|summary| summary.starts_with("Not heard (mute)")) {
        return Err(format!("that the speaker is muted was to be said: {why}").into());
    }
    expect(http, "GET", "/rooms/7/why/1/9", "", 404).await?;
    expect(http, "PATCH", "/rooms/7/members/9", r#"{"mute": true}"#, 409).await?;
    expect(http, "PUT", "/rooms/0", "", 400).await?;
    let stats = expect(http, "GET", "/stats", "", 200).await?;
    if stats["sessions"] != 2 || stats["rooms"] != 1 {
        return Err(format!("two sessions in one room were to be counted: {stats}").into());
    }
    expect(http, "DELETE", "/rooms/7", "", 204).await?;
    bob.until(|event| matches!(event, VoiceEvent::Closed { code: Some(4022) })).await
}

/// One request, whose answer has to have this status.
async fn expect(
    server: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
    status: u16,
) -> Result<Value, Failure> {
    let mut stream = TcpStream::connect(server).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer without a head")?;
    if head.split(' ').nth(1) != Some(&status.to_string()) {
        return Err(format!("{method} {path}: {head} and not {status}").into());
    }
    Ok(serde_json::from_str(body).unwrap_or_default())
}

/// A voice client on Tokio's sockets.
struct Caller {
    role: VoiceClient,
    link: TcpStream,
    udp: UdpSocket,
    start: Instant,
}

impl Caller {
    /// Asks for a ticket, connects, and waits for a key.
    async fn join(http: SocketAddr, user: u64) -> Result<Self, Failure> {
        let path = format!("/rooms/7/members/{user}");
        let placed = expect(http, "PUT", &path, "", 200).await?;
        let text = |key: &str| placed[key].as_str().ok_or("a ticket is incomplete");
        let ticket = Ticket {
            server_id: text("server_id")?.parse()?,
            user: UserId::new(user).ok_or("an id of zero")?,
            session_id: Secret::from(text("session_id")?),
            token: Secret::from(text("token")?),
        };
        let version = Version::new(8).ok_or("no such version")?;
        // Only the server's randomness has to be good: a client draws nothing secret.
        let entropy = &mut SeededEntropy::new(user);
        let mode = Mode::Aes256GcmRtpSize;
        let mut caller = Self {
            role: VoiceClient::connect(ticket, version, mode, None, "localhost", entropy)?,
            link: TcpStream::connect(text("endpoint")?).await?,
            udp: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            start: Instant::now(),
        };
        caller.until(|event| matches!(event, VoiceEvent::Connected { .. })).await?;
        Ok(caller)
    }

    /// Goes on until something happens.
    async fn until(&mut self, wanted: impl Fn(&VoiceEvent) -> bool) -> Result<(), Failure> {
        let waiting = async {
            loop {
                let event = self.next().await?;
                if wanted(&event) {
                    return Ok(());
                }
                if let VoiceEvent::Closed { code } = event {
                    return Err(format!("closed: {code:?}").into());
                }
            }
        };
        timeout(PATIENCE, waiting).await.map_err(|_| "nothing happened for too long")?
    }

    /// The next event; meanwhile everything is carried that there is to carry.
    async fn next(&mut self) -> Result<VoiceEvent, Failure> {
        let (mut bytes, mut datagram) = ([0; 4_096], [0; 2_048]);
        loop {
            self.write().await?;
            if let Some(event) = self.role.poll_event() {
                return Ok(event);
            }
            let due = self.role.poll_timeout().unwrap_or(Timestamp::MAX).since(self.now());
            tokio::select! {
                read = self.link.read(&mut bytes) => match read? {
                    0 => self.role.handle_eof(self.now()),
                    length => self.role.handle_bytes(self.now(), &bytes[..length]),
                },
                received = self.udp.recv(&mut datagram) => {
                    self.role.handle_datagram(&mut datagram[..received?]);
                }
                () = sleep(due.min(PATIENCE)) => {}
            }
            self.role.handle_timeout(self.now());
        }
    }

    async fn write(&mut self) -> Result<(), Failure> {
        while !self.role.outbound().is_empty() {
            let written = self.link.write(self.role.outbound()).await?;
            self.role.consume(written);
        }
        while let Some((to, datagram)) = self.role.poll_transmit() {
            self.udp.send_to(&datagram, to).await?;
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }

    /// Says some frames; how many of them the other heard.
    async fn talk_to(&mut self, other: &mut Self) -> Result<u8, Failure> {
        let mut heard = 0;
        for number in 0..FRAMES {
            self.role.send_frame(&[0xFC, number]);
            self.write().await?;
            let until = Instant::now() + FRAME;
            while let Ok(event) = tokio::time::timeout_at(until, other.next()).await {
                if let VoiceEvent::Frame(frame) = event? {
                    heard += u8::from(frame.payload[0] == 0xFC);
                }
            }
        }
        Ok(heard)
    }
}
