//! What an application sees of a server in its own Tokio runtime.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use lvsp_core::client::{Ticket, VoiceEvent};
use lvsp_core::command::Target;
use lvsp_core::config::Config;
use lvsp_core::ids::{ControlId, GuildId};
use lvsp_core::limits::Limits;
use lvsp_core::output::Event;
use lvsp_core::reasons::{DropReason, Refused};
use lvsp_core::transport::{TlsTrust, Transport, TransportConfig, TransportEvent};
use lvsp_core::wire::lvsp::{VoiceFlagsUpdate, VoiceInfo};
use lvsp_tokio::{BuildError, Builder, Handle, HandleError, News, Placement};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::peers::{
    GUILD, Link, SECRET, Voice, channel, chat_servers, patient_limits, user, wait_for,
};
use crate::scenarios::{ANN, BOB, CHANNEL};

const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

fn config() -> Config {
    Config {
        control_clients: chat_servers(),
        drain: Duration::ZERO,
        limits: patient_limits(),
        ..Config::new(String::new(), vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)])
    }
}

/// A server without LVSP, run by a runtime of its own, while the test's thread plays the clients.
struct Host {
    runtime: Runtime,
    handle: Handle,
    server: JoinHandle<()>,
}

impl Host {
    fn start(change: impl FnOnce(Builder) -> Builder) -> Self {
        Self::start_with(config(), change)
    }

    fn start_with(config: Config, change: impl FnOnce(Builder) -> Builder) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let (server, handle) = {
            let _inside = runtime.enter();
            change(Builder::new(config).gateway(ANY).media(ANY)).bind().unwrap()
        };
        let server = runtime.spawn(server.run());
        Self { runtime, handle, server }
    }

    fn place(&self, number: u64) -> VoiceInfo {
        let placement = Placement {
            guild: GuildId::new(GUILD),
            ..Placement::new(user(number), channel(CHANNEL))
        };
        self.runtime.block_on(self.handle.place(placement)).unwrap()
    }

    fn join(&self, number: u64) -> Voice {
        let mut voice = Voice::connect(self.handle.addresses().gateway, ticket(self.place(number)));
        wait_for("a key", || {
            voice.step();
            voice.is_connected().then_some(())
        });
        voice
    }

    /// Waits until the server's future has ended by itself.
    fn ends(self) {
        self.runtime.block_on(self.server).unwrap();
        let stats = self.runtime.block_on(self.handle.stats());
        assert_eq!(stats.unwrap_err(), HandleError::Ended);
        assert_eq!(self.handle.subscribe().unwrap_err(), HandleError::Ended);
    }
}

fn ticket(info: VoiceInfo) -> Ticket {
    let (session_id, token) = (info.session_id, info.token.expect("for the client"));
    let user = info.user_id.expect("somebody was placed");
    Ticket { server_id: GUILD, user, session_id, token }
}

fn of(number: u64) -> Target {
    Target { user: Some(user(number)), ..Target::default() }
}

