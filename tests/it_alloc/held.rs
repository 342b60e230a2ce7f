//! What the server holds for one of each thing, by a counting allocator: the constants that the
//! memory ceiling is made of are not below it.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use allocation_counter::measure;
use lvsp_core::command::Command;
use lvsp_core::config::{Config, ControlClient, MediaConfig};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::crypto::cipher::MediaKey;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::ids::{ChannelId, ConnId, ControlId, LegId, RelayId, RoomId, Ssrc, UserId};
use lvsp_core::limits::Limits;
use lvsp_core::media::Relay;
use lvsp_core::media::command::{Permissions, RelayCommand};
use lvsp_core::memory;
use lvsp_core::output::Plane;
use lvsp_core::parking::{self, Parking};
use lvsp_core::server::Server;
use lvsp_core::slab::Slab;
use lvsp_core::time::Timestamp;
use lvsp_core::transport::{TlsIdentity, TlsTrust, Transport, TransportConfig};
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;
use lvsp_core::wire::secret::Secret;

const NOW: Timestamp = Timestamp::ZERO;
/// Where a chat server connects to.
const CONTROL: &str = "/";
const SECRET: &str = "an-example-secret-of-thirty-two-bytes!";

fn server() -> Server {
    let secret = ControlSecret::new(SECRET.to_owned()).expect("long enough");
    let relay = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 50_000);
    let config = Config {
        control_clients: vec![ControlClient::new("default".to_owned(), secret)],
        ..Config::new("voice.example.org:443".to_owned(), vec![relay])
    };
    Server::new(config, Box::new(SeededEntropy::new(7)), NOW).expect("valid")
}

/// What `change` makes somebody hold, in bytes.
fn held(change: impl FnOnce()) -> usize {
    usize::try_from(measure(change).bytes_current).unwrap_or(0)
}

fn drain(server: &mut Server) {
    while server.poll_output().is_some() {}
}

/// The constant is not below what was measured, and not far above it.
#[track_caller]
fn assert_covers(what: &str, constant: usize, measured: usize) {
    println!("{what}: {measured} bytes measured, {constant} assumed");
    assert!(constant >= measured, "{what}: {measured} bytes, where {constant} are assumed");
    assert!(constant < 2 * measured, "{what}: {measured} bytes, where {constant} are assumed");
}

fn order(server: &mut Server, command: Command) {
    server.handle_command(NOW, ControlId(0), command).expect("within the limits");
    drain(server);
}

fn channel(n: u64) -> ChannelId {
    ChannelId::new(n + 1).expect("not zero")
}

fn make_channel(server: &mut Server, n: u64) {
    let channel = channel(n);
    order(server, Command::SetChannel { channel, guild: None, bitrate: None, token: None });
}

fn place(server: &mut Server, n: u64, channel: ChannelId) {
    let user = UserId::new(n + 1).expect("not zero");
    let (session_id, token) = (Some(secret("session", n)), Some(secret("token", n)));
    let flags = VoiceFlagsUpdate::default();
    order(server, Command::Place { user, channel, guild: None, session_id, token, flags });
}

fn secret(of: &str, n: u64) -> Secret {
    Secret::new(format!("{of}-{n}"))
}

#[test]
fn channels_and_voice_states_cost_what_is_assumed() {
    // Just behind the growth of a table, where the reserve is largest.
    const MANY: u64 = 60_000;
    let mut server = server();
    let bytes = held(|| (0..MANY).for_each(|n| make_channel(&mut server, n)));
    let bytes = bytes - server.census().credential_bytes;
    assert_covers("a channel", memory::CHANNEL_BYTES, bytes / MANY as usize);

    let before = server.census().credential_bytes;
    let bytes = held(|| (0..MANY).for_each(|n| place(&mut server, n, channel(n % 100))));
    let bytes = bytes - (server.census().credential_bytes - before);
    assert_covers("a voice state", memory::VOICE_STATE_BYTES, bytes / MANY as usize);
}

/// Somebody's end of a connection, and the server's id of it.
struct Client {
    transport: Transport,
    conn: ConnId,
}

/// What a connection made the server hold, beside what is counted by other limits.
#[derive(Clone, Copy, Default)]
struct Balance {
    bytes: i64,
}

