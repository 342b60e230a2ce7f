//! The admin plane of a running server, asked over HTTP while real clients talk.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lvsp_core::client::VoiceEvent;
use lvsp_core::limits::Limits;
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;
use lvsp_mio::admin::{Admin, AdminThread};
use lvsp_mio::config::AdminSection;
use lvsp_mio::{Options, Runtime, StopHandle, TurnStats};
use serde_json::Value;

use common::process::{Process, lvsp};
use common::{CHANNEL, Chat, SECRET, Voice, Way, dial, options, wait_for};

/// A server in this process with its admin plane.
struct Site {
    admin: SocketAddr,
    gateway: SocketAddr,
    chat: Chat,
    stop: StopHandle,
    served: Option<JoinHandle<std::io::Result<TurnStats>>>,
    _plane: AdminThread,
}

fn plane(runtime: &Runtime) -> (SocketAddr, AdminThread) {
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let section = AdminSection { listen, ..AdminSection::default() };
    let admin = Admin::bind(&section).unwrap().unwrap();
    (admin.address(), admin.serve(runtime.observer(), None).unwrap())
}

impl Site {
    fn new() -> Self {
        Self::with(options(None))
    }

    fn with(options: Options) -> Self {
        let runtime = Runtime::bind(options).unwrap();
        let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
        let (stop, (admin, plane)) = (runtime.stop_handle(), plane(&runtime));
        let served = thread::spawn(|| runtime.run());
        let chat = Chat::connect(control, SECRET, None);
        Self { admin, gateway, chat, stop, served: Some(served), _plane: plane }
    }

    /// A voice client that has not begun to join.
    fn client(&mut self, user: u64) -> Voice<TcpStream> {
        let ticket = self.chat.place(user, None);
        Voice::new(dial(self.gateway), ticket)
    }

    fn joined(&mut self, user: u64) -> Voice<TcpStream> {
        let mut client = self.client(user);
        client.join();
        client
    }

    fn json(&self, path: &str) -> Value {
        let answer = get(self.admin, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect(&answer.body)
    }

    /// The member of a user.
    fn member(&self, user: u64) -> Value {
        let members = self.json("/v1/members");
        let mut members = members["members"].as_array().unwrap().clone();
        let user = user.to_string();
        members.retain(|member| member["user_id"] == user.as_str());
        assert_eq!(members.len(), 1, "{members:?}");
        members.remove(0)
    }

    fn id(&self, user: u64) -> String {
        self.member(user)["id"].as_str().unwrap().to_owned()
    }

    fn explain(&self, speaker: u64, listener: u64) -> Value {
        let (speaker, listener) = (self.id(speaker), self.id(listener));
        self.json(&format!("/v1/explain?speaker={speaker}&listener={listener}"))
    }

    /// Talks until the explanation's first bad step is this one and says this.
    fn expect(
        &self,
        clients: &mut [&mut Voice<TcpStream>],
        (speaker, listener): (u64, u64),
        (step, said): (&str, &str),
    ) {
        let mut last = Value::Null;
        let mut found = |last: &mut Value| {
            for client in &mut *clients {
                client.role.send_frame(b"a frame");
                client.carry();
            }
            *last = self.explain(speaker, listener);
            let steps = last["steps"].as_array().unwrap();
            let bad = steps.iter().find(|step| step["ok"] == false)?;
            let is_it = bad["name"] == step && bad["detail"].as_str().unwrap().contains(said);
            is_it.then_some(())
        };
        wait_for(step, || found(&mut last));
        assert_eq!(last["audible"], false);
        assert!(last["summary"].as_str().unwrap().contains(said), "{last}");
    }

    /// Talks until everything is as it must be.
    fn expect_audible(&self, talker: &mut Voice<TcpStream>, (speaker, listener): (u64, u64)) {
        wait_for("an audible speaker", || {
            talker.role.send_frame(b"a frame");
            talker.carry();
            let explanation = self.explain(speaker, listener);
            let steps = explanation["steps"].as_array().unwrap();
            let is_good = steps.iter().all(|step| step["ok"] != false);
            (explanation["audible"] == true && is_good).then_some(())
        });
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.served.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
    bytes: Vec<u8>,
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
}

/// One request of HTTP/1.0, whose answer ends with the connection.
fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let bytes = bytes.split_off(end + 4);
    let status = head.split(' ').nth(1).expect("a status").parse().unwrap();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status, head, body, bytes }
}