/// Lets one speak and the other listen until `count` frames were heard, and shows that none is
/// missing and their order is right.
fn all_are_heard(speaker: &mut Voice, listener: &mut Voice, count: u16) {
    let mut heard = Vec::new();
    for number in 0..count {
        speaker.role.send_frame(&number.to_be_bytes());
        speaker.step();
        // As fast as they come through: no buffer is ever full.
        wait_for("a frame", || {
            listener.step();
            let frame = listener.frames.pop_front()?;
            heard.push(frame.payload);
            Some(())
        });
    }
    let said = (0..count).map(|number| number.to_be_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(heard, said);
}

#[test]
fn a_subscriber_that_never_reads_misses_events_by_count_and_media_loses_nothing() {
    const CHANGES: u32 = 500;
    const KEPT: usize = 8;
    let host = Host::start(|builder| builder.event_queue(KEPT));
    let mut lazy = host.handle.subscribe().unwrap();
    let (mut ann, mut bob) = (host.join(ANN), host.join(BOB));
    for bitrate in (8_000..).take(CHANGES as usize) {
        let change = host.handle.set_channel(channel(CHANNEL), None, Some(bitrate));
        host.runtime.block_on(change).unwrap();
    }
    all_are_heard(&mut ann, &mut bob, 200);
    all_are_heard(&mut bob, &mut ann, 200);
    let stats = host.runtime.block_on(host.handle.stats()).unwrap();
    assert_eq!((stats.census.sessions, stats.census.channels), (2, 1));
    let relay = &stats.relays[0];
    assert_eq!((relay.legs, relay.stats.packets_in, relay.stats.packets_out), (2, 400, 400));
    for lost in [DropReason::SocketFull, DropReason::TooLate, DropReason::Unfilled] {
        assert_eq!(relay.stats.drops.of(lost), 0);
    }

    // The channel was created by the first placement and changed by each order; two connected.
    let happened = u64::from(1 + CHANGES + 2);
    let missed = host.runtime.block_on(lazy.recv()).unwrap();
    assert_eq!(missed, News::Missed(happened - KEPT as u64));
    for bitrate in (8_000 + CHANGES - KEPT as u32)..(8_000 + CHANGES) {
        let News::Event(event) = host.runtime.block_on(lazy.recv()).unwrap() else {
            panic!("what follows is whole");
        };
        let (client, channel) = (ControlId(0), channel(CHANNEL));
        assert_eq!(event, Event::ChannelUpdated { client, channel, bitrate });
    }
    host.handle.stop();
    assert_eq!(host.runtime.block_on(lazy.recv()), None);
    host.ends();
}

/// A chat server reads nothing until the sockets are full, makes a mistake, and closes its side:
/// everything that was said to it before still comes, and last the reason.
#[test]
fn a_client_that_half_closes_still_receives_its_close_frame() {
    let host = Host::start(|builder| builder.control(ANY));
    let limits = TransportConfig::new(&Limits::default(), 1 << 20);
    let mut client = Transport::connect(None, "localhost", "/", [1; 16], limits).unwrap();
    let mut link = Link::dial(host.handle.addresses().control.unwrap());
    let mut carry = |client: &mut Transport, reads: bool| {
        let written = link.write(client.outbound());
        client.consume(written);
        if reads {
            client.handle_bytes(&link.read());
            if link.ended {
                client.handle_eof();
            }
        }
        client.poll_event()
    };
    wait_for("READY", || {
        let Some(TransportEvent::Text(text)) = carry(&mut client, true) else { return None };
        if text.contains(r#""op":0"#) {
            client.send_text(&format!(r#"{{"op": 1, "d": {{"token": "{SECRET}"}}}}"#));
        }
        text.contains(r#""op":3"#).then_some(())
    });
    let waiting = || host.runtime.block_on(host.handle.stats()).unwrap().census.outbound_bytes;
    let mut bitrate = 8_000;
    wait_for("the sockets to be full", || {
        while client.outbound().len() < 65_536 {
            bitrate += 1;
            let info = format!(r#"{{"id": "{CHANNEL}", "bitrate": {bitrate}}}"#);
            client.send_text(&format!(r#"{{"op": 6, "d": {{"type": 0, "info": {info}}}}}"#));
        }
        carry(&mut client, false);
        (waiting() > 60_000).then_some(())
    });
    client.send_text("no JSON");
    wait_for("everything to be written", || {
        carry(&mut client, false);
        client.outbound().is_empty().then_some(())
    });
    link.half_close();
    let closed = wait_for("the end", || {
        client.handle_bytes(&link.read());
        if link.ended {
            client.handle_eof();
        }
        while let Some(event) = client.poll_event() {
            if let TransportEvent::Closed { code } = event {
                return Some(code);
            }
        }
        None
    });
    assert_eq!(closed, Some(4002), "the reason is told although the client writes no more");
    wait_for("the connection to be forgotten", || {
        let stats = host.runtime.block_on(host.handle.stats()).unwrap();
        (stats.census.connections == 0).then_some(())
    });
    host.handle.stop();
    host.ends();
}

#[test]
fn an_application_drives_channels_and_voice_states_without_lvsp() {
    let host = Host::start(|builder| builder);
    assert_eq!(host.handle.addresses().control, None);
    let told =
        |future: &mut lvsp_tokio::Subscription| host.runtime.block_on(future.recv()).unwrap();
    let mut events = host.handle.subscribe().unwrap();

    let mut ann = host.join(ANN);
    let (client, at) = (ControlId(0), channel(CHANNEL));
    assert_eq!(
        told(&mut events),
        News::Event(Event::ChannelUpdated { client, channel: at, bitrate: 64_000 })
    );
    assert_eq!(
        told(&mut events),
        News::Event(Event::MemberConnected { client, channel: at, user: user(ANN) })
    );
    // Asking for a seat again changes nothing: the client's credentials stay good.
    let state = host.runtime.block_on(host.handle.voice_state(of(ANN))).unwrap().unwrap();
    let again = host.place(ANN);
    assert_eq!(again.session_id.expose(), state.session_id.expose());
    assert_eq!(again.token.unwrap().expose(), state.token.unwrap().expose());

    let muted = VoiceFlagsUpdate { mute: Some(true), ..VoiceFlagsUpdate::default() };
    host.runtime.block_on(host.handle.set_flags(of(ANN), muted)).unwrap();
    let state = host.runtime.block_on(host.handle.voice_state(of(ANN))).unwrap().unwrap();
    assert!(state.flags.mute);
    let nobody = host.runtime.block_on(host.handle.set_flags(of(BOB), muted));
    assert_eq!(nobody, Err(HandleError::Refused(Refused::Unknown("voice state"))));
    let stranger = host.handle.for_client(ControlId(1));
    let refused = host.runtime.block_on(stranger.destroy_channel(at));
    assert_eq!(refused, Err(HandleError::Refused(Refused::Unknown("control client"))));

    // To another channel of the guild: the session ends, a new one waits.
    let guild = GuildId::new(GUILD);
    let there = Placement { guild, ..Placement::new(user(ANN), channel(CHANNEL + 1)) };
    let moved = host.runtime.block_on(host.handle.place(there)).unwrap();
    assert!(moved.flags.mute, "flags go along");
    let closed = wait_for("the end of the old session", || {
        ann.step();
        ann.closed()
    });
    assert_eq!(closed, Some(4014));
    host.runtime.block_on(host.handle.remove(of(ANN))).unwrap();
    assert!(host.runtime.block_on(host.handle.voice_state(of(ANN))).unwrap().is_none());
    host.runtime.block_on(host.handle.destroy_channel(at)).unwrap();
    let stats = host.runtime.block_on(host.handle.stats()).unwrap();
    assert_eq!((stats.census.channels, stats.census.voice_states), (1, 0));
    host.handle.stop();
    host.ends();
}

#[test]
fn a_shutdown_says_goodbye_and_ends_the_future() {
    let host = Host::start(|builder| builder);
    let mut ann = host.join(ANN);
    let gateway = host.handle.addresses().gateway;
    host.handle.shutdown();
    let closed = wait_for("goodbye", || {
        ann.step();
        ann.closed()
    });
    assert_eq!(closed, Some(4015), "resume elsewhere");
    assert!(!ann.events.contains(&VoiceEvent::Unreachable));
    drop(ann);
    host.ends();
    let again = std::net::TcpListener::bind(gateway);
    assert!(again.is_ok(), "the port is free again: {again:?}");
}

#[test]
fn a_server_runs_until_the_applications_signal() {
    let runtime = Runtime::new().unwrap();
    let (signal, waits) = tokio::sync::oneshot::channel::<()>();
    runtime.block_on(async {
        let (server, handle) = Builder::new(config()).gateway(ANY).media(ANY).bind().unwrap();
        let server = tokio::spawn(server.run_until(waits));
        handle.set_host_load(0.25).await.unwrap();
        assert!((handle.stats().await.unwrap().health - 0.75).abs() < 1e-6);
        drop(signal);
        server.await.unwrap();
        assert_eq!(handle.set_host_load(0.5).await, Err(HandleError::Ended));
    });
}

#[test]
fn each_relay_serves_the_channels_that_are_on_it() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let relays = vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0); 2];
    let (server, handle) = {
        let _inside = runtime.enter();
        let config = Config { relays, ..config() };
        Builder::new(config).gateway(ANY).media(ANY).media(ANY).bind().unwrap()
    };
    let server = runtime.spawn(server.run());
    let join = |number, of: u64| {
        let placed = runtime.block_on(handle.place(Placement::new(user(number), channel(of))));
        let ticket = Ticket { server_id: of, ..ticket(placed.unwrap()) };
        let mut voice = Voice::connect(handle.addresses().gateway, ticket);
        wait_for("a key", || {
            voice.step();
            voice.is_connected().then_some(())
        });
        voice
    };
    // Channels are put on the relays in turn.
    for of in [CHANNEL, CHANNEL + 1] {
        let (mut ann, mut bob) = (join(ANN, of), join(BOB, of));
        all_are_heard(&mut ann, &mut bob, 20);
        assert_eq!(ann.media, bob.media);
    }
    let stats = runtime.block_on(handle.stats()).unwrap();
    let packets = stats.relays.iter().map(|relay| relay.stats.packets_out).collect::<Vec<_>>();
    assert_eq!(packets, [20, 20]);
    handle.stop();
    runtime.block_on(server).unwrap();
}

/// Connects over TLS; whether that came about.
fn opens_over_tls(gateway: SocketAddr, ca: &str) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let trust = TlsTrust::from_pem(ca.as_bytes(), now.as_secs()).unwrap();
    let tls = Some((&trust, "localhost"));
    let limits = TransportConfig::new(&Limits::default(), 1 << 20);
    let mut client = Transport::connect(tls, "localhost", "/?v=8", [1; 16], limits).unwrap();
    let mut link = Link::dial(gateway);
    wait_for("an upgrade over TLS or an alert", || {
        let written = link.write(client.outbound());
        client.consume(written);
        client.handle_bytes(&link.read());
        Some(matches!(client.poll_event()?, TransportEvent::Opened { .. }))
    })
}

#[test]
fn a_certificate_can_be_changed_while_the_server_runs() {
    let [old, new] = [(); 2].map(|()| lvsp_mio::development::certificate().unwrap());
    let host = Host::start(|builder| builder.tls(old.identity));
    let gateway = host.handle.addresses().gateway;
    assert!(opens_over_tls(gateway, &old.ca) && !opens_over_tls(gateway, &new.ca));
    host.runtime.block_on(host.handle.set_tls(new.identity)).unwrap();
    wait_for("the new certificate", || opens_over_tls(gateway, &new.ca).then_some(()));
    host.handle.stop();
    host.ends();
}

#[test]
fn a_server_without_media_ends() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (server, handle) = Builder::new(config()).gateway(ANY).media(ANY).bind().unwrap();
        let (control, media) = server.split();
        drop(media);
        let control = tokio::spawn(control);
        let placed = handle.place(Placement::new(user(ANN), channel(CHANNEL))).await.unwrap();
        let mut voice = Voice::connect(handle.addresses().gateway, ticket_alone(placed));
        while !control.is_finished() {
            voice.step();
            tokio::task::yield_now().await;
        }
    });
}

