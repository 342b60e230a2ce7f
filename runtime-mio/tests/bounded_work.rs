//! No peer makes one turn of an event loop long: everything is counted, nothing is timed.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvsp_core::limits::Limits;
use lvsp_core::transport::{Transport, TransportConfig, TransportEvent};
use lvsp_mio::{Budgets, Runtime, StopHandle, TurnStats, Watch, Work, development};

use common::{Chat, OneByteRecords, SECRET, Voice, options, wait_for};

/// A server on a thread of its own.
struct Running {
    thread: JoinHandle<std::io::Result<TurnStats>>,
    stop: StopHandle,
    watch: Watch,
}

impl Running {
    fn start(runtime: Runtime) -> Self {
        let (stop, watch) = (runtime.stop_handle(), runtime.watch());
        Self { thread: thread::spawn(|| runtime.run()), stop, watch }
    }

    fn stop(self) -> TurnStats {
        self.stop.stop();
        self.thread.join().expect("no panic").expect("the loop ends well")
    }
}

fn assert_within(stats: &TurnStats, budgets: &Budgets) {
    let media = stats.media[0];
    for (name, work, budget) in [
        ("accepts", stats.accepts, budgets.accepts),
        ("reads", stats.reads, budgets.reads),
        ("relay events", stats.relay_events, budgets.relay_events),
        ("writes", stats.writes, budgets.writes),
        ("written bytes", stats.write_bytes, budgets.write_bytes),
        ("datagrams", media.datagrams, budgets.datagrams),
        ("commands", media.commands, budgets.commands),
        ("events", media.events, budgets.events),
    ] {
        assert!(work.max <= budget as u64, "{} {name} in one turn, {budget} allowed", work.max);
    }
}

/// Datagrams that no relay wants, each another: noise, RTP and RTCP of nobody, discovery of
/// nobody, pings.
struct Garbage(u64);

impl Garbage {
    fn next(&mut self) -> [u8; 74] {
        let mut datagram = [0; 74];
        for chunk in datagram.chunks_mut(8) {
            // Xorshift: any numbers do.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_be_bytes()[..chunk.len()]);
        }
        match self.0 % 5 {
            0 => datagram[..2].copy_from_slice(&[0x80, 0x78]),
            1 => datagram[..2].copy_from_slice(&[0x80, 200]),
            2 => datagram[..4].copy_from_slice(&[0, 1, 0, 70]),
            _ => {}
        }
        datagram
    }
}

/// Sends garbage at this rate, as well as the machine can, until all of it is sent.
fn flood(target: SocketAddr, per_s: u64, total: u64) -> (JoinHandle<()>, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let thread = thread::spawn(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let mut garbage = Garbage(0x9E37_79B9_7F4A_7C15);
        let begun = Instant::now();
        while count.load(Ordering::Relaxed) < total {
            let due = begun.elapsed().as_micros() as u64 * per_s / 1_000_000;
            while count.load(Ordering::Relaxed) < due.min(total) {
                if socket.send_to(&garbage.next(), target).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            thread::sleep(Duration::from_micros(100));
        }
    });
    (thread, sent)
}

#[test]
fn a_join_in_one_byte_records_under_a_flood_takes_few_and_short_turns() {
    const PER_S: u64 = 200_000;
    // Two seconds of it; a join takes a fraction of one.
    const TOTAL: u64 = 400_000;

    let development = development::certificate().expect("a certificate");
    let runtime = Runtime::bind(options(Some(development.identity))).expect("free ports");
    let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
    let media = runtime.media_addresses()[0];
    let budgets = Budgets::default();
    // More than one turn's budget is there from the first turn on.
    let early = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut garbage = Garbage(1);
    for _ in 0..2 * budgets.datagrams {
        early.send_to(&garbage.next(), media).unwrap();
    }
    let running = Running::start(runtime);
    let (flood, sent) = flood(media, PER_S, TOTAL);
    wait_for("the flood to arrive", || {
        (running.watch.stats().media[0].datagrams.total > 10_000).then_some(())
    });

    let before = running.watch.turns();
    let mut chat = Chat::connect(control, SECRET, Some(&development.ca));
    let ticket = chat.place(10, None);
    // The next byte leaves when the one before was read: no two share a turn.
    let watch = running.watch.clone();
    let mut read = 0;
    let after_record = Box::new(move || {
        read = wait_for("a byte to be read", || {
            Some(watch.stats().reads.total).filter(|total| *total > read)
        });
    });
    let stream = OneByteRecords::connect(gateway, &development.ca, after_record);
    let mut voice = Voice::new(stream, ticket);
    voice.join();
    let turns = running.watch.turns() - before;

    flood.join().expect("no panic");
    let sent = sent.load(Ordering::Relaxed);
    let records = voice.stream.records;
    let stats = running.stop();
    assert!(sent >= TOTAL, "only {sent} datagrams were sent");
    assert!(records > 400, "only {records} records: the client did not cut its bytes");
    assert!(turns >= records, "{turns} turns for {records} records: some came together");
    assert!(turns <= 1_000, "a join took {turns} turns");
    assert_eq!(stats.media[0].datagrams.max, budgets.datagrams as u64, "the budget was reached");
    assert_within(&stats, &budgets);
}