/// The samples of `/metrics`, by name and labels.
fn figures(address: SocketAddr) -> std::collections::BTreeMap<String, f64> {
    let answer = get(address, "/metrics");
    assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect(line);
        (name.to_owned(), value.parse().expect(line))
    });
    samples.collect()
}

#[test]
fn figures_grow_while_two_clients_talk() {
    let mut site = Site::new();
    let (mut one, mut other) = (site.joined(10), site.joined(11));
    let before = figures(site.admin);
    let mut heard = 0;
    wait_for("ten frames", || {
        one.role.send_frame(b"a frame");
        one.carry();
        other.carry();
        while let Some(event) = other.role.poll_event() {
            heard += u32::from(matches!(event, VoiceEvent::Frame(_)));
        }
        (heard >= 10).then_some(())
    });
    let after = figures(site.admin);
    let grown = |name: &str| after[name] - before[name];
    assert!(grown("lvsp_packets_total{relay=\"0\",direction=\"in\"}") >= 10.0);
    assert!(grown("lvsp_packets_total{relay=\"0\",direction=\"out\"}") >= 10.0);
    assert!(grown("lvsp_media_bytes_total{relay=\"0\",direction=\"in\"}") >= 200.0);
    assert!(grown("lvsp_media_turn_seconds_count{relay=\"0\"}") > 0.0);
    assert!(grown("process_cpu_seconds_total") > 0.0);
    for (name, value) in [
        ("lvsp_sessions", 2.0),
        ("lvsp_voice_states", 2.0),
        ("lvsp_channels", 1.0),
        ("lvsp_legs{relay=\"0\"}", 2.0),
        ("lvsp_connections{plane=\"control\"}", 1.0),
        ("lvsp_connections{plane=\"gateway\"}", 2.0),
        ("lvsp_control_connected{chat_server=\"test\"}", 1.0),
        ("lvsp_ready", 1.0),
        ("lvsp_draining", 0.0),
        ("lvsp_decrypt_failures_total{relay=\"0\"}", 0.0),
    ] {
        assert_eq!(after[name], value, "{name}");
    }

    let status = site.json("/v1/status");
    assert_eq!(status["ready"], true);
    assert_eq!(status["control_links"][0]["name"], "test");
    assert_eq!(status["control_links"][0]["connected"], true);
    assert_eq!(status["control_links"][0]["revision"], "draft");
    assert_eq!(status["relays"][0]["legs"], 2);
    assert!(status["relays"][0]["packets_out"].as_u64() >= Some(10));
    assert_eq!(status["census"]["sessions"], 2);

    let channels = site.json("/v1/channels");
    assert_eq!(channels["channels"].as_array().unwrap().len(), 1);
    let channel = &channels["channels"][0];
    assert_eq!(channel["id"], CHANNEL.to_string());
    assert_eq!(channel["members"], 2);
    assert_eq!(channel["relays"], serde_json::json!([0]));

    let speaker = wait_for("a speaker", || {
        one.role.send_frame(b"a frame");
        one.carry();
        Some(site.member(10)).filter(|member| member["speaking"] == true)
    });
    assert_eq!((&speaker["state"], &speaker["relay"]), (&"live".into(), &0.into()));
    assert_eq!(speaker["mode"], "aead_aes256_gcm_rtpsize");
    assert_eq!(speaker["gateway_version"], 8);
    assert!(speaker["packets_in"].as_u64() >= Some(10));
    assert!(speaker["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let listener = site.member(11);
    assert_eq!(listener["speaking"], false);
    assert!(listener["packets_out"].as_u64() >= Some(10));
    let of_channel = |id: u64| site.json(&format!("/v1/members?channel={id}"));
    assert_eq!(of_channel(CHANNEL)["members"].as_array().unwrap().len(), 2);
    assert_eq!(of_channel(CHANNEL + 1)["members"].as_array().unwrap().len(), 0);
}

#[test]
fn thousands_of_members_are_told_page_by_page() {
    let mut site = Site::new();
    for user in 1..=300 {
        site.chat.place(user, None);
    }
    let members = site.json("/v1/members");
    let mut users: Vec<u64> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["user_id"].as_str().unwrap().parse().unwrap())
        .collect();
    users.sort_unstable();
    assert_eq!(users, (1..=300).collect::<Vec<_>>());
    assert_eq!(site.json("/v1/channels")["channels"][0]["members"], 300);
}

#[test]
fn an_explanation_names_who_muted_a_speaker() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    site.expect_audible(&mut one, (10, 11));
    let none = VoiceFlagsUpdate::default;
    let both = (10, 11);
    site.chat.set_flags(10, VoiceFlagsUpdate { mute: Some(true), ..none() });
    site.expect(&mut [&mut one], both, ("mute", "the chat server muted the speaker"));
    let suppress = VoiceFlagsUpdate { mute: Some(false), suppress: Some(true), ..none() };
    site.chat.set_flags(10, suppress);
    site.expect(&mut [&mut one], both, ("mute", "suppress"));
    let own = VoiceFlagsUpdate { suppress: Some(false), self_mute: Some(true), ..none() };
    site.chat.set_flags(10, own);
    site.expect(&mut [&mut one], both, ("mute", "the speaker muted itself"));
    site.chat.set_flags(10, VoiceFlagsUpdate { self_mute: Some(false), ..none() });
    site.expect_audible(&mut one, both);
}

