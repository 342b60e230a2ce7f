//! The voice gateway's messages, and whole runs of a server.

use super::{Seeds, join};

pub(crate) fn gw_binary() -> Seeds {
    let message = |bytes: &[u8]| join(&[&[(bytes.len() / 4) as u8 * 4], bytes]);
    let filled = |length: u16| join(&[&[1], &length.to_le_bytes(), &[0x1C]]);
    let beat: &[u8] = &[2];
    vec![
        ("in_the_call", join(&[&[3], &message(&[0, 1, 26, 0]), beat, &message(&[0x1C; 32])])),
        ("identified", join(&[&[2], &message(&[26; 8]), beat])),
        ("before_identify", join(&[&[0], beat, &message(&[26; 8])])),
        ("while_held", join(&[&[1], beat, &message(&[26; 8])])),
        ("empty", join(&[&[3], &message(&[]), &message(&[])])),
        ("8_kib_and_more_before_identify", join(&[&[0], &filled(8_193)])),
        ("8_kib_in_the_call", join(&[&[3], &filled(8_193), beat])),
        ("64_kib", join(&[&[3], &filled(65_535), &[2], &[5, 0xC1, 0xFF, 0]])),
        ("flood", join(&[&[3], &[0; 121]])),
        ("flood_with_pauses", join(&[&[3], &[0; 110], &[0xC3, 255, 0xC3, 255], &[0; 60]])),
        ("flood_of_heartbeats", join(&[&[3], &[2; 130]])),
    ]
}