impl Balance {
    fn run(&mut self, server: &mut Server, change: impl FnOnce(&mut Server)) {
        let counted = |server: &Server| {
            let census = server.census();
            (census.outbound_bytes + census.inbound_bytes) as i64
        };
        let before = counted(server);
        let held = measure(|| {
            change(server);
            drain(server);
        });
        self.bytes += held.bytes_current - (counted(server) - before);
    }
}

impl Client {
    fn connect(
        server: &mut Server,
        (trust, target): (Option<&TlsTrust>, &str),
        n: u8,
        balance: &mut Balance,
    ) -> Self {
        let config = TransportConfig::new(&Limits::default(), 1 << 20);
        let tls = trust.map(|trust| (trust, "localhost"));
        let transport = Transport::connect(tls, "localhost", target, [n; 16], config);
        let peer = SocketAddr::from(([203, 0, 113, n], 4_000));
        let plane = if target == CONTROL { Plane::Control } else { Plane::Gateway };
        let mut conn = None;
        balance.run(server, |server| conn = server.handle_accept(NOW, plane, peer).ok());
        let mut client = Self { transport: transport.expect("usable"), conn: conn.expect("taken") };
        client.exchange(server, balance);
        client
    }

    /// Carries everything both ways until nothing is left.
    fn exchange(&mut self, server: &mut Server, balance: &mut Balance) {
        loop {
            let sent = self.transport.outbound().to_vec();
            self.transport.consume(sent.len());
            let conn = self.conn;
            balance.run(server, |server| server.handle_bytes(NOW, conn, &sent));
            let heard = server.outbound(conn).to_vec();
            balance.run(server, |server| server.consume(NOW, conn, heard.len()));
            if sent.is_empty() && heard.is_empty() {
                return;
            }
            self.transport.handle_bytes(&heard);
            while self.transport.poll_event().is_some() {}
        }
    }

    fn say(&mut self, server: &mut Server, text: &str, balance: &mut Balance) {
        self.transport.send_text(text);
        self.exchange(server, balance);
    }
}

fn tls() -> (TlsIdentity, TlsTrust) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).expect("usable");
    (identity, TlsTrust::from_pem(chain.as_bytes(), 1_800_000_000).expect("usable"))
}

#[test]
fn connections_and_sessions_cost_what_is_assumed() {
    const MANY: u8 = 200;
    let (identity, trust) = tls();
    let mut server = server();
    server.set_tls(Some(identity));
    (0..MANY).for_each(|n| place(&mut server, n.into(), channel(u64::from(n / 20))));

    let mut balance = Balance::default();
    let mut clients: Vec<_> = (0..MANY)
        .map(|n| Client::connect(&mut server, (Some(&trust), "/?v=4"), n, &mut balance))
        .collect();
    let each = balance.bytes as usize / usize::from(MANY);
    assert_covers("a connection", memory::CONNECTION_BYTES, each);

    let mut balance = Balance::default();
    for (client, n) in clients.iter_mut().zip(0u64..) {
        let (session, token) = (format!("session-{n}"), format!("token-{n}"));
        let identify = format!(
            r#"{{"op":0,"d":{{"server_id":"{}","user_id":"{}","session_id":"{session}","token":"{token}"}}}}"#,
            n / 20 + 1,
            n + 1,
        );
        client.say(&mut server, &identify, &mut balance);
        let select = r#"{"op":1,"d":{"protocol":"udp","data":{"address":"203.0.113.1","port":1,"mode":"aead_aes256_gcm_rtpsize"}}}"#;
        client.say(&mut server, select, &mut balance);
    }
    assert_eq!(server.session_count(), usize::from(MANY));
    // Version 4 keeps no messages; for the others some places are kept.
    let each = balance.bytes as usize / usize::from(MANY) + 192;
    let assumed = memory::SESSION_BYTES + memory::KNOWN_USER_BYTES;
    assert_covers("a session that knows 19 users", assumed, each);
}