#[test]
fn an_explanation_names_who_deafened_a_listener() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    let none = VoiceFlagsUpdate::default;
    site.chat.set_flags(11, VoiceFlagsUpdate { deaf: Some(true), ..none() });
    site.expect(&mut [&mut one], (10, 11), ("deaf", "the chat server deafened the listener"));
    let own = VoiceFlagsUpdate { deaf: Some(false), self_deaf: Some(true), ..none() };
    site.chat.set_flags(11, own);
    site.expect(&mut [&mut one], (10, 11), ("deaf", "the listener deafened itself"));
}

#[test]
fn an_explanation_finds_datagrams_that_cannot_be_opened_and_sees_when_they_can() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    one.way = Way::Damaged;
    site.expect(&mut [&mut one], (10, 11), ("decrypt", "cannot be opened"));
    assert!(figures(site.admin)["lvsp_decrypt_failures_total{relay=\"0\"}"] > 0.0);
    one.way = Way::Open;
    site.expect_audible(&mut one, (10, 11));
    one.way = Way::Damaged;
    site.expect(&mut [&mut one], (10, 11), ("decrypt", "cannot be opened"));
}

#[test]
fn an_explanation_names_both_ssrcs_of_a_client_that_writes_a_wrong_one() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    one.way = Way::Stray;
    let said = format!("it sends SSRC 77 but its SSRC is {}", site.member(10)["ssrc"]);
    site.expect(&mut [&mut one], (10, 11), ("ssrc", &said));
    assert!(site.member(10)["drops"]["unknown_ssrc"].as_u64() > Some(0));
    one.way = Way::Open;
    site.expect_audible(&mut one, (10, 11));
}

