//! Fuzz targets as plain functions, so that `cargo test` on a stable toolchain replays the corpus.
//!
//! One module for each target. A body takes any bytes, and asserts what must hold for them: that a
//! reader agrees with another one, a machine with a model, what is written with what is read, and
//! that bytes, steps and memory stay within their bounds. `README.md` has the table.

mod agreement;
mod bounds;
mod chunks;
pub mod core_ops;
pub mod dave_ops;
mod frames;
pub mod gw_binary;
pub mod gw_json;
mod live;
pub mod lvsp_json;
#[allow(dead_code, reason = "what the integration tests need of it, and more than is needed here")]
#[path = "../../tests/it/people.rs"]
mod people;
pub mod proxy_client;
pub mod replay_window;
pub mod resume_diff;
pub mod rtcp;
pub mod rtp_header;
mod script;
mod strict;
mod table;
pub mod udp_datagram;
#[allow(dead_code, reason = "what the integration tests need of it, and more than is needed here")]
#[path = "../../tests/it/world.rs"]
mod world;
pub mod ws_frames;
pub mod ws_upgrade;

/// What a target does with an input.
pub type Body = fn(&[u8]);

/// Every target: its name, which is that of its corpus and program, and its body.
pub const TARGETS: &[(&str, Body)] = &[
    ("core_ops", core_ops::core_ops),
    ("dave_ops", dave_ops::dave_ops),
    ("gw_binary", gw_binary::gw_binary),
    ("gw_json", gw_json::gw_json),
    ("lvsp_json", lvsp_json::lvsp_json),
    ("proxy_client", proxy_client::proxy_client),
    ("replay_window", replay_window::replay_window),
    ("resume_diff", resume_diff::resume_diff),
    ("rtcp", rtcp::rtcp),
    ("rtp_header", rtp_header::rtp_header),
    ("udp_datagram", udp_datagram::udp_datagram),
    ("ws_frames", ws_frames::ws_frames),
    ("ws_upgrade", ws_upgrade::ws_upgrade),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::TARGETS;

    /// Inputs that a target has at least.
    const INPUTS: usize = 10;

    fn names_in(folder: &str) -> BTreeSet<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{folder}: {error}"));
        entries
            .map(|entry| entry.expect("readable").file_name().into_string().expect("plain names"))
            .collect()
    }

    fn replay(target: &str) {
        let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
        let names = names_in(&format!("corpus/{target}"));
        assert!(names.len() >= INPUTS, "{target}: only {} inputs", names.len());
        for name in names {
            let path = format!("{}/corpus/{target}/{name}", env!("CARGO_MANIFEST_DIR"));
            // Shown with a failure: which input it was.
            println!("{target}/{name}");
            run(&std::fs::read(path).expect("readable"));
        }
    }

    macro_rules! replays {
        ($($target:ident)*) => {$(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*

            #[test]
            fn every_target_has_a_program_a_corpus_and_a_replay() {
                let targets: BTreeSet<_> =
                    TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
                assert_eq!(BTreeSet::from([$(stringify!($target).to_owned()),*]), targets);
                assert_eq!(names_in("corpus"), targets);
                let programs = targets.iter().map(|name| format!("{name}.rs")).collect();
                assert_eq!(names_in("fuzz_targets"), programs);
            }
        };
    }

    mod the_corpus_holds {
        use super::*;

        replays! {
            core_ops dave_ops gw_binary gw_json lvsp_json proxy_client replay_window resume_diff rtcp rtp_header
            udp_datagram ws_frames ws_upgrade
        }
    }
}
