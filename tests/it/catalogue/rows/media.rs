//! What may go wrong on the media plane.

use super::{EACH, NOTHING, Row};

pub(super) const ROWS: &[Row] = &[
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
            "core/src/media/tests/keys.rs::a_client_that_uses_our_nonce_is_sealed_for_no_more",
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
            "core/src/media/tests/keys.rs::an_old_key_is_renewed_in_silence_and_a_spent_one_at_once",
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
            "core/src/media/tests/refusals.rs::strangers_never_get_more_than_they_send",
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
            "core/src/media/tests/refusals.rs::what_is_not_fresh_opus_of_the_session_is_dropped",
            "core/src/media/tests/copies.rs::rooms_never_hear_each_other",
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
            "core/src/media/tests/refusals.rs::no_vector_that_must_fail_is_relayed",
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
            "core/src/media/tests/refusals.rs::a_sender_over_its_rates_is_cut_and_not_closed",
            "core/src/media/shedding.rs::at_twice_what_can_be_handled_every_room_loses_about_its_share",
            "core/src/media/tests/batches.rs::a_relay_that_is_behind_drops_what_waited_too_long_unopened",
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
            "core/src/media/tests/batches.rs::what_is_not_filled_or_not_sent_is_counted",
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
            "core/src/media/tests/copies.rs::permissions_hold_from_the_next_packet",
            "tests/it/lifecycle.rs::a_muted_speaker_is_silent_until_it_is_unmuted",
            "tests/it/lifecycle.rs::a_deafened_listener_gets_nothing",
            "tests/it/lifecycle.rs::two_channels_never_hear_each_other",
            "tests/sim/tests.rs::every_seed_holds",
        ],
        ..NOTHING
    },
];