#[test]
fn an_explanation_finds_clients_whose_datagrams_never_arrive() {
    let mut site = Site::new();
    let (mut one, mut other) = (site.joined(10), site.client(11));
    other.way = Way::Closed;
    site.expect(&mut [&mut other], (11, 10), ("socket", "no datagram of the speaker"));
    assert_eq!(site.member(11)["state"], "identified");
    let said = "nobody knows where to send to";
    site.expect(&mut [&mut one, &mut other], (10, 11), ("address", said));
    let _never = site.client(12);
    site.expect(&mut [&mut one], (12, 10), ("session", "has not identified"));
    assert_eq!(site.member(12)["state"], "waiting");
}

#[test]
fn an_explanation_sees_different_channels_and_oneself() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    site.expect(&mut [&mut one], (10, 10), ("channel", "nobody is sent what they say"));
    let ticket = site.chat.place_in(CHANNEL + 1, 12);
    let mut third = Voice::new(dial(site.gateway), ticket);
    third.join();
    site.expect(&mut [&mut one], (10, 12), ("channel", "the listener in channel 78"));
}

#[test]
fn an_explanation_finds_a_speaker_whose_network_is_gone() {
    let mut site = Site::new();
    let (one, _other) = (site.joined(10), site.joined(11));
    drop(one);
    site.expect(&mut [], (10, 11), ("session", "its media is silent"));
    assert_eq!(site.member(10)["state"], "detached");
    assert_eq!(site.json("/v1/status")["resumes"]["resumed"], 0);
}

#[test]
fn an_explanation_crosses_relays() {
    let mut options = options(None);
    options.relays = 2;
    options.limits = Limits { legs_per_relay: 2, ..options.limits };
    let mut site = Site::with(options);
    let (mut one, _two, _three) = (site.joined(10), site.joined(11), site.joined(12));
    assert_ne!(site.member(10)["relay"], site.member(12)["relay"]);
    site.expect_audible(&mut one, (10, 12));
    let steps = site.explain(10, 12)["steps"].as_array().unwrap().clone();
    let relays = steps.iter().find(|step| step["name"] == "relays").unwrap();
    assert!(relays["detail"].as_str().unwrap().contains("hands what the speaker says"), "{relays}");
    // By the users' own ids as well.
    let by_users = site.json("/v1/explain?speaker=10&listener=12");
    let channel = steps.iter().position(|step| step["name"] == "channel").unwrap();
    assert_eq!(by_users["steps"][channel], steps[channel], "{by_users}");
}

#[test]
fn a_drain_is_not_ready_and_alive() {
    let mut options = options(None);
    options.drain = Duration::from_secs(3_600);
    let site = Site::with(options);
    assert_eq!(get(site.admin, "/readyz").status, 200);
    assert_eq!(get(site.admin, "/livez").status, 200);
    site.stop.drain();
    let answer = wait_for("the drain", || {
        Some(get(site.admin, "/readyz")).filter(|answer| answer.status == 503)
    });
    assert!(answer.body.contains("draining"), "{}", answer.body);
    assert_eq!(get(site.admin, "/livez").status, 200);
    assert_eq!(site.json("/v1/status")["draining"], true);
    assert_eq!(figures(site.admin)["lvsp_ready"], 0.0);
}

