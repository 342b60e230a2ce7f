//! What may go wrong on the control plane.

use super::{EACH, NOTHING, Row};

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
            "core/src/lvsp/revision/tests.rs::the_first_order_with_one_meaning_decides_the_revision",
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
];
