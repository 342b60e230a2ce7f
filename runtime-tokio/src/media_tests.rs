//! One relay's task, poll by poll, with a client on a real socket.

use std::net::Ipv4Addr;
use std::task::Waker;

use lvsp_core::config::MediaConfig;
use lvsp_core::ids::{LegId, RoomId, Ssrc};
use lvsp_core::limits::Limits;
use lvsp_core::media::command::Permissions;
use lvsp_core::reasons::DropReason;
use lvsp_core::slab::Slab;
use lvsp_core::wire::discovery;

use super::*;

struct Fixture {
    media: Media,
    commands: mpsc::Sender<RelayCommand>,
    relay_events: mpsc::Receiver<(RelayId, RelayEvent)>,
    legs: Slab<LegId, ()>,
    room: RoomId,
    client: std::net::UdpSocket,
}

impl Fixture {
    async fn new() -> Self {
        let loopback = MediaConfig { loopback: true, ..MediaConfig::default() };
        let (commands, orders) = mpsc::channel(2 * COMMANDS);
        let (events, relay_events) = mpsc::channel(1);
        let (_, questions) = mpsc::channel(1);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.connect(socket.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let media = Media::new(Parts {
            relay: RecordedRelay::new(RelayId(0), &Limits::default(), loopback, false),
            socket,
            commands: orders,
            events,
            questions,
            inboxes: Vec::new(),
            clock: Clock::start(),
            latency: Duration::from_secs(10),
            coalesce: Duration::ZERO,
            sink: None,
        });
        let room = Slab::<RoomId, ()>::default().insert(());
        Self { media, commands, relay_events, legs: Slab::default(), room, client }
    }

    /// Queues the opening of a leg.
    fn open(&mut self, ssrc: u32) {
        let permissions = Permissions { speak: true, hear: true };
        let (leg, room) = (self.legs.insert(()), self.room);
        let (ssrc, peer, bitrate) = (Ssrc(ssrc), None, 64_000);
        let open = RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions };
        self.commands.try_send(open).unwrap();
    }

    /// Sends a discovery request of this leg.
    fn ask(&self, ssrc: u32) {
        let mut request = [0; discovery::LEN];
        discovery::write_request(&mut request, Ssrc(ssrc));
        self.client.send(&request).unwrap();
    }

    fn poll(&mut self) -> Poll<()> {
        Pin::new(&mut self.media).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Lets the runtime look at its sockets.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().event_interval(1).build().unwrap()
}

#[test]
fn datagrams_wait_for_every_command_from_before_them() {
    runtime().block_on(async {
        let mut fixture = Fixture::new().await;
        // The last of more commands than one turn applies opens the leg that asks.
        let last = 4 * (COMMANDS as u32 + 100);
        for number in 1..=last / 4 {
            fixture.open(4 * number);
        }
        fixture.ask(last);
        Fixture::settle().await;
        assert!(fixture.poll().is_pending());
        assert_eq!(fixture.media.relay.stats().datagrams_in, 0, "it waits");
        assert!(fixture.poll().is_pending());
        assert_eq!(fixture.media.relay.stats().discovery_replies, 1);
        assert_eq!(fixture.media.relay.stats().drops.of(DropReason::UnknownSsrc), 0);
        assert!(fixture.client.recv(&mut [0; 100]).is_ok(), "the answer is on its way");
    });
}

#[test]
fn a_turn_handles_a_bounded_number_of_datagrams() {
    runtime().block_on(async {
        let mut fixture = Fixture::new().await;
        for _ in 0..DATAGRAMS + 50 {
            fixture.ask(4);
        }
        Fixture::settle().await;
        assert!(fixture.poll().is_pending());
        assert_eq!(fixture.media.relay.stats().datagrams_in, DATAGRAMS as u64);
        assert!(fixture.poll().is_pending());
        assert_eq!(fixture.media.relay.stats().datagrams_in, DATAGRAMS as u64 + 50);
    });
}

/// Polled when it is woken, and only then.
#[test]
fn nothing_is_forgotten_when_many_speakers_become_few() {
    runtime().block_on(async {
        let mut fixture = Fixture::new().await;
        fixture.media.coalescer = Coalescer::new(Duration::from_millis(2));
        // Each asks once, as nobody is answered often.
        (1..=540).for_each(|number| fixture.open(4 * number));
        let Fixture { media, client, commands: _open, .. } = fixture;
        let task = tokio::spawn(media);
        let mut numbers = 1..;
        for (burst, rounds, pause_ms) in [(5, 50, 0), (1, 20, 5), (5, 50, 0), (1, 20, 5)] {
            for _ in 0..rounds {
                for number in numbers.by_ref().take(burst) {
                    let mut request = [0; discovery::LEN];
                    discovery::write_request(&mut request, Ssrc(4 * number));
                    client.send(&request).unwrap();
                }
                let answers = async {
                    let mut missing = burst;
                    while missing > 0 {
                        missing -= usize::from(client.recv(&mut [0; 100]).is_ok());
                        tokio::time::sleep(Duration::from_micros(100)).await;
                    }
                };
                let answered = tokio::time::timeout(Duration::from_secs(20), answers).await;
                answered.expect("nobody woke the task for a datagram");
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
        }
        assert!(!task.is_finished());
    });
}

#[test]
fn events_wait_for_room_and_none_is_lost() {
    runtime().block_on(async {
        let mut fixture = Fixture::new().await;
        for number in 1..=3 {
            fixture.open(4 * number);
            fixture.media.turn(&mut Context::from_waker(Waker::noop()));
        }
        // Three legs get an address and a key, which is news; there is room for one at a time.
        for number in 1..=3 {
            fixture.ask(4 * number);
        }
        Fixture::settle().await;
        assert!(fixture.poll().is_pending());
        let legs = fixture.legs.ids().collect::<Vec<_>>();
        for leg in &legs {
            let key = lvsp_core::crypto::cipher::MediaKey::new([7; 32]);
            let mode = lvsp_core::crypto::mode::Mode::Aes256GcmRtpSize;
            let set =
                RelayCommand::SetKey { leg: *leg, mode, key, nonce_prefix: [0; 20], claimed: None };
            fixture.commands.try_send(set).unwrap();
        }
        let mut told = Vec::new();
        for _ in 0..10 {
            assert!(fixture.poll().is_pending());
            while let Ok((_, event)) = fixture.relay_events.try_recv() {
                let RelayEvent::Bound { leg, .. } = event else { panic!("{event:?}") };
                told.push(leg);
            }
        }
        told.sort();
        assert_eq!(told, legs);
    });
}

#[test]
fn the_task_ends_with_its_server() {
    runtime().block_on(async {
        let mut fixture = Fixture::new().await;
        assert!(fixture.poll().is_pending());
        let Fixture { mut media, commands, .. } = fixture;
        drop(commands);
        let polled = Pin::new(&mut media).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready());
    });
}
