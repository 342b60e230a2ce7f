//! A chat server and voice clients that act by script.

use std::net::SocketAddr;

use lvsp_core::crypto::cipher::{Cipher, MediaKey};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::ids::RelayId;
use lvsp_core::output::Plane;
use serde_json::{Value, json};

use crate::world::{HOST, PeerId, SECRET, World};

pub(crate) const GUILD: u64 = 41_771_983_423_143_937;
pub(crate) const CHANNEL: u64 = 127_121_515_262_115_840;
pub(crate) const OTHER_CHANNEL: u64 = 127_121_515_262_115_841;

/// What a voice client presents.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) user: u64,
    pub(crate) session_id: String,
    pub(crate) token: String,
}

/// Connects a chat server and identifies it.
pub(crate) fn chat_server(world: &mut World) -> PeerId {
    let chat = world.connect(Plane::Control, "/");
    assert_eq!(world.take(chat)["op"], 0, "HELLO comes first");
    world.send(chat, &json!({"op": 1, "d": {"token": SECRET, "features": ["errors"]}}));
    let ready = world.take(chat);
    assert_eq!(ready["op"], 3);
    assert_eq!(ready["d"]["resumed"], false);
    chat
}

/// The order to place a user in a channel of the guild.
pub(crate) fn request(user: u64, channel: u64) -> Value {
    json!({"op": 7, "d": {"user_id": user.to_string(), "channel_id": channel.to_string(),
        "guild_id": GUILD.to_string()}})
}

/// The same of a chat server that remembers what it was answered.
pub(crate) fn restatement(ticket: &Ticket, channel: u64) -> Value {
    let mut order = request(ticket.user, channel);
    order["d"]["session_id"] = json!(ticket.session_id);
    order["d"]["token"] = json!(ticket.token);
    order
}

/// The order to remove a user from wherever it is.
pub(crate) fn removal(user: u64) -> Value {
    let info = json!({"user_id": user.to_string(), "channel_id": null});
    json!({"op": 6, "d": {"type": 1, "info": info}})
}

/// The order to end a channel.
pub(crate) fn destruction(channel: u64) -> Value {
    let info = json!({"id": channel.to_string(), "deleted": true});
    json!({"op": 6, "d": {"type": 0, "info": info}})
}

/// Has the chat server place a user; its ticket.
pub(crate) fn place(world: &mut World, chat: PeerId, user: u64, channel: u64) -> Ticket {
    world.take_all(chat);
    world.send(chat, &request(user, channel));
    let answers = world.take_all(chat);
    let state = answers.last().expect("a VST_REQUEST is always answered");
    assert_eq!(state["d"]["type"], 1, "{state}");
    ticket(user, &state["d"]["info"])
}

pub(crate) fn ticket(user: u64, info: &Value) -> Ticket {
    let text = |key: &str| info[key].as_str().expect("the answer names it").to_owned();
    Ticket { user, session_id: text("session_id"), token: text("token") }
}

pub(crate) fn identify(ticket: &Ticket) -> Value {
    json!({"op": 0, "d": {"server_id": GUILD.to_string(), "user_id": ticket.user.to_string(),
        "session_id": ticket.session_id, "token": ticket.token}})
}

pub(crate) fn resume(ticket: &Ticket, seq_ack: Option<u64>) -> Value {
    let mut d = json!({"server_id": GUILD.to_string(), "session_id": ticket.session_id,
        "token": ticket.token});
    if let Some(seq) = seq_ack {
        d["seq_ack"] = json!(seq);
    }
    json!({"op": 7, "d": d})
}

/// Connects to the gateway and reads Hello.
pub(crate) fn gateway(world: &mut World, version: u8) -> PeerId {
    let peer = world.connect(Plane::Gateway, &format!("/?v={version}"));
    let hello = world.take(peer);
    assert_eq!(hello["op"], 8);
    assert_eq!(hello["d"]["heartbeat_interval"], 13_750);
    peer
}

/// A voice client with a session description.
pub(crate) struct Voice {
    pub(crate) peer: PeerId,
    pub(crate) ticket: Ticket,
    pub(crate) ssrc: u32,
    /// Where its media goes.
    pub(crate) relay: RelayId,
    pub(crate) address: SocketAddr,
    pub(crate) mode: Mode,
    cipher: Cipher,
    counter: u32,
    pub(crate) sequence: u16,
    /// Writes its nonce counter as Koe, disgo, discordgo and NetCord do.
    pub(crate) little_endian: bool,
}

/// Places a user and takes it through the whole handshake.
pub(crate) fn join(
    world: &mut World,
    chat: PeerId,
    user: u64,
    channel: u64,
    (version, mode): (u8, Mode),
) -> Voice {
    let ticket = place(world, chat, user, channel);
    connect(world, ticket, version, mode)
}

