//! The catalogue: each fault and attack that is expected, and what is done about it.

/// One fault.
pub(super) struct Row {
    /// C: control plane, G: voice gateway, M: media plane.
    pub(super) id: &'static str,
    pub(super) fault: &'static str,
    pub(super) answer: &'static str,
    /// Keys of `[limits]` by their name alone, others as `section.key`.
    pub(super) keys: &'static [&'static str],
    /// Counters beside those of the limits: `drops.`, `closes.`, `relay.` and `server.`.
    pub(super) counters: &'static [&'static str],
    /// `file::function` for a test, `file#word` for a script and its part.
    pub(super) tests: &'static [&'static str],
    /// What is not served or not tested yet. Empty when there is nothing of that kind.
    pub(super) missing: &'static str,
}

const NOTHING: Row =
    Row { id: "", fault: "", answer: "", keys: &[], counters: &[], tests: &[], missing: "" };

const EACH: &str = "tests/it/bites.rs::each_limit_is_counted_under_its_name_when_it_is_reached";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "C1",
        fault: "A stranger connects to the control port",
        answer: "A listener of its own, on loopback by default, and a list of networks; few connections may be unidentified, \
                 for a short time, and one wrong token closes (4001)",
        keys: &[
            "control.listen",
            "control.allow",
            "control_unauthenticated",
            "control_unauthenticated_per_address",
            "first_byte_ms",
            "tls_ms",
            "control_upgrade_ms",
            "identify_ms",
        ],
        counters: &["closes.authentication_failed", "server.not_allowed"],
        tests: &[
            EACH,
            "runtime-mio/tests/bounded_work.rs::chat_servers_connect_from_allowed_networks_alone",
            "tests/it/clauses.rs::a_chat_server_that_does_not_identify_is_closed_after_ten_seconds",
            "tests/it/control.rs::mistakes_before_ready_close_with_the_code_of_the_draft",
        ],
        ..NOTHING
    },
    Row {
        id: "C2",
        fault: "Tokens are guessed, timed or replayed",
        answer: "Compared in constant time; a nonce is good for one connection; secrets have 32 bytes \
                 at least; an address that fails is refused for a while",
        keys: &["control_failures", "control_failures_ms", "control_failure_addresses"],
        tests: &[
            EACH,
            "tests/it/control.rs::an_address_that_fails_five_times_is_refused_for_a_minute",
            "tests/it/control.rs::the_hmac_of_the_nonce_is_a_token_as_well_and_only_once",
            "core/src/crypto/auth.rs::only_the_right_token_for_the_right_nonce_is_taken",
            "core/src/crypto/auth.rs::short_secrets_are_refused",
            "core/src/crypto/auth.rs#compile_fail",
        ],
        ..NOTHING
    },
    Row {
        id: "C3",
        fault: "Somebody between the chat server and this one",
        answer: "TLS is required on the control port; without it the port must be on loopback",
        keys: &["tls.off"],
        tests: &["runtime-mio/src/config/tests.rs::what_is_missing_is_said_with_the_reason"],
        ..NOTHING
    },
    Row {
        id: "C4",
        fault: "Messages too large, in fragments, or nested deeply",
        answer: "Sizes are checked on the head of a frame and over its fragments (1009), nesting before \
                 parsing (4002); what goes out stays below what chat servers in Python read",
        keys: &[
            "control_message_unidentified_bytes",
            "control_message_bytes",
            "control_outbound_message_bytes",
            "json_depth",
        ],
        counters: &["closes.message_too_big", "closes.too_deep"],
        tests: &[
            EACH,
            "tests/it/clauses.rs::messages_are_short_before_identification_and_longer_after",
            "tests/it/clauses.rs::what_is_no_message_closes_a_control_connection_at_any_time",
            "core/src/transport/gate.rs::a_message_over_the_limit_is_known_by_the_head_that_makes_it_so",
        ],
        ..NOTHING
    },
    Row {
        id: "C5",
        fault: "A chat server that is gone without a word",
        answer: "A WebSocket Ping now and then; not one byte for long closes, a missing heartbeat \
                 never does; Pings are answered in the same turn",
        keys: &["control_ping_ms", "control_silence_ms"],
        counters: &["closes.silence"],
        tests: &[
            EACH,
            "tests/it/control.rs::a_missing_heartbeat_never_closes_a_chat_server_that_answers_pings",
            "tests/it/revisions.rs::litecord_sleeps_its_interval_in_seconds_and_keeps_its_connection",
            "core/src/transport/stack/tests.rs::pings_are_answered_in_the_same_call",
        ],
        ..NOTHING
    },
    Row {
        id: "C6",
        fault: "The control link is lost",
        answer: "Media and resumes go on; after the grace time calls end one by one (4022)",
        keys: &["control.grace", "grace_spread_ms"],
        counters: &["server.grace_ended"],
        tests: &[
            EACH,
            "tests/it/lifecycle.rs::media_flows_while_the_control_link_is_lost",
            "tests/it/lifecycle.rs::calls_end_when_no_chat_server_comes_back_within_the_grace_time",
            "tests/it/revisions.rs::calls_outlive_a_litecord_that_never_comes_back_until_the_grace_ends",
            "tests/live/main.rs#faults",
        ],
        ..NOTHING
    },
    Row {
        id: "C7",
        fault: "A chat server identifies anew instead of resuming",
        answer: "What it states again keeps its running session; the rest goes after a while, so that \
                 clients come back (4015, then 4006). Nobody goes where nothing is ever stated again",
        keys: &["reconcile_ms", "reconcile_total_ms"],
        counters: &["closes.renew"],
        tests: &[
            EACH,
            "tests/it/control.rs::after_a_new_identify_what_is_stated_again_lives_and_the_rest_goes",
            "tests/it/membership.rs::what_a_restarted_chat_server_states_again_is_heard_without_a_gap",
            "tests/it/membership.rs::a_burst_of_restatements_is_answered_as_fast_as_it_is_read",
            "tests/it/revisions.rs::a_litecord_that_restarts_states_nothing_again_and_nobody_goes_for_that",
        ],
        ..NOTHING
    },
    Row {
        id: "C8",
        fault: "Orders come twice",
        answer: "Every order may be repeated and ends in the same state",
        tests: &[
            "tests/it/membership.rs::any_history_of_the_link_ends_in_what_was_stated_last",
            "tests/it/control.rs::leaving_twice_is_leaving_once",
            "tests/it/control.rs::channels_are_created_updated_and_destroyed",
        ],
        ..NOTHING
    },
    Row {
        id: "C9",
        fault: "What is kept for a chat server's RESUME grows",
        answer: "By number, bytes and age; what was forgotten makes the RESUME a dump of the state",
        keys: &["control_replay_messages", "control_replay_bytes", "control_replay_ms"],
        tests: &[
            EACH,
            "tests/it/control.rs::a_lost_link_resumes_with_what_was_missed_in_order_and_then_ready",
            "tests/it/control.rs::a_resume_that_is_not_possible_gets_the_whole_state",
            "tests/it/clauses.rs::what_a_heartbeat_acknowledged_is_not_kept",
            "tests/sim/tests.rs::every_seed_holds",
        ],
        ..NOTHING
    },
    Row {
        id: "C10",
        fault: "Unknown messages, or those of another revision",
        answer: "Refused alone and counted, told once for each kind, never a close; ambiguous numbers \
                 mean nothing before the revision is known",
        keys: &["control_refusal_kinds", "control_refusals"],
        counters: &["server.refused_orders"],
        tests: &[
            EACH,
            "tests/it/revisions.rs::refusals_are_events_once_a_kind_and_counted_always",
            "core/src/lvsp/revision/tests.rs::what_decides_the_revision",
            "core/src/lvsp/revision/tests.rs::no_number_removes_anything_while_the_revision_is_undecided",
        ],
        ..NOTHING
    },
    Row {
        id: "C11",
        fault: "A chat server orders without end",
        answer: "Orders over a limit are refused, without a close. What it is yet to be told is one \
                 mark for each object; too many, and it is told everything anew",
        keys: &[
            "channels",
            "voice_states",
            "members_per_channel",
            "credentials_total_bytes",
            "control_news_bytes",
            "control_dump_bytes",
            "tombstones",
            "tombstone_ms",
            "outputs",
        ],
        counters: &["server.refused_orders"],
        tests: &[
            EACH,
            "tests/it/limits.rs::limits_refuse_without_closing",
            "tests/it/membership.rs::a_chat_server_that_makes_more_news_than_it_reads_is_told_everything_anew",
            "tests/it/clauses.rs::ids_may_be_integers_and_are_never_zero",
        ],
        ..NOTHING
    },
    Row {
        id: "C12",
        fault: "CHANNEL_ASSIGN makes a chat server close",
        answer: "Not sent before the revision is known, nor to a Litecord that does not ask for it",
        keys: &["control.litecord_assign"],
        tests: &[
            "tests/it/revisions.rs::litecord_joins_without_a_revision_configured_and_is_told_nothing_that_it_closes_on",
            "tests/it/revisions.rs::a_patched_litecord_is_assigned_its_channels_and_hears_of_health_unasked",
            "tests/it/revisions.rs::a_chat_server_that_closes_at_each_assignment_loses_no_call",
        ],
        ..NOTHING
    },
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
            "core/src/limits.rs::silence_is_three_intervals_and_five_seconds",
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
    Row {
        id: "M1",
        fault: "One key in two directions: a nonce used twice",
        answer: "The server's nonces stay apart from the client's, read either way round; a client that \
                 meets one ends the session (4015, then 4006) before anything more is sealed",
        counters: &["drops.nonce_collision"],
        tests: &[
            "core/src/crypto/nonce.rs::no_suffix_is_used_twice_whoever_counts_how",
            "core/src/crypto/nonce.rs::the_guard_ends_next_to_no_random_start",
            "core/src/crypto/nonce.rs::what_was_used_before_the_switch_stays_guarded",
            "core/src/media/tests.rs::a_client_that_uses_our_nonce_is_sealed_for_no_more",
            "tests/it/gateway.rs::both_sides_may_speak_first_and_little_endian_counters_are_heard",
        ],
        ..NOTHING
    },
    Row {
        id: "M2",
        fault: "A key is used up",
        answer: "Renewed in the next silence; at the end of its nonces at once",
        keys: &["key_soft_packets", "key_hard_packets"],
        counters: &["drops.key_exhausted"],
        tests: &[
            EACH,
            "core/src/media/tests.rs::an_old_key_is_renewed_in_silence_and_a_spent_one_at_once",
            "core/src/crypto/nonce.rs::a_key_is_used_up_after_its_packets",
        ],
        ..NOTHING
    },
    Row {
        id: "M3",
        fault: "Select Protocol again and again",
        answer: "Always a fresh key; too often is 4020",
        keys: &["select_protocol_per_minute"],
        counters: &["closes.select_limited"],
        tests: &[EACH, "tests/it/gateway.rs::each_select_protocol_gets_a_new_key_and_too_many_end"],
        ..NOTHING
    },
    Row {
        id: "M4",
        fault: "A session is resumed under its key",
        answer: "Counters and window go on where they were",
        tests: &[
            "tests/it/clauses.rs::a_resumed_session_keeps_its_key_its_number_and_its_counters",
        ],
        ..NOTHING
    },
    Row {
        id: "M5",
        fault: "A restart, or a copy of the machine",
        answer: "Keys and SSRCs come from the operating system's generator, keys are wiped and never \
                 written; an unknown Resume is 4006",
        counters: &["closes.session_invalid"],
        tests: &[
            "tests/it/gateway.rs::resumes_of_strangers_are_4006_at_once",
            "core/src/crypto/cipher.rs#compile_fail",
        ],
        ..NOTHING
    },
    Row {
        id: "M6",
        fault: "Packets are replayed or doubled",
        answer: "A window of 1,024 over the extended sequence, marked after authentication; 50 rising \
                 packets far behind it begin a new one and move no address",
        counters: &["drops.replayed", "drops.too_old", "relay.sequence_restarts"],
        tests: &[
            "core/src/crypto/replay.rs::each_number_is_accepted_once",
            "core/src/crypto/replay.rs::a_jump_of_half_the_numbers_counts_as_backward",
            "core/src/crypto/replay.rs::a_speaker_that_starts_anew_is_heard_after_fifty_packets",
            "core/src/crypto/replay.rs::replayed_old_packets_in_falling_order_never_restart_the_window",
        ],
        ..NOTHING
    },
    Row {
        id: "M7",
        fault: "Discovery as a reflector",
        answer: "Never more bytes than asked with; only for a session that has no address yet, or from \
                 its address; a burst and a rate for each session, none for an address",
        keys: &["discovery_burst", "discovery_per_s"],
        counters: &["drops.discovery_limited", "drops.discovery_bound"],
        tests: &[
            EACH,
            "core/src/media/tests.rs::strangers_never_get_more_than_they_send",
            "core/src/media/tests/addresses.rs::discovery_is_limited_a_session_and_not_an_address",
            "tests/live/main.rs#hostile",
        ],
        ..NOTHING
    },
    Row {
        id: "M8",
        fault: "Pings as an echo",
        answer: "One kind is answered, in its own length, to a bound address, at a rate",
        keys: &["ping_per_s"],
        counters: &["drops.ping", "drops.keepalive"],
        tests: &[
            EACH,
            "core/src/media/tests/addresses.rs::pings_are_answered_to_bound_addresses_five_times_a_second",
        ],
        ..NOTHING
    },
    Row {
        id: "M9",
        fault: "A member aims media at somebody else",
        answer: "Only addresses that packets came from; one that the gateway connection does not vouch \
                 for gets three times what it sends; the connection's address is the client's also behind \
                 a proxy, if that is trusted",
        keys: &["media.foreign_udp", "gateway.trusted_proxies", "gateway.client_address"],
        counters: &[
            "drops.foreign_address",
            "relay.foreign_binds",
            "closes.untrusted_proxy",
            "closes.bad_proxy_header",
        ],
        tests: &[
            "core/src/media/tests/addresses.rs::a_foreign_address_is_told_of_and_gets_three_times_what_it_sends",
            "core/src/media/tests/addresses.rs::a_strict_relay_serves_no_other_address",
            "core/src/media/tests/addresses.rs::the_gateways_own_address_and_the_other_family_are_served",
            "tests/it/proxies.rs::media_is_compared_with_the_address_that_a_trusted_proxy_names",
            "tests/it/proxies.rs::nobody_else_is_believed_to_be_another",
            "tests/it/lifecycle.rs::media_from_elsewhere_than_the_gateway_connection_is_told_of",
        ],
        ..NOTHING
    },
    Row {
        id: "M10",
        fault: "A client's address changes, or is stolen",
        answer: "Only the newest authenticated packet moves it, at a rate; the way back is free",
        keys: &["rebind_interval_ms", "rebinds_per_minute"],
        counters: &["relay.rebinds"],
        tests: &[
            EACH,
            "core/src/media/tests/addresses.rs::an_address_moves_only_with_the_newest_packet",
            "core/src/media/tests/addresses.rs::somebody_who_copies_packets_holds_a_leg_until_its_owner_is_heard",
            "core/src/media/binding.rs::moves_are_limited_but_the_way_back_is_free_once",
            "tests/live/main.rs#faults",
        ],
        ..NOTHING
    },
    Row {
        id: "M11",
        fault: "Media for this host, or for a whole network",
        answer: "Addresses that name nobody, many or this host are never sent to",
        counters: &["drops.forbidden_address"],
        tests: &[
            "core/src/media/binding.rs::addresses_that_must_not_be_sent_to",
            "core/src/media/tests/addresses.rs::forbidden_addresses_get_nothing_and_mapped_ones_are_plain",
        ],
        ..NOTHING
    },
    Row {
        id: "M12",
        fault: "Packets under another's SSRC",
        answer: "An SSRC belongs to one session, whose key must open the packet",
        counters: &["drops.unknown_ssrc", "drops.unauthentic"],
        tests: &[
            "core/src/media/tests.rs::what_is_not_fresh_opus_of_the_session_is_dropped",
            "core/src/media/tests.rs::rooms_never_hear_each_other",
            "tests/sim/tests.rs::every_seed_holds",
        ],
        ..NOTHING
    },
    Row {
        id: "M13",
        fault: "Packets that contradict themselves",
        answer: "Lengths are checked before anything is read; no answer and no allocation",
        keys: &["payload_bytes"],
        counters: &["drops.malformed", "drops.too_large"],
        tests: &[
            EACH,
            "core/src/wire/rtp.rs::any_bytes_are_read_or_refused",
            "core/src/media/tests.rs::no_vector_that_must_fail_is_relayed",
            "tests/it_alloc/main.rs::the_media_path_touches_no_heap_in_any_mode",
            "fuzz/src/lib.rs#udp_datagram",
        ],
        ..NOTHING
    },
    Row {
        id: "M14",
        fault: "A flood of packets",
        answer: "Valid ones over a sender's rates are dropped; of others the cheapest check comes first; \
                 256 datagrams a turn, and what is too old is not opened; a relay that is behind sheds, \
                 each room its share, and health is 0. The legs of a large channel are spread over \
                 relays, and what one hands to another waits in a list that has an end",
        keys: &[
            "sender_packet_burst",
            "sender_packets_per_s",
            "sender_bps",
            "media_latency_ms",
            "media_behind_ms",
            "legs_per_relay",
            "media.enforce_bitrate",
        ],
        counters: &[
            "drops.rate_limited",
            "drops.too_late",
            "drops.behind",
            "drops.over_bitrate",
            "drops.not_handed_over",
        ],
        tests: &[
            EACH,
            "core/src/media/tests.rs::a_sender_over_its_rates_is_cut_and_not_closed",
            "core/src/media/shedding.rs::at_twice_what_can_be_handled_every_room_loses_about_its_share",
            "core/src/media/tests.rs::a_relay_that_is_behind_drops_what_waited_too_long_unopened",
            "core/src/media/handover.rs::a_full_list_refuses_and_goes_on_when_it_is_empty",
            "tests/it/spread.rs::a_channel_over_its_relays_limit_is_spread_and_everybody_hears_everybody",
            "runtime-mio/src/media_thread_tests.rs::a_turn_takes_no_more_datagrams_than_its_budget",
            "runtime-mio/src/media_thread_tests.rs::voice_older_than_the_budget_is_not_opened",
            "runtime-mio/tests/bounded_work.rs::what_waited_before_the_start_is_taken_a_budget_at_a_time",
            "tests/live/main.rs#hostile",
            "tests/live/main.rs#overload",
        ],
        missing: "video is not relayed, so it has no rates: it is dropped as `drops.payload_type`",
    },
    Row {
        id: "M15",
        fault: "The socket is full, or reports an error",
        answer: "What it refuses is dropped; an error costs one copy, and nothing waits",
        counters: &["drops.socket_full"],
        tests: &[
            "core/src/media/outbox.rs::an_error_costs_one_copy_and_a_full_socket_the_rest",
            "core/src/media/tests.rs::what_is_not_filled_or_not_sent_is_counted",
        ],
        ..NOTHING
    },
    Row {
        id: "M16",
        fault: "A packet fails to open and leaves plaintext",
        answer: "The buffer is wiped, and an error gives no access to it",
        counters: &["drops.unauthentic"],
        tests: &[
            "core/src/crypto/cipher.rs::garbage_is_refused_and_wiped",
            "core/src/crypto/vectors.rs::every_must_fail_vector_is_refused_and_wiped",
        ],
        ..NOTHING
    },
    Row {
        id: "M17",
        fault: "Muted, suppressed, deafened, or in another channel",
        answer: "Decided for each packet by what the chat server stated last",
        counters: &["drops.muted"],
        tests: &[
            "core/src/media/tests.rs::permissions_hold_from_the_next_packet",
            "tests/it/lifecycle.rs::a_muted_speaker_is_silent_until_it_is_unmuted",
            "tests/it/lifecycle.rs::a_deafened_listener_gets_nothing",
            "tests/it/lifecycle.rs::two_channels_never_hear_each_other",
            "tests/sim/tests.rs::every_seed_holds",
        ],
        ..NOTHING
    },
];