#[test]
fn what_a_chat_server_is_yet_to_be_told_costs_no_more_than_is_counted() {
    const MANY: u64 = 1_000;
    let mut server = server();
    let mut chat = Client::connect(&mut server, (None, CONTROL), 1, &mut Balance::default());
    let identify = format!(r#"{{"op":1,"d":{{"token":"{SECRET}"}}}}"#);
    chat.say(&mut server, &identify, &mut Balance::default());
    assert_eq!(server.census().control_connections, 1);
    // It reads nothing of this: what does not fit on its connection stays a mark.
    (0..2 * MANY).for_each(|n| make_channel(&mut server, n));
    let before = server.census();
    let bytes = held(|| {
        for n in 0..MANY {
            let (channel, bitrate) = (channel(n), Some(8_000));
            let change = Command::SetChannel { channel, guild: None, bitrate, token: None };
            order(&mut server, change);
        }
    });
    let after = server.census();
    assert_eq!(after.outbound_bytes, before.outbound_bytes, "nothing more was written");
    let counted = after.news_bytes - before.news_bytes;
    println!("{bytes} bytes measured, {counted} counted");
    assert!(counted > 0 && bytes <= counted, "{bytes} bytes, of which {counted} are counted");
}

#[test]
fn legs_cost_what_is_assumed() {
    const MANY: u32 = 1_000;
    let mut most = 0;
    for mode in Mode::ALL {
        let mut relay = Relay::new(RelayId(0), &Limits::default(), MediaConfig::default());
        let mut rooms: Slab<RoomId, ()> = Slab::default();
        let mut legs: Slab<LegId, ()> = Slab::default();
        let rooms: Vec<_> = (0..100).map(|_| rooms.insert(())).collect();
        let legs: Vec<_> = (0..MANY).map(|_| legs.insert(())).collect();
        let bytes = held(|| {
            for (leg, n) in legs.iter().copied().zip(0u32..) {
                let (room, ssrc) = (rooms[n as usize % 100], Ssrc(4 * (n + 1)));
                let permissions = Permissions { speak: true, hear: true };
                let (bitrate, peer) = (64_000, None);
                let open = RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions };
                relay.handle_command(NOW, open);
                let (key, nonce_prefix) = (MediaKey::new([7; 32]), [0; 20]);
                let set = RelayCommand::SetKey { leg, mode, key, nonce_prefix, claimed: None };
                relay.handle_command(NOW, set);
            }
        });
        most = most.max(bytes / MANY as usize);
    }
    assert_covers("a leg", memory::LEG_BYTES, most);
}

#[test]
fn what_a_client_makes_a_connection_hold_is_about_what_it_sent() {
    let mut server = server();
    place(&mut server, 0, channel(0));
    let mut balance = Balance::default();
    let mut client = Client::connect(&mut server, (None, "/?v=8"), 1, &mut balance);
    let identify = r#"{"op":0,"d":{"server_id":"1","user_id":"1","session_id":"session-0","token":"token-0"}}"#;
    client.say(&mut server, identify, &mut balance);
    // The head of the largest frame that is allowed, its bytes one by one, and so again.
    let mut head = vec![0x81, 0x80 | 127];
    head.extend(65_536_u64.to_be_bytes());
    head.extend([0; 4]);
    let (mut received, mut held) = (0, 0);
    for byte in head.iter().copied().chain(std::iter::repeat_n(b' ', 65_000)) {
        held += measure(|| server.handle_bytes(NOW, client.conn, &[byte])).bytes_current;
        received += 1;
        assert!(held <= 2 * received + 16 * 1_024, "{held} held, {received} received");
    }
    assert!(server.census().inbound_bytes >= 65_000);
    // The end of the message, which is none that anybody understands.
    held += measure(|| {
        server.handle_bytes(NOW, client.conn, &[b' '; 536]);
        drain(&mut server);
    })
    .bytes_current;
    assert!(held <= 2 * 1_024, "{held} bytes are still held");
}

#[test]
fn places_of_parked_connections_cost_what_is_assumed() {
    const COUNT: u32 = 2_000;
    let limits = Limits::default();
    let fill = |address: fn(u32) -> u32| {
        let mut parking = Parking::new(&limits);
        held(|| {
            for n in 0..COUNT {
                let peer = SocketAddr::from((Ipv4Addr::from_bits(address(n)), 50_000));
                assert!(parking.pass(NOW, peer, 0u64, false).is_none());
            }
        })
    };
    // The socket itself is counted by who has it.
    let all = [|_| 1, |n| n].map(fill).into_iter().max().unwrap_or(0);
    let each = (all / COUNT as usize).saturating_sub(size_of::<u64>());
    assert_covers("a place", parking::PLACE_BYTES, each);
}

#[test]
fn the_default_limits_hold_no_more_than_512_mib() {
    let ceiling = memory::Ceiling::of(&Limits::default(), 1, 1);
    // What a host adds are its queues and buffers.
    let host = 20_000_000;
    assert!(ceiling.bytes() + host <= 512 * 1_024 * 1_024, "{ceiling:#?}");
}