/// Of a user in a channel without a guild.
fn ticket_alone(info: VoiceInfo) -> Ticket {
    Ticket { server_id: CHANNEL, ..ticket(info) }
}

#[test]
fn what_is_missing_or_contradictory_is_named() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let refused = |builder: Builder| builder.bind().map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused(Builder::new(config()).media(ANY)),
        "no gateway listener: call Builder::gateway, or no voice client can connect"
    );
    assert_eq!(
        refused(Builder::new(config()).gateway(ANY)),
        "the configuration names 1 relays and 0 media sockets were given: call Builder::media once \
         for each relay"
    );
    let taken = std::net::TcpListener::bind(ANY).unwrap();
    let error = Builder::new(config())
        .media(ANY)
        .gateway(taken.local_addr().unwrap())
        .bind()
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, BuildError::Socket { what: "gateway", .. }), "{error}");
    let address = taken.local_addr().unwrap();
    assert_eq!(error.to_string(), format!("cannot open the gateway socket at {address}"));
    let nobody = Config { control_clients: Vec::new(), ..config() };
    assert_eq!(
        refused(Builder::new(nobody).control(ANY).media(ANY).gateway(ANY)),
        "Builder::control was called and the configuration names no chat server: add one to \
         Config::control_clients, or give orders by the Handle alone"
    );
    // A listener of the application's own is as good.
    Builder::new(config()).media(ANY).gateway(taken).bind().map(|_| ()).unwrap();
    let identity = lvsp_mio::development::certificate().unwrap().identity;
    let folder = tempfile::tempdir().unwrap();
    let both = Builder::new(config()).media(ANY).gateway(ANY).tls(identity).record(folder.path());
    assert_eq!(
        refused(both),
        "a recording needs plain TCP: give either a certificate or a folder for recordings"
    );
    let nowhere = Builder::new(config()).media(ANY).gateway(ANY).record("/nowhere");
    assert_eq!(refused(nowhere), "cannot record into /nowhere");
}