#[test]
fn a_thread_that_stands_still_is_named() {
    // Its threads have not begun to turn.
    let runtime = Runtime::bind(options(None)).unwrap();
    let (admin, _plane) = plane(&runtime);
    let answer = get(admin, "/livez");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("the control thread did not answer"), "{}", answer.body);
    assert_eq!(get(admin, "/readyz").status, 503);
    assert_eq!(get(admin, "/v1/members").status, 503);
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let mut site = Site::new();
    site.chat.place(10, None);
    let id = site.id(10);
    for (path, status, said) in [
        ("/nothing", 404, "nothing at this path"),
        ("/v1/members?channel=x", 400, "a channel's id is a number"),
        ("/v1/members?channel=1&channel=2", 400, "duplicate field"),
        ("/v1/members/%FF/capture", 400, "not understood"),
        ("/v1/members?channel=0", 400, "a channel's id is a number"),
        ("/v1/explain", 400, "speaker"),
        (&format!("/v1/explain?speaker={id}"), 400, "listener"),
        (&format!("/v1/explain?speaker={id}&listener=99-0"), 404, "no member \"99-0\""),
        ("/v1/explain?speaker=me&listener=you", 404, "no member \"me\""),
        ("/v1/explain?speaker=99&listener=98", 404, "no member \"99\""),
        ("/v1/members/99-0/capture", 404, "no member \"99-0\""),
        (&format!("/v1/members/{id}/capture"), 409, "has not identified"),
        (&format!("/v1/members/{id}/capture?seconds=61"), 400, "0 to 60"),
        (&format!("/v1/members/{id}/capture?seconds=no"), 400, "0 to 60"),
    ] {
        let answer = get(site.admin, path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let body: Value = serde_json::from_str(&answer.body).expect(path);
        assert!(body["error"].as_str().unwrap().contains(said), "{path}: {body}");
    }
    for (request, status, said) in [
        ("GET / HTTP/1.0\r\nHost: rebound.example\r\n\r\n", 421, "rebound.example"),
        ("GET / HTTP/1.0\r\n\r\n", 421, "Host"),
        ("POST / HTTP/1.0\r\nHost: localhost\r\n\r\n", 405, "only GET"),
        ("GET / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", 413, "body"),
    ] {
        let answer = ask(site.admin, request);
        assert_eq!(answer.status, status, "{request}");
        assert!(answer.body.contains(said), "{}", answer.body);
        assert!(answer.head.contains("content-security-policy: default-src 'self'"));
    }
    let long = format!("GET /{} HTTP/1.0\r\nHost: localhost\r\n\r\n", "x".repeat(20_000));
    let answer = ask(site.admin, &long);
    assert!(matches!(answer.status, 414 | 431), "{}", answer.head);
    let page = get(site.admin, "/");
    assert_eq!(page.status, 200);
    for header in ["text/html", "nosniff", "no-store", "default-src 'self'"] {
        assert!(page.head.contains(header), "{header} in {}", page.head);
    }
}

#[test]
fn one_connection_too_many_is_told_so_and_makes_way_for_none() {
    let site = Site::new();
    let held: Vec<_> = (0..16).map(|_| TcpStream::connect(site.admin).unwrap()).collect();
    let answer = wait_for("a refusal", || {
        let mut stream = TcpStream::connect(site.admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).ok()?;
        Some(String::from_utf8_lossy(&first).into_owned())
    });
    assert_eq!(answer, "HTTP/1.1 503");
    drop(held);
    wait_for("room", || {
        let mut stream = TcpStream::connect(site.admin).ok()?;
        stream.write_all(b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).ok()?;
        text.starts_with(b"HTTP/1.0 200").then_some(())
    });
}

#[test]
fn a_capture_holds_headers_with_real_addresses_and_nothing_of_what_is_said() {
    let mut site = Site::new();
    let (mut one, mut other) = (site.joined(10), site.joined(11));
    let (id, admin) = (site.id(10), site.admin);
    let port: u16 = {
        let address = site.member(10)["address"].as_str().unwrap().to_owned();
        address.parse::<SocketAddr>().unwrap().port()
    };
    let path = format!("/v1/members/{id}/capture?seconds=1");
    let capture = thread::spawn(move || get(admin, &path));
    wait_for("the capture", || {
        for client in [&mut one, &mut other] {
            client.role.send_frame(b"what is said must not be seen");
            client.carry();
        }
        capture.is_finished().then_some(())
    });
    let answer = capture.join().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.head.contains("application/vnd.tcpdump.pcap"), "{}", answer.head);
    assert!(answer.head.contains(&format!("member-{id}.pcapng")), "{}", answer.head);
    let (mut from_client, mut to_client) = (0, 0);
    for packet in packets(&answer.bytes).into_iter().filter(Packet::is_media) {
        // IPv4 and UDP, then a header of RTP: 12 bytes, or 16 with the preamble of an extension.
        assert!((28 + 12..=28 + 16).contains(&packet.bytes.len()), "{}", packet.bytes.len());
        assert!(packet.original as usize > packet.bytes.len(), "it was longer");
        let ports = [20, 22].map(|at| u16::from_be_bytes([packet.bytes[at], packet.bytes[at + 1]]));
        from_client += u32::from(ports[0] == port);
        to_client += u32::from(ports[1] == port);
        assert!(ports.contains(&port), "{ports:?}");
    }
    assert!(from_client > 0 && to_client > 0, "{from_client} and {to_client}");
}

