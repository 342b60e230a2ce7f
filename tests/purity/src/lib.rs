//! Links a server, a relay and both client roles into one WebAssembly module. Whatever they need
//! of the world outside would stand in its import section; `scripts/purity.sh` looks there.

use lvsp_core::client::{ChatServer, Role as _};
use lvsp_core::config::{Config, MediaConfig};
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::ids::RelayId;
use lvsp_core::media::TransmitBatch;
use lvsp_core::output::{Output, Plane};
use lvsp_core::record::{RecordedRelay, RecordedServer, replay};
use lvsp_core::time::Timestamp;

/// The source of random bytes that a library asks for masks of client frames: there is none.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    _: *mut u8,
    _: usize,
) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}

/// Feeds everything to everything, so that nothing is optimised away.
#[unsafe(no_mangle)]
pub extern "C" fn probe(seed: u64) -> u64 {
    let now = Timestamp::from_micros(seed);
    let relay = "192.0.2.1:5000".parse().ok();
    let config = Config::new(String::new(), relay.into_iter().collect());
    let (limits, address) = (config.limits.clone(), "192.0.2.2:6000".parse().ok());
    let mut relay = RecordedRelay::new(RelayId(0), &limits, MediaConfig::default(), true);
    let Ok(mut server) = RecordedServer::new(config, Box::new(SeededEntropy::new(seed)), now, true)
    else {
        return 1;
    };
    let entropy = &mut SeededEntropy::new(seed);
    let chat = ChatServer::connect("secret".into(), true, None, "localhost", entropy);
    let (Some(address), Ok(chat)) = (address, chat) else { return 2 };
    let Ok(conn) = server.handle_accept(now, Plane::Control, address) else { return 3 };
    server.handle_bytes(now, conn, chat.outbound());
    let mut bytes = 0;
    while let Some(output) = server.poll_output() {
        if let Output::Relay(_, command) = output {
            relay.handle_command(now, command);
        }
        let waiting = server.outbound(conn).len();
        bytes += waiting as u64;
        server.consume(now, conn, waiting);
    }
    let mut batch = TransmitBatch::with_capacity(1_500, 1);
    let _ = relay.handle_datagram(now, address, &mut seed.to_le_bytes()).fill(&mut batch);
    bytes + u64::from(replay(&server.take_recording()).is_ok())
}