#[test]
fn an_application_without_chat_servers_names_none_and_is_told_why_nobody_hears() {
    let host = Host::start_with(Config { control_clients: Vec::new(), ..config() }, |b| b);
    let why = |speaker, listener| {
        let targets =
            [speaker, listener].map(|number| Target::member(channel(CHANNEL), user(number)));
        let [speaker, listener] = targets;
        host.runtime.block_on(host.handle.explain(speaker, listener)).unwrap()
    };
    assert!(why(ANN, BOB).is_none(), "nobody is there");
    host.place(BOB);
    let mut ann = host.join(ANN);
    let explained = why(ANN, BOB).unwrap();
    assert!(explained.summary.starts_with("Not heard (listener session)"), "{}", explained.summary);
    let mut bob = host.join(BOB);
    wait_for("both to be heard", || {
        ann.role.send_frame(b"a frame");
        ann.step();
        bob.step();
        why(ANN, BOB).unwrap().audible.then_some(())
    });
    let muted = VoiceFlagsUpdate { mute: Some(true), ..VoiceFlagsUpdate::default() };
    let target = Target::member(channel(CHANNEL), user(ANN));
    host.runtime.block_on(host.handle.set_flags(target, muted)).unwrap();
    let explained = why(ANN, BOB).unwrap();
    assert!(explained.summary.starts_with("Not heard (mute)"), "{}", explained.summary);
    // Another chat server's application sees nothing of it.
    let other = host.handle.for_client(ControlId(1));
    let targets = [ANN, BOB].map(|number| Target::member(channel(CHANNEL), user(number)));
    let [speaker, listener] = targets;
    assert!(host.runtime.block_on(other.explain(speaker, listener)).unwrap().is_none());
    host.handle.stop();
    host.ends();
}