/// Takes a user with a ticket through the whole handshake.
pub(crate) fn connect(world: &mut World, ticket: Ticket, version: u8, mode: Mode) -> Voice {
    let peer = gateway(world, version);
    world.send(peer, &identify(&ticket));
    let ready = world.take(peer);
    assert_eq!(ready["op"], 2, "{ready}");
    let ssrc = u32::try_from(ready["d"]["ssrc"].as_u64().expect("a number")).expect("32 bits");
    let port = 40_000 + u16::try_from(ticket.user % 10_000).expect("below 10,000");
    let address = SocketAddr::new(HOST, port);
    // Relay n listens on the first one's port + n.
    let at = ready["d"]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let relay = RelayId(at.expect("a port") - 50_000);
    discover(world, relay, ssrc, address);
    let cipher = select(world, peer, address, mode);
    Voice {
        peer,
        ticket,
        ssrc,
        relay,
        address,
        mode,
        cipher,
        counter: 0,
        sequence: 100,
        little_endian: false,
    }
}

fn discover(world: &mut World, relay: RelayId, ssrc: u32, address: SocketAddr) {
    let mut request = vec![0, 1, 0, 70];
    request.extend(ssrc.to_be_bytes());
    request.resize(74, 0);
    let replies = world.datagram_to(relay, address, request);
    assert_eq!(replies.len(), 1);
    let (to, reply) = &replies[0];
    assert_eq!((*to, reply.len()), (address, 74));
    assert_eq!(reply[..8], [&[0, 2, 0, 70], &ssrc.to_be_bytes()[..]].concat()[..]);
    let text = address.ip().to_string();
    assert_eq!(&reply[8..8 + text.len()], text.as_bytes());
    assert_eq!(reply[72..], address.port().to_be_bytes());
}

/// Selects a mode; the cipher of the session description.
pub(crate) fn select(world: &mut World, peer: PeerId, address: SocketAddr, mode: Mode) -> Cipher {
    let data = json!({"address": address.ip().to_string(), "port": address.port(),
        "mode": mode.name()});
    world.send(peer, &json!({"op": 1, "d": {"protocol": "udp", "data": data}}));
    let description = world.take(peer);
    assert_eq!(description["op"], 4, "{description}");
    assert_eq!(description["d"]["mode"], mode.name());
    assert_eq!(description["d"]["dave_protocol_version"], 0);
    let key: Vec<u8> =
        serde_json::from_value(description["d"]["secret_key"].clone()).expect("32 numbers");
    let key = MediaKey::new(key.try_into().expect("32 bytes"));
    Cipher::new(mode, &key).expect("compiled in")
}

impl Voice {
    /// The next packet with this payload, sealed as the client's library does.
    pub(crate) fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.packet_at(self.sequence, payload)
    }

    pub(crate) fn packet_at(&mut self, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let mut header = vec![0x80, 0x78];
        header.extend(sequence.to_be_bytes());
        header.extend((u32::from(sequence) * 960).to_be_bytes());
        header.extend(self.ssrc.to_be_bytes());
        let counter = if self.little_endian {
            self.counter.to_le_bytes()
        } else {
            self.counter.to_be_bytes()
        };
        self.counter += 1;
        let mut suffix = [0; 24];
        suffix[20..].copy_from_slice(&counter);
        let suffix = &suffix[24 - self.mode.suffix_len()..];
        let mut packet = vec![0; 1_500];
        let length = self
            .cipher
            .seal_into(&header, [payload, &[]], suffix, &mut packet)
            .expect("the packet fits");
        packet.truncate(length);
        packet
    }

    /// Sends one frame; who got what.
    pub(crate) fn speak(
        &mut self,
        world: &mut World,
        payload: &[u8],
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let packet = self.packet(payload);
        world.datagram_to(self.relay, self.address, packet)
    }

    /// What this client makes of the datagrams that were sent to it: SSRC, sequence, payload.
    pub(crate) fn hear(&self, sent: &[(SocketAddr, Vec<u8>)]) -> Vec<(u32, u16, Vec<u8>)> {
        let mine = sent.iter().filter(|(to, _)| *to == self.address);
        mine.map(|(_, packet)| self.open(packet.clone())).collect()
    }

    fn open(&self, mut packet: Vec<u8>) -> (u32, u16, Vec<u8>) {
        assert_eq!(packet[..2], [0x90, 0x78], "an extension, no CSRC, no padding, no marker, Opus");
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        let clear = if self.mode.is_rtpsize() { 16 } else { 12 };
        let opened = self.cipher.open(&mut packet, clear).expect("it is for this client");
        let body = if self.mode.is_rtpsize() { 8 } else { 12 };
        (ssrc, sequence, opened.plaintext[body..].to_vec())
    }
}
