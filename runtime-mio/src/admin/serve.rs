//! Connections of the admin plane: how many there are at once, how long a request may take to come
//! and an answer to go, and how large a request's head may be.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time;

/// Connections at once: a dashboard or two, a scraper, a health check.
pub(crate) const CONNECTIONS_MAX: usize = 16;
/// A request's head has to come within this time; a connection without requests lasts as long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection lasts no longer, whatever it does: a reader that does not read holds an answer.
const LIFETIME: Duration = Duration::from_secs(180);
/// The largest head of a request, in bytes.
pub(crate) const HEAD_BYTES: usize = 16 * 1_024;
/// How long to wait when there is no descriptor for another connection.
const PAUSE: Duration = Duration::from_millis(100);
/// What is said to one connection too many.
const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    content-length: 49\r\nconnection: close\r\ncache-control: no-store\r\n\r\n\
    {\"error\":\"too many connections; try again soon\"}\n";

/// Accepts connections until it is told to stop.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return Ok(()),
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "accepting a connection of the admin plane");
                time::sleep(PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let router = router.clone();
                tokio::spawn(async move {
                    let _ = time::timeout(LIFETIME, converse(stream, router)).await;
                    drop(place);
                });
            }
            Err(_) => refuse(&stream),
        }
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES);
    let service = TowerToHyperService::new(router);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection of the admin plane");
    }
}

/// Says so and closes. There is room for so little in any socket, and nobody waits for one that has
/// none.
fn refuse(stream: &TcpStream) {
    // What was read is not answered by a reset.
    let _ = stream.try_read(&mut [0; 4_096]);
    let _ = stream.try_write(TOO_MANY.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_one_too_many_is_as_long_as_it_says() {
        let (_, body) = TOO_MANY.split_once("\r\n\r\n").unwrap();
        assert!(
            TOO_MANY.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
    }
}
