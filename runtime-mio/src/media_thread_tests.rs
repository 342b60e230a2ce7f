//! One media thread on this thread, turn by turn, with a clock that the test moves.

use std::cell::Cell;

use lvsp_core::config::MediaConfig;
use lvsp_core::ids::{LegId, RoomId, Ssrc};
use lvsp_core::limits::Limits;
use lvsp_core::media::command::Permissions;
use lvsp_core::reasons::DropReason;
use lvsp_core::slab::Slab;
use lvsp_core::wire::discovery;

use super::*;

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(1_000_000) };
    /// Looks at the clock until it jumps.
    static JUMP_IN: Cell<Option<u32>> = const { Cell::new(None) };
}

/// It stands still, but for one jump that the test asked for.
fn clock() -> Timestamp {
    JUMP_IN.set(JUMP_IN.get().map(|looks| looks.wrapping_sub(1)));
    if JUMP_IN.get() == Some(0) {
        NOW_MS.set(NOW_MS.get() + 101);
    }
    Timestamp::from_millis(NOW_MS.get())
}

/// The clock is read when datagrams were received, then before commands are applied, then before
/// datagrams are handled.
const BETWEEN_RECEIVING_AND_HANDLING: Option<u32> = Some(3);

struct Fixture {
    thread: MediaThread,
    commands: Arc<Queue<RelayCommand>>,
    events: Arc<Queue<(RelayId, RelayEvent)>>,
    legs: Slab<LegId, ()>,
    room: RoomId,
    client: UdpSocket,
}

impl Fixture {
    fn new(budgets: Budgets) -> Self {
        let socket = || UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKE).unwrap());
        let events = Queue::new(1, waker);
        let loopback = MediaConfig { loopback: true, ..MediaConfig::default() };
        let (mut thread, commands, _) = MediaThread::new(MediaParts {
            relay: RecordedRelay::new(RelayId(0), &Limits::default(), loopback, false),
            socket: socket(),
            commands: 65_536,
            events: Arc::clone(&events),
            stop: Arc::default(),
            budgets,
            counters: Arc::default(),
            latency: Duration::from_millis(100),
            coalesce: Duration::ZERO,
            sink: None,
        })
        .unwrap();
        thread.clock = clock;
        let room = Slab::<RoomId, ()>::default().insert(());
        Self { thread, commands, events, legs: Slab::default(), room, client: socket() }
    }

    /// Queues the opening of a leg.
    fn open(&mut self) -> Ssrc {
        let leg = self.legs.insert(());
        let ssrc = Ssrc(4 * self.legs.len() as u32);
        let permissions = Permissions { speak: true, hear: true };
        let open = RelayCommand::Open {
            leg,
            room: self.room,
            ssrc,
            peer: None,
            bitrate: 64_000,
            permissions,
        };
        self.commands.push(open).unwrap();
        ssrc
    }

    fn send(&self, bytes: &[u8]) {
        let server = self.thread.socket.local_addr().unwrap();
        self.client.send_to(bytes, server).unwrap();
    }

    fn discover(&self, ssrc: Ssrc) {
        let mut request = [0; discovery::LEN];
        discovery::write_request(&mut request, ssrc);
        self.send(&request);
    }

    fn answers(&self) -> usize {
        let mut buffer = [0; 100];
        (0..).take_while(|_| self.client.recv_from(&mut buffer).is_ok()).count()
    }

    fn drops(&self, reason: DropReason) -> u64 {
        self.thread.relay.stats().drops.of(reason)
    }

    fn work(&self) -> crate::MediaTurnStats {
        let media = vec![Arc::clone(&self.thread.counters)];
        crate::Watch(Arc::new(crate::turns::Counters { control: Arc::default(), media }))
            .stats()
            .media[0]
    }
}

/// An RTP header of nobody.
const VOICE: [u8; 40] = {
    let mut packet = [0; 40];
    (packet[0], packet[1]) = (0x80, 0x78);
    packet
};

