//! A server that is bound, and the futures that serve it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::control::Control;
use crate::media::Media;

/// A voice server whose sockets are bound. [`Self::run`] is the future to spawn.
///
/// Nothing is spawned behind the application's back: a server lives in the futures that it gives
/// out, and dropping them closes every socket at once.
#[derive(Debug)]
#[must_use = "nobody is served before it is run"]
pub struct Server {
    control: Control,
    media: Vec<Media>,
}

impl Server {
    pub(crate) const fn new(control: Control, media: Vec<Media>) -> Self {
        Self { control, media }
    }

    /// Serves, until a [`Handle`](crate::Handle) ends it. Everything happens in the task that polls
    /// this; [`Self::split`] spreads it.
    pub async fn run(self) {
        let mut running = Running { control: Some(self.control), media: self.media };
        poll_fn(|cx| running.poll(cx)).await;
    }

    /// Serves until `signal` is ready, and then shuts down gracefully as
    /// [`Handle::shutdown`](crate::Handle::shutdown) does.
    pub async fn run_until(self, signal: impl Future) {
        let mut running = Running { control: Some(self.control), media: self.media };
        let mut signal = pin!(signal);
        let mut waits = true;
        poll_fn(|cx| {
            if waits && signal.as_mut().poll(cx).is_ready() {
                waits = false;
                running.begin_shutdown();
            }
            running.poll(cx)
        })
        .await;
    }

    /// The parts of the server, each a future for a task of its own: so media is not kept waiting
    /// by TLS handshakes, and each relay may use a core.
    ///
    /// The media futures end when the control future has ended or is dropped. When one of them is
    /// dropped before, the control future ends, because a server without media is worse than none.
    #[must_use = "nobody is served before all of them are polled"]
    pub fn split(self) -> (Control, Vec<Media>) {
        (self.control, self.media)
    }
}

/// All parts in one task.
struct Running {
    control: Option<Control>,
    media: Vec<Media>,
}

impl Running {
    fn begin_shutdown(&self) {
        if let Some(control) = &self.control {
            control.begin_shutdown();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(control) = &mut self.control
            && Pin::new(control).poll(cx).is_ready()
        {
            // Dropped now, so that the relays see that it is gone.
            self.control = None;
        }
        self.media.retain_mut(|media| Pin::new(media).poll(cx).is_pending());
        if self.control.is_none() && self.media.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
