//! Sockets that a service manager opened and passed on (socket activation).
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use lvsp_core::client::VoiceEvent;
use socket2::{Domain, Protocol, Socket, Type};

use common::process::{Directory, Process, lvsp};
use common::{Chat, SECRET, Voice, dial, look, wait_for};

/// As `/proc` shows it.
const O_CLOEXEC: i32 = 0o2_000_000;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sockets as systemd holds them: it keeps its own descriptors while processes come and go.
struct Held {
    control: TcpListener,
    gateway: TcpListener,
    media: UdpSocket,
}

impl Held {
    fn new() -> Self {
        Self { control: tcp(), gateway: tcp(), media: udp() }
    }

    /// What each process is given.
    fn passed(&self) -> Vec<(OwnedFd, &'static str)> {
        vec![
            // The names decide, not the order.
            (self.media.try_clone().unwrap().into(), "media"),
            (self.gateway.try_clone().unwrap().into(), "gateway"),
            (self.control.try_clone().unwrap().into(), "control"),
        ]
    }
}

fn tcp() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// A server that these descriptors are passed on to.
fn activated(passed: Vec<(OwnedFd, &'static str)>) -> Command {
    let names: Vec<_> = passed.iter().map(|(_, name)| *name).collect();
    let mut command = Command::new("sh");
    // The process's own id has to stand in its environment.
    command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" serve", env!("CARGO_BIN_EXE_lvsp-mio")]);
    command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    command.env("LVSP_CONTROL__SECRET", SECRET).env("LVSP_TLS__OFF", "true");
    let descriptors = passed.into_iter().zip(3..);
    let mappings =
        descriptors.map(|((parent_fd, _), child_fd)| FdMapping { parent_fd, child_fd }).collect();
    command.fd_mappings(mappings).unwrap();
    command
}

/// What a server says that refuses to start; it must be the configuration's fault.
fn refusal(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    said
}

fn start(held: &Held, variables: &[(&str, &str)]) -> Process {
    Process::start_as(activated(held.passed()), variables)
}

#[test]
fn calls_go_over_sockets_that_were_passed_on() {
    let held = Held::new();
    let server = start(&held, &[]);
    let addresses = (server.control, server.gateway, server.media);
    let address = |listener: &TcpListener| listener.local_addr().unwrap();
    let media = held.media.local_addr().unwrap();
    assert_eq!(addresses, (address(&held.control), address(&held.gateway), media));
    server.wait_for_log("sockets from the service manager take the place");

    let mut chat = Chat::connect(server.control, SECRET, None);
    let ticket = chat.place(10, None);
    Voice::new(dial(server.gateway), ticket).join();

    for descriptor in 3..6 {
        let path = format!("/proc/{}/fdinfo/{descriptor}", server.id());
        let info = fs::read_to_string(path).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
        assert_ne!(flags & O_CLOEXEC, 0, "{descriptor} would be inherited: {info}");
    }
}

#[test]
fn who_comes_between_two_processes_waits_for_the_second() {
    let held = Held::new();
    let mut first = start(&held, &[("LVSP_DRAIN__SECONDS", "0")]);
    let mut chat = Chat::connect(first.control, SECRET, None);
    let ticket = chat.place(10, None);
    let mut voice = Voice::new(dial(first.gateway), ticket);
    voice.join();
    first.signal("TERM");
    let code = voice.wait("the goodbye", |event| {
        let VoiceEvent::Closed { code } = event else { return None };
        Some(code)
    });
    assert_eq!(code, Some(4015));
    assert_eq!(first.wait().code(), Some(0));

    // Nobody is there, and nobody is refused.
    let mut early = TcpStream::connect(held.gateway.local_addr().unwrap()).unwrap();
    early.write_all(REQUEST).unwrap();
    let second = start(&held, &[]);
    let mut answer = [0; 12];
    early.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 426");
    assert_eq!(second.gateway, first.gateway);
}