pub(crate) fn dave_ops() -> Seeds {
    let usual = |op: u8, body: u8| vec![(op - 21) << 2 | 1, body];
    let text = |op: u8, body: &[u8]| join(&[&[(op - 21) << 2 | 2, body.len() as u8], body]);
    let binary = |op: u8, body: &[u8]| join(&[&[(op - 21) << 2, body.len() as u8], body]);
    let all = |make: &dyn Fn(u8) -> Vec<u8>| (21..=31).flat_map(make).collect::<Vec<u8>>();
    vec![
        ("every_opcode_in_json", all(&|op| usual(op, op % 6))),
        ("every_opcode_in_binary", all(&|op| binary(op, &[0; 3]))),
        ("songbird_ready_for_transition", usual(23, 0)),
        ("key_package", binary(26, &[0, 1, 0, 5, 0, 2, 0x40, 0x41, 4])),
        ("commit_and_welcome", binary(28, &[0, 1, 0, 2, 7, 7, 7, 7])),
        ("invalid_commit", text(31, br#"{"transition_id":3}"#)),
        ("body_is_no_json", text(23, b"{\"transition_id\":")),
        ("body_that_says_op_again", text(22, b"1,\"op\":5")),
        ("body_too_deep", text(24, &[[b'['; 16], [b']'; 16]].concat())),
        ("body_with_another_key", text(21, b"1,\"\\ud800\":2")),
        ("heartbeats_between", join(&[&usual(23, 0), &[0xFF], &binary(23, &[1]), &[0xFF]])),
        ("too_many", usual(23, 0).repeat(130)),
    ]
}

pub(crate) fn resume_diff() -> Seeds {
    let (toggle, visit, mute, cut, back) = ([0, 1], [3, 0], [4, 1], [6, 0], [7, 0]);
    let with = |limits: [u8; 2], steps: &[[u8; 2]]| join(&[&limits, &steps.concat()]);
    let roomy = [31, 255];
    vec![
        ("cut_and_back", with(roomy, &[toggle, cut, toggle, toggle, back, toggle])),
        ("visitors_come_and_go_meanwhile", with(roomy, &[cut, visit, toggle, visit, mute, back])),
        ("more_than_is_kept", with([1, 255], &[cut, toggle, toggle, toggle, back, toggle])),
        (
            "more_bytes_than_are_kept",
            with([31, 0], &[[cut].as_slice(), &[toggle; 30], &[back]].concat()),
        ),
        ("acknowledged_meanwhile", with([3, 255], &[toggle, [5, 0], toggle, cut, toggle, back])),
        (
            "acknowledged_what_was_never_sent",
            with(roomy, &[[5, 0], [5, 1], [8, 200], [8, 0], [8, 255]]),
        ),
        (
            "every_number",
            with(roomy, &[toggle, toggle, cut, [8, 1], [8, 2], [8, 3], [8, 4], [8, 5]]),
        ),
        ("on_top_of_a_connection", with(roomy, &[toggle, [8, 2], toggle, [8, 4], back])),
        ("reads_no_more", with(roomy, &[[9, 10], toggle, toggle, toggle, cut, back])),
        (
            "reads_no_more_for_ten_seconds",
            with(roomy, &[[&[[9, 0]][..], &[toggle; 210], &[back]].concat()].concat()),
        ),
        (
            "refused_and_begun_anew",
            with([0, 0], &[cut, visit, toggle, visit, back, toggle, cut, back]),
        ),
    ]
}

pub(crate) fn core_ops() -> Seeds {
    /// Kind, time since the one before, client, detail, how long or how much.
    fn op(kind: u8, wait: u8, voice: u8, detail: u8, amount: u16) -> [u8; 6] {
        let [low, high] = amount.to_le_bytes();
        [kind, wait, voice, detail, low, high]
    }
    let plan = |knobs: &[[u8; 3]], ops: &[[u8; 6]]| {
        let head = [1, 0, 3, 0, 1, 2, 3, 7, knobs.len() as u8];
        join(&[&head, &knobs.concat(), &ops.concat()])
    };
    let talk = |voice| op(16, 10, voice, 20, 0);
    let trouble = |kind, amount| {
        plan(
            &[],
            &[talk(0), op(kind, 25, 0, 2, amount), talk(1), op(kind, 50, 1, 2, amount), talk(0)],
        )
    };
    vec![
        ("everybody_talks", plan(&[], &[talk(0), talk(1), talk(2), talk(3), talk(4)])),
        (
            "a_bad_network",
            plan(&[[1, 5, 1], [2, 7, 1], [4, 9, 1], [7, 3, 2]], &[talk(0), talk(1), talk(2)]),
        ),
        (
            "short_memory",
            plan(
                &[[15, 5, 1], [16, 1, 1], [17, 2, 0]],
                &[op(4, 20, 0, 0, 0), op(0, 5, 1, 1, 0), op(0, 5, 1, 0, 0), talk(2)],
            ),
        ),
        (
            "litecord",
            plan(&[[0, 2, 0]], &[talk(0), op(10, 20, 0, 0, 2_000), talk(1), op(1, 20, 1, 0, 0)]),
        ),
        (
            "litecord_forgets",
            plan(
                &[[0, 2, 0], [1, 0, 0]],
                &[talk(0), op(10, 20, 0, 0, 9_000), op(0, 5, 1, 1, 0), op(1, 5, 2, 0, 0), talk(3)],
            ),
        ),
        (
            "document",
            plan(&[[0, 1, 0]], &[talk(0), op(9, 20, 0, 0, 2_000), talk(1), op(3, 20, 0, 0, 0)]),
        ),
        ("joins_and_leaves", trouble(0, 0)),
        ("muted", plan(&[], &[op(2, 25, 0, 1, 0), talk(0), talk(1), op(2, 50, 0, 0, 0), talk(0)])),
        (
            "deafened",
            plan(&[], &[op(2, 25, 0, 2, 0), talk(0), talk(1), op(2, 50, 0, 0, 0), talk(1)]),
        ),
        ("channel_destroyed", trouble(3, 0)),
        ("cut_off", trouble(4, 0)),
        ("stalled", trouble(5, 12_000)),
        ("clogged", trouble(6, 5_000)),
        ("another_port", trouble(7, 0)),
        ("vanished", trouble(8, 15_000)),
        ("control_link_cut", trouble(9, 3_000)),
        ("chat_server_crashed", trouble(10, 3_000)),
        ("control_link_stalled", trouble(11, 15_000)),
        ("voice_server_crashed", trouble(12, 500)),
        ("voice_server_drained", trouble(13, 500)),
        ("control_thread_stalled", trouble(14, 2_500)),
        ("media_thread_stalled", trouble(15, 2_500)),
        ("attacked", plan(&[], &(0..18).map(|kind| op(17, 5, 4, 0, kind)).collect::<Vec<_>>())),
    ]
}
