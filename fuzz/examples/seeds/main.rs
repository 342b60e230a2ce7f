//! Writes the hand-made inputs that are not plain text into `corpus/`:
//! `cargo run --example seeds`, in this folder. JSON inputs are files to be read and written as such.

mod connections;
mod headers;
mod relay;
mod runs;

use std::path::Path;
use std::{fs, io};

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [
        ("core_ops", runs::core_ops()),
        ("dave_ops", runs::dave_ops()),
        ("gw_binary", runs::gw_binary()),
        ("proxy_client", connections::proxy_client()),
        ("replay_window", headers::replay_window()),
        ("resume_diff", runs::resume_diff()),
        ("rtcp", headers::rtcp()),
        ("rtp_header", headers::rtp_header()),
        ("udp_datagram", relay::udp_datagram()),
        ("ws_frames", connections::ws_frames()),
        ("ws_upgrade", connections::ws_upgrade()),
    ] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

/// Parts one behind the other.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}
