//! A dropped server leaves nothing behind, wherever it was in its work.
//!
//! One test in a process of its own: it counts the descriptors of the process.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

#[path = "peers.rs"]
mod peers;

use std::fs;
use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::task::Poll;
use std::time::Duration;

use lvsp_core::config::Config;
use lvsp_tokio::{Builder, Handle, Server};
use tokio::time::timeout;

use peers::{Chat, Voice, chat_servers, patient_limits};

const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// Far more than a call from its beginning to its end takes.
const AWAITS_MAX: usize = 5_000;

/// What a call says before its end.
const FRAMES: usize = 20;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("a Linux system").count()
}

fn server() -> (Server, Handle) {
    let config = Config {
        control_clients: chat_servers(),
        drain: Duration::ZERO,
        limits: patient_limits(),
        ..Config::new(String::new(), vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)])
    };
    Builder::new(config).control(ANY).gateway(ANY).media(ANY).bind().unwrap()
}

/// How far a call has come.
#[derive(Default)]
struct Call {
    chat: Option<Chat>,
    placed: bool,
    voice: Option<Voice>,
    frames: usize,
}

impl Call {
    /// One step of everybody, towards the end of the call.
    fn step(&mut self, handle: &Handle) {
        let addresses = handle.addresses();
        let chat =
            self.chat.get_or_insert_with(|| Chat::connect(addresses.control.expect("asked for")));
        chat.step();
        if !chat.is_ready() {
            return;
        }
        let Some(voice) = &mut self.voice else {
            if let Some(ticket) = chat.ticket(1, 7) {
                self.voice = Some(Voice::connect(addresses.gateway, ticket));
            } else if !std::mem::replace(&mut self.placed, true) {
                chat.place(1, 7);
            }
            return;
        };
        voice.step();
        if voice.is_connected() {
            voice.role.send_frame(b"frame");
            self.frames += 1;
        }
        if self.frames == FRAMES {
            handle.shutdown();
        }
    }
}

/// Polls a server up to the given await and drops it there; whether it had ended before.
async fn drop_at(await_number: usize) -> bool {
    let (server, handle) = server();
    let mut call = Call::default();
    let mut ended = false;
    let mut run = Box::pin(server.run());
    for _ in 0..=await_number {
        call.step(&handle);
        ended = poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await;
        if ended {
            break;
        }
        // A drain takes seconds; those pass here as fast as they are asked for.
        let pause = if call.frames < FRAMES { Duration::ZERO } else { Duration::from_millis(200) };
        tokio::time::advance(pause).await;
    }
    drop(run);
    // Nobody is served any more, and everybody who asks learns it instead of waiting.
    let asked = timeout(Duration::from_secs(1), handle.stats()).await;
    asked.expect("an answer at once").unwrap_err();
    handle.subscribe().unwrap_err();
    ended
}

#[test]
fn dropping_the_future_at_any_await_leaves_no_descriptor_and_no_task() {
    // It looks at its sockets after every poll, so that a call takes few of them.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().event_interval(1).start_paused(true).build().unwrap();
    // What a runtime and a clock open for themselves once.
    runtime.block_on(drop_at(0));
    let before = descriptors();
    let mut awaits = 0..AWAITS_MAX;
    let last = awaits.find(|await_number| {
        let ended = runtime.block_on(drop_at(*await_number));
        assert_eq!(descriptors(), before, "after a drop at await {await_number}");
        let tasks = runtime.metrics().num_alive_tasks();
        assert_eq!(tasks, 0, "after a drop at await {await_number}");
        ended
    });
    // Only a call that came to its end shows that every await on the way was tried.
    assert!(last.is_some_and(|last| last > 20), "{last:?}");
}