#[test]
fn a_socket_that_does_not_fit_is_refused_by_number_name_and_kind() {
    let directory = Directory::new();
    let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
    let v6_only = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    v6_only.set_only_v6(true).unwrap();
    v6_only.bind(&"[::1]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let listener = tcp();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let connected_at = connected.local_addr().unwrap();
    let udp_at = |socket: &UdpSocket| socket.local_addr().unwrap();
    let datagrams = udp();
    let datagrams_at = udp_at(&datagrams);
    let cases: Vec<(usize, &'static str, OwnedFd, String)> = vec![
        (2, "control", datagrams.into(), format!("3, control, is a UDP socket at {datagrams_at}")),
        (2, "control", connected.into(), format!("a TCP socket at {connected_at} that does not")),
        (2, "control", File::open("/dev/null").unwrap().into(), "is no socket".to_owned()),
        (1, "gateway", unix.into(), "gateway, is neither IPv4 nor IPv6".to_owned()),
        (0, "media", tcp().into(), "media, is a TCP socket at 127.0.0.1:".to_owned()),
        (0, "media", v6_only.into(), "for IPv6 alone (BindIPv6Only=both?)".to_owned()),
        (1, "lvsp-mio.socket", tcp().into(), "named \"lvsp-mio.socket\"; File".to_owned()),
    ];
    for (at, name, descriptor, expected) in cases {
        let held = Held::new();
        let mut passed = held.passed();
        passed.remove(at);
        passed.insert(0, (descriptor, name));
        let said = refusal(activated(passed));
        assert!(said.contains(&expected), "{expected} is missing in: {said}");
        assert!(said.contains("sockets from the service manager: descriptor 3"), "{said}");
    }
}

#[test]
fn all_sockets_are_passed_on_or_none() {
    for (missing, expected) in [
        (0, "0 named media, and 1 needed (media.relays)"),
        (1, "0 named gateway, and 1 needed"),
        (2, "0 named control, and 1 needed"),
    ] {
        let held = Held::new();
        let mut passed = held.passed();
        passed.remove(missing);
        let said = refusal(activated(passed));
        assert!(said.contains(expected), "{said}");
    }
    let held = Held::new();
    let mut twice = held.passed();
    twice.push((tcp().into(), "gateway"));
    let said = refusal(activated(twice));
    assert!(said.contains("2 named gateway, and 1 needed"), "{said}");

    let mut relays = activated(held.passed());
    relays.env("LVSP_MEDIA__RELAYS", "2");
    assert!(refusal(relays).contains("1 named media, and 2 needed (media.relays)"));

    let mut names = activated(held.passed());
    names.env("LISTEN_FDNAMES", "control:gateway");
    assert!(refusal(names).contains("LISTEN_FDS and LISTEN_FDNAMES: "));
}

#[test]
fn two_relays_take_their_sockets_in_order() {
    let (held, second) = (Held::new(), udp());
    let mut passed = held.passed();
    passed.push((second.try_clone().unwrap().into(), "media"));
    let server = Process::start_as(activated(passed), &[("LVSP_MEDIA__RELAYS", "2")]);
    assert_eq!(server.media, held.media.local_addr().unwrap());
    // A datagram of nobody is taken from the second one as well.
    let stranger = udp();
    let second_at = second.local_addr().unwrap();
    stranger.send_to(&[0; 20], second_at).unwrap();
    second.set_nonblocking(true).unwrap();
    wait_for("the datagram to be taken", || second.peek(&mut [0; 32]).is_err().then_some(()));
}

#[test]
fn where_passed_sockets_listen_is_checked_like_the_configuration() {
    let mut held = Held::new();
    held.control = TcpListener::bind("0.0.0.0:0").unwrap();
    let said = refusal(activated(held.passed()));
    assert!(said.contains("without TLS the control listener must be on loopback"), "{said}");
    held.control = tcp();
    held.gateway = TcpListener::bind("0.0.0.0:0").unwrap();
    let said = refusal(activated(held.passed()));
    assert!(said.contains("gateway.endpoint is missing"), "{said}");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let mut command = lvsp(&["serve"]);
    command.env("LISTEN_FDS", "3").env("LVSP_CONTROL__SECRET", SECRET).env("LVSP_TLS__OFF", "true");
    let server = Process::start_as(command, &[("LISTEN_PID", "1")]);
    let mut stream = dial(server.gateway);
    stream.write_all(REQUEST).unwrap();
    let answer = wait_for("an answer", || look(&mut stream));
    assert!(answer.starts_with(b"HTTP/1.1 426"));
}