#[test]
fn what_waited_before_the_start_is_taken_a_budget_at_a_time() {
    let mut options = options(None);
    options.limits.handshakes_per_s = 100_000;
    options.budgets = Budgets {
        accepts: 3,
        reads: 2,
        relay_events: 1,
        writes: 1,
        write_bytes: 50,
        datagrams: 10,
        handovers: 1,
        commands: 1,
        events: 1,
    };
    let budgets = options.budgets;
    let runtime = Runtime::bind(options).expect("free ports");
    let media = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..95 {
        media.send_to(b"garbage", runtime.media_addresses()[0]).unwrap();
    }
    let mut strangers: Vec<_> = (0..20)
        .map(|_| {
            let mut stranger = TcpStream::connect(runtime.gateway_address()).unwrap();
            stranger.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stranger
        })
        .collect();
    let control = runtime.control_address();
    let gateway = runtime.gateway_address();
    let running = Running::start(runtime);
    for stranger in &mut strangers {
        let mut answer = Vec::new();
        stranger.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 426 ") && answer.len() > 50, "{answer}");
    }
    // A whole join, a step at a time.
    let mut chat = Chat::connect(control, SECRET, None);
    for user in 10..13 {
        let ticket = chat.place(user, None);
        Voice::new(common::dial(gateway), ticket).join();
    }
    wait_for("every datagram", || {
        (running.watch.stats().media[0].datagrams.total >= 95 + 3).then_some(())
    });
    let stats = running.stop();
    assert_within(&stats, &budgets);
    assert_eq!(stats.accepts, Work { total: 24, max: 3 });
    assert_eq!((stats.reads.max, stats.writes.max, stats.write_bytes.max), (2, 1, 50));
    let media = stats.media[0];
    assert_eq!((media.datagrams.max, media.commands.max, media.events.max), (10, 1, 1));
    assert!(media.commands.total >= 6, "three legs were opened and keyed");
}

#[test]
fn connections_over_the_pace_wait_without_keeping_the_server_busy() {
    const PER_S: u64 = 100;
    const STRANGERS: u64 = 30;

    let mut options = options(None);
    options.limits.handshakes_per_s = PER_S;
    let runtime = Runtime::bind(options).expect("free ports");
    let mut strangers: Vec<_> = (0..STRANGERS)
        .map(|_| {
            let mut stranger = TcpStream::connect(runtime.gateway_address()).unwrap();
            stranger.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stranger
        })
        .collect();
    let begun = Instant::now();
    let running = Running::start(runtime);
    for stranger in &mut strangers {
        let mut answer = Vec::new();
        stranger.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 426 "));
    }
    let took = begun.elapsed();
    let stats = running.stop();
    assert_eq!(stats.accepts.total, STRANGERS);
    // The first comes at once, and one more may have been caught up.
    let least = Duration::from_millis((STRANGERS - 2) * 1_000 / PER_S);
    assert!(took >= least, "{STRANGERS} connections in {took:?}, at {PER_S} a second");
    // Each is accepted, read, answered and ended; a loop that spins takes thousands.
    assert!(stats.turns <= 8 * STRANGERS, "{} turns to wait", stats.turns);
}

/// A client makes a mistake and closes its side at once; the reason is still being written then, a
/// byte a turn.
#[test]
fn who_half_closes_is_still_written_everything() {
    let mut options = options(None);
    options.budgets.write_bytes = 1;
    let runtime = Runtime::bind(options).expect("free ports");
    let mut stream = common::dial(runtime.gateway_address());
    let running = Running::start(runtime);
    let limits = TransportConfig::new(&Limits::default(), 1 << 16);
    let mut client = Transport::connect(None, "localhost", "/?v=8", [1; 16], limits).unwrap();
    let closed = wait_for("the end", || {
        let bytes = client.outbound().to_vec();
        stream.write_all(&bytes).unwrap();
        client.consume(bytes.len());
        match common::look(&mut stream) {
            Some(bytes) if bytes.is_empty() => client.handle_eof(),
            Some(bytes) => client.handle_bytes(&bytes),
            None => {}
        }
        let event = client.poll_event()?;
        if let TransportEvent::Opened { .. } = event {
            client.send_text("no JSON");
            stream.write_all(client.outbound()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            client.consume(client.outbound().len());
        }
        if let TransportEvent::Closed { code } = event { Some(code) } else { None }
    });
    assert_eq!(closed, Some(4002));
    running.stop();
}

#[test]
fn chat_servers_connect_from_allowed_networks_alone() {
    for (networks, allowed) in [("192.0.2.0/24", false), ("127.0.0.0/8", true)] {
        let mut options = options(None);
        options.control_allow = vec![networks.parse().unwrap()];
        let runtime = Runtime::bind(options).expect("free ports");
        let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
        let running = Running::start(runtime);
        for (address, answered) in [(control, allowed), (gateway, true)] {
            let mut stream = TcpStream::connect(address).unwrap();
            // Whoever is refused may find the connection gone already.
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert_eq!(answer.starts_with(b"HTTP/1.1 426 "), answered, "{networks}");
        }
        running.stop();
    }
}
