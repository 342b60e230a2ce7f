//! What may go wrong at the voice gateway.

use super::{EACH, NOTHING, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "G1",
        fault: "Sockets that open slowly",
        answer: "Deadlines from the accept on; a head is searched once as it arrives, its bytes and \
                 lines are counted, and it is parsed once",
        keys: &[
            "first_byte_ms",
            "tls_ms",
            "tls_handshake_bytes",
            "proxy_header_bytes",
            "upgrade_ms",
            "upgrade_bytes",
            "upgrade_lines",
        ],
        counters: &["closes.handshake_timeout"],
        tests: &[
            EACH,
            "core/src/transport/proxy_protocol.rs::a_header_over_its_limit_is_refused_without_its_end",
            "core/src/transport/upgrade.rs::single_bytes_cost_no_more_than_one_feed",
            "core/src/transport/upgrade.rs::a_head_over_its_limits_is_refused_without_its_end",
            "runtime-mio/tests/bounded_work.rs::a_join_in_one_byte_records_under_a_flood_takes_few_and_short_turns",
            "tests/live/main.rs#hostile",
        ],
        ..NOTHING
    },
    Row {
        id: "G2",
        fault: "Sockets that never identify",
        answer: "A share for each address, over which newcomers wait unread, each address in a queue of \
                 its own, whoever comes through a trusted proxy as its client; and a total, over which the idlest of the fullest address makes room, never one \
                 that moved lately",
        keys: &[
            "unauthenticated",
            "unauthenticated_per_address",
            "parked",
            "unauthenticated_idle_ms",
        ],
        counters: &["closes.overloaded"],
        tests: &[
            EACH,
            "tests/it/limits.rs::over_the_total_the_idlest_stranger_of_the_fullest_address_makes_room",
            "tests/it/limits.rs::a_share_of_strangers_is_all_that_one_address_gets",
            "tests/it/proxies.rs::a_client_behind_a_proxy_waits_for_room_in_its_own_share",
            "core/src/parking.rs::addresses_take_turns_and_those_without_room_are_passed_over",
            "core/src/parking.rs::over_the_limit_the_fullest_address_makes_place_for_those_with_fewer",
            "tests/runtimes/scenarios.rs#all_back_at_once",
            "tests/runtimes/scenarios.rs#crowded_address",
            "tests/live/main.rs#hostile",
        ],
        ..NOTHING
    },
    Row {
        id: "G3",
        fault: "Thousands of sockets of one address",
        answer: "Those that identified have no share: voice states and totals bound them",
        keys: &["sessions", "connections"],
        tests: &[EACH, "tests/it/limits.rs::one_address_may_hold_any_number_of_sessions"],
        ..NOTHING
    },
    Row {
        id: "G4",
        fault: "Descriptors run out",
        answer: "256 are kept from gateway connections, one in reserve turns a newcomer away at once, \
                 and accepting rests for 100 ms; who is parked gives up its own first",
        tests: &[
            "runtime-mio/src/accept.rs::a_few_descriptors_are_kept_for_everything_else",
            "runtime-mio/src/accept.rs::who_is_parked_comes_at_the_pace_and_leaves_descriptors_to_others",
            "runtime-mio/tests/descriptors.rs::a_server_without_descriptors_turns_newcomers_away_and_lives_on",
            "tests/live/main.rs#faults",
        ],
        ..NOTHING
    },
    Row {
        id: "G5",
        fault: "No Identify, something else first, or a second one",
        answer: "4009 in time, 4003, 4005; an Identify ahead of its voice state waits a little",
        keys: &["identify_ms", "identify_hold_ms"],
        counters: &[
            "closes.identify_timeout",
            "closes.not_authenticated",
            "closes.already_authenticated",
        ],
        tests: &[
            EACH,
            "tests/it/gateway.rs::no_identify_in_time_is_4009",
            "tests/it/gateway.rs::messages_before_identify_are_refused_but_heartbeats_answered",
            "tests/it/gateway.rs::a_second_identify_is_refused_with_4005",
        ],
        ..NOTHING
    },
    Row {
        id: "G6",
        fault: "Large frames, begun and not ended",
        answer: "Small before Identify; a declared length is checked before memory is set aside, which \
                 grows only with what arrived, and has a total",
        keys: &[
            "gateway_message_unidentified_bytes",
            "gateway_message_bytes",
            "inbound_total_bytes",
        ],
        counters: &["closes.message_too_big"],
        tests: &[
            EACH,
            "core/src/transport/gate.rs::memory_grows_with_what_was_received",
            "core/src/transport/websocket.rs::a_declared_length_over_the_limit_fails_before_its_bytes_arrive",
            "core/src/transport/websocket.rs::fragments_over_the_limit_fail_together",
            "tests/it_alloc/held.rs::what_a_client_makes_a_connection_hold_is_about_what_it_sent",
            "tests/it/limits.rs::whoever_holds_most_of_what_is_unfinished_goes",
        ],
        ..NOTHING
    },
    Row {
        id: "G7",
        fault: "Compression bombs",
        answer: "Compression is never agreed to, and a compressed frame closes (1002)",
        counters: &["closes.websocket_protocol"],
        tests: &[
            "core/src/transport/upgrade.rs::the_example_of_the_standard_is_answered_as_printed_there",
            "core/src/transport/websocket.rs::broken_rules_have_their_codes",
        ],
        ..NOTHING
    },
    Row {
        id: "G8",
        fault: "Tricks with JSON",
        answer: "Nesting is counted before parsing, skipped values included; only objects; no key twice; \
                 integers in their range; strings have lengths fixed in `wire::json`",
        keys: &["json_depth"],
        counters: &["closes.decode", "closes.too_deep", "closes.bad_request"],
        tests: &[
            EACH,
            "core/src/wire/json_tests.rs::an_enormous_nesting_is_refused_and_not_descended_into",
            "core/src/wire/json_tests.rs::duplicates_of_known_keys_are_refused_even_when_escaped",
            "core/src/wire/json_tests.rs::integers_are_json_integers_in_range",
            "core/src/wire/gateway/client_tests.rs::what_each_client_sends_is_understood",
            "core/src/wire/gateway/client_tests.rs::bad_fields_are_named_and_bad_texts_are_decode_errors",
            "fuzz/src/lib.rs#gw_json",
        ],
        ..NOTHING
    },
    Row {
        id: "G9",
        fault: "A flood of messages",
        answer: "A bucket for each connection; beyond it 4021, and the next Identify waits",
        keys: &["message_burst", "message_refill_per_s", "message_calm_ms"],
        counters: &["closes.rate_limited"],
        tests: &[
            EACH,
            "tests/it/gateway.rs::a_flood_of_messages_is_4021",
            "tests/it/limits.rs::after_a_flood_of_messages_the_next_identify_waits",
        ],
        ..NOTHING
    },
    Row {
        id: "G10",
        fault: "Heartbeats stop",
        answer: "The connection ends without a close frame, the session can be resumed",
        keys: &["heartbeat_interval_ms", "heartbeat_silence_ms"],
        counters: &["closes.silence"],
        tests: &[
            EACH,
            "tests/it/resume.rs::silence_ends_the_connection_without_a_close_frame_while_media_flows",
            "core/src/limits/mod.rs::silence_is_three_intervals_and_five_seconds",
        ],
        ..NOTHING
    },
    Row {
        id: "G11",
        fault: "Half-open TCP connections",
        answer: "Keepalive after 30 s, each 10 s, three times; unacknowledged bytes end it after 30 s",
        tests: &["runtime-mio/src/tcp.rs::a_silent_peer_is_asked_and_given_up_by_the_kernel"],
        ..NOTHING
    },
    Row {
        id: "G12",
        fault: "What is kept for resumes grows",
        answer: "A window, a number and bytes for each session, and a total, over which the sessions \
                 detached first cannot be resumed any more (4006)",
        keys: &["resume_window_ms", "resume_messages", "resume_bytes", "replay_total_bytes"],
        counters: &["closes.session_invalid"],
        tests: &[
            EACH,
            "tests/it/resume.rs::a_resume_within_the_window_replays_each_message_once",
            "tests/it/resume.rs::a_resume_after_the_window_is_refused_and_the_others_know",
            "tests/it/limits.rs::of_detached_sessions_the_oldest_loses_its_replay_first",
            "tests/sim/tests.rs::every_seed_holds",
            "tests/live/main.rs#faults",
        ],
        ..NOTHING
    },
    Row {
        id: "G13",
        fault: "Sequence numbers wrap",
        answer: "1 to 65535, then 1 again; 0 never; what a Resume may name is exact",
        tests: &[
            "tests/it/resume.rs::numbers_go_past_65535_skip_0_and_survive_any_resume",
            "tests/it/resume.rs::what_seq_ack_may_say_on_resume",
            "core/src/replay_log.rs::wire_numbers_skip_zero_and_decode_to_the_newest_match",
        ],
        ..NOTHING
    },
    Row {
        id: "G14",
        fault: "A stranger resumes a session",
        answer: "Session id and token, compared in constant time; the newest connection wins at once",
        counters: &["closes.session_invalid"],
        tests: &[
            "tests/it/resume.rs::of_two_sockets_that_resume_the_newest_wins",
            "tests/it/gateway.rs::resumes_of_strangers_are_4006_at_once",
            "tests/it/gateway.rs::a_wrong_secret_is_refused_with_4004",
        ],
        ..NOTHING
    },
    Row {
        id: "G15",
        fault: "Somebody does not read",
        answer: "By bytes, age and a total of memory: the connection ends, the session can be resumed. \
                 State dumps are written piece by piece",
        keys: &[
            "outbound_bytes",
            "outbound_age_ms",
            "outbound_total_bytes",
            "linger_ms",
            "control_dump_bytes",
        ],
        counters: &["closes.slow_reader"],
        tests: &[
            EACH,
            "tests/it/gateway.rs::a_client_that_does_not_read_is_dropped_and_its_session_kept",
            "tests/it/membership.rs::a_dump_of_fifty_thousand_states_waits_for_its_slow_reader",
            "tests/sim/tests.rs::every_seed_holds",
            "core/src/transport/pipe.rs::memory_follows_what_waits",
        ],
        ..NOTHING
    },
    Row {
        id: "G16",
        fault: "A member does not finish a transition of end-to-end encryption",
        answer: "",
        missing: "end-to-end encryption (DAVE) is not served: version 0 is announced, and its messages \
                  are tolerated without effect",
        counters: &["server.tolerated_messages"],
        ..NOTHING
    },
    Row {
        id: "G17",
        fault: "A user is removed, a channel destroyed",
        answer: "4014 or 4022 in the same step; media and what was kept for a resume go first",
        counters: &["closes.disconnected", "closes.channel_destroyed"],
        tests: &[
            "tests/it/control.rs::channels_are_created_updated_and_destroyed",
            "tests/it/lifecycle.rs::two_clients_join_talk_and_leave",
            "tests/it/lifecycle.rs::a_move_is_one_step_with_new_credentials",
            "tests/sim/tests.rs::every_seed_holds",
        ],
        ..NOTHING
    },
    Row {
        id: "G18",
        fault: "A restart, and everybody comes back at once",
        answer: "A drain leaves calls alone, then ends them with 4015 within a short time; new \
                 connections are taken at a rate, the rest wait in the backlog",
        keys: &["drain.seconds", "drain_spread_ms", "drain_linger_ms", "handshakes_per_s"],
        counters: &["closes.shutting_down"],
        tests: &[
            EACH,
            "tests/it/drain.rs::a_drain_refuses_new_voice_states_and_ends_sessions_with_4015",
            "core/src/pace.rs::no_second_sees_more_than_the_pace_and_a_hundredth",
            "tests/it/drain.rs::clients_are_told_to_go_one_by_one_over_two_seconds",
            "tests/it/drain.rs::who_does_not_go_is_dropped_three_seconds_after_the_calls_ended",
            "runtime-mio/tests/restart.rs::a_second_sigterm_stops_at_once",
            "runtime-mio/tests/restart.rs::the_ports_are_free_before_the_last_connection_is_gone",
            "tests/live/main.rs#restart",
        ],
        ..NOTHING
    },
    Row {
        id: "G19",
        fault: "A certificate is renewed",
        answer: "Read and checked before it is used; the old one stays when the new one does not fit",
        keys: &["tls.certificate"],
        tests: &[
            "runtime-mio/tests/certificates.rs::a_certificate_is_served_as_soon_as_its_files_changed_and_settled",
            "runtime-mio/tests/certificates.rs::a_certificate_that_ends_soon_is_warned_of_at_the_start",
            "runtime-mio/tests/certificates.rs::sighup_serves_a_new_certificate_and_a_broken_one_changes_nothing",
            "core/src/transport/tls/tests.rs::a_key_of_another_certificate_is_named_as_such",
            "tests/live/main.rs#faults",
        ],
        ..NOTHING
    },
    Row {
        id: "G20",
        fault: "Secrets in logs",
        answer: "Types of secrets print nothing; untrusted text is escaped; one line a second of each \
                 kind",
        tests: &[
            "runtime-mio/tests/logs.rs::every_line_is_json_and_none_holds_a_secret",
            "runtime-mio/src/logging.rs::one_line_a_second_of_each_kind_and_the_rest_is_counted",
            "core/src/wire/secret.rs::debug_output_shows_nothing",
            "core/src/crypto/cipher.rs::neither_keys_nor_ciphers_print_their_bytes",
            "core/src/transport/event.rs::debug_text_holds_no_payload",
        ],
        ..NOTHING
    },
    Row {
        id: "G21",
        fault: "The process stands still",
        answer: "Whatever is awaited of peers is given so much more time",
        keys: &["stall_ms"],
        tests: &[
            EACH,
            "tests/it/limits.rs::a_stall_of_the_process_drops_nobody_but_those_who_stay_silent_after_it",
            "tests/live/main.rs#faults",
        ],
        ..NOTHING
    },
    Row {
        id: "G22",
        fault: "The wall clock jumps",
        answer: "The core is told a time that never goes back and reads no clock",
        tests: &[
            "core/src/transport/tls/tests.rs::a_full_handshake_never_asks_the_server_for_the_time",
            "core/src/time.rs::arithmetic_saturates_at_both_ends",
            "core/clippy.toml#SystemTime",
        ],
        ..NOTHING
    },
];
