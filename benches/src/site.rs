//! A server, its relay, a chat server and one voice client after the other, over memory and without
//! waiting: what a join costs without system calls.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use lvsp_core::client::{ChatEvent, ChatServer, Role as _, Ticket, VoiceClient, VoiceEvent};
use lvsp_core::config::{Config, ControlClient};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::ids::{ChannelId, ConnId, RelayId, UserId};
use lvsp_core::media::{Filled, Relay, TransmitBatch};
use lvsp_core::output::{Output, Plane};
use lvsp_core::server::Server;
use lvsp_core::time::Timestamp;
use lvsp_core::transport::{TlsIdentity, TlsTrust};
use lvsp_core::wire::gateway::Version;
use lvsp_core::wire::lvsp::VoiceRequest;
use lvsp_core::wire::secret::Secret;
use rcgen::{CertificateParams, KeyPair};

const SECRET: &str = "thirty-two bytes for a benchmark!";
const HOST: &str = "localhost";
const CHANNEL: u64 = 77;

/// A server with its chat server connected.
pub struct Site {
    server: Server,
    relay: Relay,
    batch: TransmitBatch,
    entropy: SeededEntropy,
    trust: Option<TlsTrust>,
    chat: (ConnId, ChatServer),
    user: u64,
}

impl Site {
    /// A server that speaks TLS or not. Its certificate is ECDSA on P-256.
    ///
    /// # Panics
    /// When the chat server is not let in.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a benchmark that cannot begin has to say so")]
    pub fn new(tls: bool) -> Self {
        let secret = ControlSecret::new(SECRET.to_owned()).expect("long enough");
        let media = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 50_000);
        let config = Config {
            control_clients: vec![ControlClient::new("bench".to_owned(), secret)],
            ..Config::new("voice.example.org:443".to_owned(), vec![media])
        };
        let relay = Relay::new(RelayId(0), &config.limits, config.media);
        let entropy = Box::new(SeededEntropy::new(7));
        let mut server = Server::new(config, entropy, Timestamp::ZERO).expect("it is valid");
        let trust = tls.then(|| {
            let (identity, trust) = certificate();
            server.set_tls(Some(identity));
            trust
        });
        let mut entropy = SeededEntropy::new(8);
        let secret = Secret::new(SECRET.to_owned());
        let wanted = trust.as_ref().map(|trust| (trust, HOST));
        let chat = ChatServer::connect(secret, true, wanted, HOST, &mut entropy).expect("a name");
        let conn = accept(&mut server, Plane::Control, 1);
        let batch = TransmitBatch::new();
        let (chat, user) = ((conn, chat), 0);
        let mut site = Self { server, relay, batch, entropy, trust, chat, user };
        site.pump(&mut None);
        assert!(matches!(site.chat.1.poll_event(), Some(ChatEvent::Ready { .. })), "let in");
        site
    }

    /// Places a user and lets its client join: from the order over LVSP to the key. Then it leaves.
    ///
    /// # Panics
    /// When it does not get a key.
    #[expect(clippy::expect_used, reason = "a benchmark of nothing has to say so")]
    pub fn join_and_leave(&mut self) {
        self.user += 1;
        let user = UserId::new(self.user).expect("not zero");
        let channel = ChannelId::new(CHANNEL).expect("not zero");
        self.chat.1.place(VoiceRequest::new(user, channel));
        self.pump(&mut None);
        let ticket = self.ticket(user).expect("the chat server is told what clients need");
        let version = Version::new(8).expect("not zero");
        let tls = self.trust.as_ref().map(|trust| (trust, HOST));
        let mode = Mode::Aes256GcmRtpSize;
        let client = VoiceClient::connect(ticket, version, mode, tls, HOST, &mut self.entropy);
        let conn = accept(&mut self.server, Plane::Gateway, 2);
        let mut voice = Some((conn, client.expect("a name")));
        self.pump(&mut voice);
        let (_, client) = voice.as_mut().expect("nobody took it");
        let mut events = std::iter::from_fn(|| client.poll_event());
        assert!(events.any(|event| matches!(event, VoiceEvent::Connected { .. })), "it has a key");
        self.chat.1.remove(user);
        self.pump(&mut voice);
        self.server.handle_eof(Timestamp::ZERO, conn);
        self.pump(&mut None);
        while self.chat.1.poll_event().is_some() {}
    }

    fn ticket(&mut self, wanted: UserId) -> Option<Ticket> {
        while let Some(event) = self.chat.1.poll_event() {
            if let ChatEvent::VoiceState(info) = event
                && info.user_id == Some(wanted)
            {
                let (session_id, token) = (info.session_id, info.token?);
                return Some(Ticket { server_id: CHANNEL, user: wanted, session_id, token });
            }
        }
        None
    }

    /// Carries everything to where it goes, until there is nothing more.
    fn pump(&mut self, voice: &mut Option<(ConnId, VoiceClient)>) {
        let now = Timestamp::ZERO;
        loop {
            let mut moved = self.carry_chat();
            if let Some((conn, client)) = voice {
                moved |= self.carry_voice(*conn, client);
            }
            while let Some(event) = self.relay.poll_event() {
                self.server.handle_relay_event(now, RelayId(0), event);
                moved = true;
            }
            self.server.handle_timeout(now);
            moved |= self.obey();
            if !moved {
                return;
            }
        }
    }

    /// Gives the relay its commands: always before anybody reads what the server wrote.
    fn obey(&mut self) -> bool {
        let mut obeyed = false;
        while let Some(output) = self.server.poll_output() {
            obeyed = true;
            if let Output::Relay(_, command) = output {
                self.relay.handle_command(Timestamp::ZERO, command);
            }
        }
        obeyed
    }

    /// Gives the server what was said on a connection; what it says in turn.
    fn exchange(&mut self, conn: ConnId, said: &[u8]) -> Vec<u8> {
        self.server.handle_bytes(Timestamp::ZERO, conn, said);
        self.obey();
        let answer = self.server.outbound(conn).to_vec();
        self.server.consume(Timestamp::ZERO, conn, answer.len());
        answer
    }

    fn carry_chat(&mut self) -> bool {
        let said = self.chat.1.outbound().to_vec();
        self.chat.1.consume(said.len());
        let answer = self.exchange(self.chat.0, &said);
        self.chat.1.handle_bytes(Timestamp::ZERO, &answer);
        !said.is_empty() || !answer.is_empty()
    }

    fn carry_voice(&mut self, conn: ConnId, client: &mut VoiceClient) -> bool {
        let (said, now) = (client.outbound().to_vec(), Timestamp::ZERO);
        client.consume(said.len());
        let answer = self.exchange(conn, &said);
        client.handle_bytes(now, &answer);
        let mut moved = !said.is_empty() || !answer.is_empty();
        while let Some((_, mut datagram)) = client.poll_transmit() {
            moved = true;
            let mut fanout = self.relay.handle_datagram(now, address(2), &mut datagram);
            while fanout.fill(&mut self.batch) == Filled::BatchFull {}
            drop(fanout);
            for copy in self.batch.entries() {
                client.handle_datagram(&mut copy.bytes.to_vec());
            }
            self.batch.clear();
        }
        moved
    }
}

#[expect(clippy::expect_used, reason = "a benchmark of nothing has to say so")]
fn accept(server: &mut Server, plane: Plane, host: u8) -> ConnId {
    server.handle_accept(Timestamp::ZERO, plane, address(host)).expect("there is room")
}

const fn address(host: u8) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, host), 5_000))
}

/// A certificate that signs itself, and the trust in it.
#[expect(clippy::expect_used, reason = "nothing of it comes from outside")]
fn certificate() -> (TlsIdentity, TlsTrust) {
    let key = KeyPair::generate().expect("P-256 is built in");
    let params = CertificateParams::new([HOST.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a key");
    let pem = certificate.pem();
    let identity = TlsIdentity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes());
    // Any day of the certificate's long life.
    let trust = TlsTrust::from_pem(pem.as_bytes(), 1_800_000_000);
    (identity.expect("a certificate and its key"), trust.expect("a certificate"))
}