#[test]
fn voice_older_than_the_budget_is_not_opened() {
    let mut fixture = Fixture::new(Budgets::default());
    fixture.send(&VOICE);
    fixture.thread.turn(true);
    assert_eq!(fixture.drops(DropReason::UnknownSsrc), 1, "in time it is looked at");

    JUMP_IN.set(BETWEEN_RECEIVING_AND_HANDLING);
    fixture.send(&VOICE);
    fixture.thread.turn(true);
    assert_eq!(fixture.drops(DropReason::TooLate), 1);
    assert_eq!(fixture.drops(DropReason::UnknownSsrc), 1);
}

#[test]
fn a_late_discovery_request_is_answered() {
    let mut fixture = Fixture::new(Budgets::default());
    let ssrc = fixture.open();
    fixture.discover(ssrc);
    JUMP_IN.set(BETWEEN_RECEIVING_AND_HANDLING);
    fixture.thread.turn(true);
    assert_eq!((fixture.answers(), fixture.drops(DropReason::TooLate)), (1, 0));
}

#[test]
fn a_turn_takes_no_more_datagrams_than_its_budget() {
    let mut fixture = Fixture::new(Budgets { datagrams: 100, ..Budgets::default() });
    for _ in 0..250 {
        fixture.send(&VOICE);
    }
    for (handled, more) in [(100, true), (200, true), (250, false)] {
        assert_eq!(fixture.thread.turn(true), more);
        assert_eq!(fixture.drops(DropReason::UnknownSsrc), handled);
    }
    assert_eq!(fixture.work().datagrams, crate::Work { total: 250, max: 100 });
}

#[test]
fn datagrams_wait_for_every_command_that_came_before_them() {
    let mut fixture = Fixture::new(Budgets { commands: 3, ..Budgets::default() });
    let first: Vec<_> = (0..5).map(|_| fixture.open()).collect();
    fixture.discover(first[4]);
    assert!(!fixture.thread.turn(true), "the socket is empty");
    assert_eq!(fixture.answers(), 0, "its leg is not open yet");
    assert_eq!(fixture.thread.timeout(false), Some(Duration::ZERO), "there is work left");
    // Queued behind what was left, before the next datagram.
    let second = fixture.open();
    fixture.discover(second);
    for _ in 0..2 {
        fixture.thread.turn(true);
    }
    assert_eq!(fixture.answers(), 2);
    assert_eq!(fixture.drops(DropReason::UnknownSsrc), 0);
    assert_eq!(fixture.work().commands, crate::Work { total: 6, max: 3 });
    fixture.thread.turn(true);
    assert_eq!(fixture.thread.timeout(false), None);
}

#[test]
fn events_wait_for_room_and_for_their_budget() {
    let mut fixture = Fixture::new(Budgets { events: 1, ..Budgets::default() });
    for _ in 0..3 {
        let ssrc = fixture.open();
        let leg = fixture.legs.ids().last().unwrap();
        let key = lvsp_core::crypto::cipher::MediaKey::new([1; 32]);
        let mode = lvsp_core::crypto::mode::Mode::Aes256GcmRtpSize;
        let nonce_prefix = [0; 20];
        let set = RelayCommand::SetKey { leg, mode, key, nonce_prefix, claimed: None };
        fixture.commands.push(set).unwrap();
        fixture.discover(ssrc);
    }
    let mut heard = VecDeque::new();
    fixture.thread.turn(true);
    assert_eq!(fixture.thread.timeout(false), Some(Duration::ZERO), "one event is one turn");
    fixture.thread.turn(false);
    assert_eq!(fixture.thread.timeout(false), Some(RETRY), "the queue is full");
    for _ in 0..3 {
        fixture.events.take_all(&mut heard);
        heard.clear();
        fixture.thread.turn(false);
    }
    assert_eq!(fixture.work().events, crate::Work { total: 3, max: 1 });
    assert_eq!(fixture.thread.timeout(false), None);
}