#[test]
fn a_capture_without_time_holds_what_the_member_sent_before() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    let id = site.id(10);
    one.role.send_frame(b"said before anybody asked");
    one.carry();
    let path = format!("/v1/members/{id}/capture?seconds=0");
    let admin = site.admin;
    let (asked, said) = wait_for("what was said", || {
        let answer = get(admin, &path);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let all = packets(&answer.bytes);
        let media = all.iter().filter(|packet| packet.is_media()).count();
        (media > 0).then_some((all.len() - media, media))
    });
    assert_eq!((asked, said), (1, 1), "its discovery request and its frame");
}

struct Packet<'a> {
    bytes: &'a [u8],
    original: u32,
}

impl Packet<'_> {
    /// Whether what is in UDP is of version 2 of RTP; else it is address discovery.
    fn is_media(&self) -> bool {
        self.bytes[28] >> 6 == 2
    }
}

/// The Enhanced Packet Blocks of a pcapng file.
fn packets(mut file: &[u8]) -> Vec<Packet<'_>> {
    let mut packets = Vec::new();
    while !file.is_empty() {
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let length = number(4) as usize;
        assert_eq!(number(length - 4) as usize, length, "the length stands at both ends");
        if number(0) == 6 {
            let captured = number(20) as usize;
            packets.push(Packet { bytes: &file[28..28 + captured], original: number(24) });
        }
        file = &file[length..];
    }
    packets
}

#[test]
fn a_first_start_has_an_admin_plane_and_says_where() {
    let server = Process::start(&[("LVSP_ADMIN__LISTEN", "127.0.0.1:0")]);
    let (_, admin) = server.said.rsplit_once(", admin ").expect(&server.said);
    let admin = admin.trim().parse().expect("an address");
    assert!(server.said.contains(&format!("dashboard:   http://{admin}/")), "{}", server.said);
    assert_eq!(get(admin, "/livez").body, "ok\n");
    let without = Process::start(&[("LVSP_CONTROL__SECRET", SECRET), ("LVSP_TLS__OFF", "true")]);
    assert!(!without.said.contains("admin"), "{}", without.said);
}

#[test]
fn an_address_that_strangers_reach_is_refused_unless_that_is_said() {
    let check = |variables: &[(&str, &str)]| {
        let mut command = lvsp(&["check-config"]);
        command.env("LVSP_CONTROL__SECRET", SECRET).env("LVSP_TLS__OFF", "true");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let open = ("LVSP_ADMIN__LISTEN", "0.0.0.0:9900");
    let (status, said) = check(&[open]);
    assert_eq!(status, Some(3));
    assert!(said.contains("admin.listen = 0.0.0.0:9900"), "{said}");
    assert!(said.contains("admin.allow_remote = true"), "{said}");
    assert_eq!(check(&[open, ("LVSP_ADMIN__ALLOW_REMOTE", "true")]).0, Some(0));
    assert_eq!(check(&[("LVSP_ADMIN__LISTEN", "[::1]:9900")]).0, Some(0));
}
