//! What clients really send, by name, and what is refused.

use proptest::prelude::*;

use super::*;

const DEPTH: usize = 16;

fn parse(text: &str) -> Result<ClientMessage, WireError> {
    ClientMessage::parse(text, DEPTH)
}

/// (client, what it sends, what we understand, in version 9's form)
const REAL: &[(&str, &str, &str)] = &[
    (
        "discord.js: Identify with video and streams",
        r#"{"op":0,"d":{"server_id":"81","user_id":"82","session_id":"5f","token":"9c","video":false,"streams":[{"type":"video","rid":"100","quality":100}],"max_dave_protocol_version":1}}"#,
        r#"{"op":0,"d":{"server_id":"81","user_id":"82","session_id":"5f","token":"9c","max_dave_protocol_version":1}}"#,
    ),
    (
        "eris: Identify without a DAVE version, ids as integers",
        r#"{"op":0,"d":{"server_id":81,"user_id":82,"session_id":"5f","token":"9c"}}"#,
        r#"{"op":0,"d":{"server_id":"81","user_id":"82","session_id":"5f","token":"9c","max_dave_protocol_version":0}}"#,
    ),
    (
        "web client: rid as an integer, channel_id, older DAVE name",
        r#"{"op":0,"d":{"server_id":"81","channel_id":"83","user_id":"82","session_id":"5f","token":"9c","streams":[{"rid":100}],"max_secure_frames_version":1}}"#,
        r#"{"op":0,"d":{"server_id":"81","channel_id":"83","user_id":"82","session_id":"5f","token":"9c","max_dave_protocol_version":1}}"#,
    ),
    (
        "Koe: Select Protocol with copies beside data",
        r#"{"op":1,"d":{"protocol":"udp","address":"192.0.2.1","port":5,"mode":"m","codecs":[{"name":"opus","type":"audio","priority":1000,"payload_type":120}],"data":{"address":"192.0.2.1","port":5,"mode":"m"}}}"#,
        r#"{"op":1,"d":{"protocol":"udp","data":{"address":"192.0.2.1","port":5,"mode":"m"}}}"#,
    ),
    (
        "web client: SDP as data",
        r#"{"op":1,"d":{"protocol":"webrtc","data":"a=ice-ufrag:x\n","sdp":"a=ice-ufrag:x\n"}}"#,
        r#"{"op":1,"d":{"protocol":"webrtc","data":{}}}"#,
    ),
    (
        "discord.js: heartbeat object with seq_ack",
        r#"{"op":3,"d":{"t":1760000000123,"seq_ack":10}}"#,
        r#"{"op":3,"d":{"t":1760000000123,"seq_ack":10}}"#,
    ),
    (
        "discord.js: seq_ack -1 before the first numbered message",
        r#"{"op":3,"d":{"t":1,"seq_ack":-1}}"#,
        r#"{"op":3,"d":{"t":1}}"#,
    ),
    ("disgo: seq_ack 0", r#"{"op":3,"d":{"t":1,"seq_ack":0}}"#, r#"{"op":3,"d":{"t":1}}"#),
    ("seq_ack null", r#"{"op":3,"d":{"t":1,"seq_ack":null}}"#, r#"{"op":3,"d":{"t":1}}"#),
    ("JDA: no seq_ack yet", r#"{"op":3,"d":{"t":1}}"#, r#"{"op":3,"d":{"t":1}}"#),
    ("NetCord: negative t", r#"{"op":3,"d":{"t":-99}}"#, r#"{"op":3,"d":{"t":-99}}"#),
    (
        "songbird: bare 53-bit nonce",
        r#"{"op":3,"d":9007199254740991}"#,
        r#"{"op":3,"d":{"t":9007199254740991}}"#,
    ),
    ("a string nonce", r#"{"op":3,"d":"a\u0062"}"#, r#"{"op":3,"d":{"t":"a\u0062"}}"#),
    (
        "discordgo: boolean speaking, no ssrc",
        r#"{"op":5,"d":{"speaking":true,"delay":0}}"#,
        r#"{"op":5,"d":{"speaking":1,"delay":0}}"#,
    ),
    (
        "songbird: user_id null in Speaking",
        r#"{"op":5,"d":{"delay":0,"speaking":1,"ssrc":7,"user_id":null}}"#,
        r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":7}}"#,
    ),
    (
        "py-cord: Speaking without ssrc and delay",
        r#"{"op":5,"d":{"speaking":5}}"#,
        r#"{"op":5,"d":{"speaking":5,"delay":0}}"#,
    ),
    (
        "disgo: Resume names it seq",
        r#"{"op":7,"d":{"server_id":"81","session_id":"5f","token":"9c","seq":10}}"#,
        r#"{"op":7,"d":{"server_id":"81","session_id":"5f","token":"9c","seq_ack":10}}"#,
    ),
    (
        "DPP: Resume with seq_ack -1",
        r#"{"op":7,"d":{"server_id":"81","session_id":"5f","token":"9c","seq_ack":-1}}"#,
        r#"{"op":7,"d":{"server_id":"81","session_id":"5f","token":"9c"}}"#,
    ),
    (
        "Koe: video in Resume",
        r#"{"op":7,"d":{"server_id":"81","session_id":"5f","token":"9c","seq_ack":1,"video":true}}"#,
        r#"{"op":7,"d":{"server_id":"81","session_id":"5f","token":"9c","seq_ack":1}}"#,
    ),
    ("Koe: any in op 15", r#"{"op":15,"d":{"any":100}}"#, r#"{"op":15,"d":{}}"#),
    (
        "Koe: Video without streams",
        r#"{"op":12,"d":{"audio_ssrc":7,"video_ssrc":0,"rtx_ssrc":0}}"#,
        r#"{"op":12,"d":{}}"#,
    ),
    ("web client: asks for the version", r#"{"op":16,"d":{}}"#, r#"{"op":16,"d":{}}"#),
    ("web client: codecs", r#"{"op":14,"d":{"codecs":[]}}"#, r#"{"op":14,"d":{}}"#),
    ("songbird: op 23", r#"{"op":23,"d":{"transition_id":1}}"#, r#"{"op":23,"d":{}}"#),
    ("op 31", r#"{"op":31,"d":{"transition_id":1}}"#, r#"{"op":31,"d":{}}"#),
    ("op 32", r#"{"op":32,"d":{}}"#, r#"{"op":32,"d":{}}"#),
    ("an unknown opcode", r#"{"op":77}"#, r#"{"op":77,"d":{}}"#),
    ("white space around", " \r\n{\"op\" : 32 ,\t\"d\":{}}\n", r#"{"op":32,"d":{}}"#),
];

// Clauses: V2.20
#[test]
fn what_each_client_sends_is_understood() {
    for (client, text, understood) in REAL {
        let message = parse(text).unwrap_or_else(|error| panic!("{client}: {error}"));
        assert_eq!(message.encode(Version::NEWEST), *understood, "{client}");
    }
}

// Clauses: V2.1, V2.20
#[test]
fn bad_fields_are_named_and_bad_texts_are_decode_errors() {
    for (text, decode, error) in [
        ("[3,{\"t\":1}]", true, "not a JSON object"),
        (r#"{"op":3,"op":3,"d":1}"#, true, "op is given twice"),
        (r#"{"op":3,"d":{"t":1,"t":2}}"#, true, "d.t is given twice"),
        (r#"{"op":3,"d":NaN}"#, true, "not JSON"),
        (r#"{"op":3,"d":[1]}"#, false, "d must be a number or string of at most 32 bytes"),
        (r#"{"op":3,"d":null}"#, false, "d must be a number or string of at most 32 bytes"),
        (r#"{"op":3}"#, false, "d is missing"),
        (r#"{"op":3,"d":{}}"#, false, "d.t is missing"),
        (r#"{"op":3,"d":{"t":1,"seq_ack":-2}}"#, false, "d.seq_ack must be an integer in range"),
        (r#"{"op":3,"d":{"t":1,"seq_ack":70000}}"#, false, "d.seq_ack must be an integer in range"),
        (r#"{"d":{}}"#, false, "op is missing"),
        (r#"{"op":"3","d":1}"#, false, "op must be an integer in range"),
        (r#"{"op":3.0,"d":1}"#, false, "op must be an integer in range"),
        (r#"{"op":0,"d":["81","82"]}"#, false, "d must be an object"),
        (r#"{"op":0,"d":{"server_id":"81"}}"#, false, "d.user_id is missing"),
        (r#"{"op":1,"d":{"protocol":"udp","data":[]}}"#, false, "d.data must be an object"),
        (r#"{"op":1,"d":{"protocol":"udp","data":"x"}}"#, false, "d.data must be an object"),
        (r#"{"op":1,"d":{"protocol":"udp"}}"#, false, "d.data is missing"),
        (
            r#"{"op":1,"d":{"protocol":"udp","data":{"port":1.0}}}"#,
            false,
            "d.data.port must be an integer in range",
        ),
        (r#"{"op":5,"d":{"speaking":256}}"#, false, "d.speaking must be an integer in range"),
        (r#"{"op":5,"d":{"speaking":null}}"#, false, "d.speaking must be a value, not null"),
        (r#"{"op":5,"d":{}}"#, false, "d.speaking is missing"),
    ] {
        let found = parse(text).expect_err(text);
        assert_eq!((found.is_decode(), found.to_string()), (decode, error.to_owned()), "{text}");
    }
    let long = format!(r#"{{"op":1,"d":{{"protocol":"{}"}}}}"#, "x".repeat(257));
    assert_eq!(parse(&long).unwrap_err().to_string(), "d.protocol must be a shorter string");
}

#[test]
fn older_versions_get_their_own_forms() {
    let version = |number| Version::new(number).unwrap();
    let heartbeat = parse(r#"{"op":3,"d":{"t":5,"seq_ack":9}}"#).unwrap();
    assert_eq!(heartbeat.encode(version(8)), r#"{"op":3,"d":{"t":5,"seq_ack":9}}"#);
    assert_eq!(heartbeat.encode(version(4)), r#"{"op":3,"d":5}"#);
    let speaking = parse(r#"{"op":5,"d":{"speaking":1}}"#).unwrap();
    assert_eq!(speaking.encode(version(1)), r#"{"op":5,"d":{"speaking":true,"delay":0}}"#);
    let resume =
        r#"{"op":7,"d":{"server_id":"8","channel_id":"9","session_id":"5","token":"c","seq":1}}"#;
    assert_eq!(
        parse(resume).unwrap().encode(version(4)),
        r#"{"op":7,"d":{"server_id":"8","session_id":"5","token":"c"}}"#
    );
}

#[test]
fn debug_output_holds_no_secret() {
    let text = r#"{"op":0,"d":{"server_id":81,"user_id":82,"session_id":"hush","token":"hush"}}"#;
    assert!(!format!("{:?}", parse(text).unwrap()).contains("hush"));
}

fn any_message() -> impl Strategy<Value = ClientMessage> {
    let secret = || ".{0,20}".prop_map(Secret::new);
    let channel = || proptest::option::of((1_u64..).prop_map(|n| ChannelId::new(n).unwrap()));
    let seq_ack = || proptest::option::of(1_u16..);
    let name = || proptest::option::of(".{0,20}");
    prop_oneof![
        (1_u64.., channel(), 1_u64.., secret(), secret(), any::<u16>()).prop_map(
            |(server_id, channel_id, user, session_id, token, max_dave_protocol_version)| {
                let user_id = UserId::new(user).unwrap();
                ClientMessage::Identify {
                    server_id,
                    channel_id,
                    user_id,
                    session_id,
                    token,
                    max_dave_protocol_version,
                }
            }
        ),
        (".{0,20}", name(), any::<Option<u16>>(), name()).prop_map(
            |(protocol, address, port, mode)| ClientMessage::SelectProtocol {
                protocol,
                address,
                port,
                mode
            }
        ),
        (any::<u64>(), seq_ack()).prop_map(|(nonce, seq_ack)| ClientMessage::Heartbeat {
            nonce: HeartbeatNonce::from_u64(nonce),
            seq_ack
        }),
        (any::<u8>(), any::<Option<u32>>())
            .prop_map(|(flags, ssrc)| ClientMessage::Speaking { flags, ssrc }),
        (1_u64.., channel(), secret(), secret(), seq_ack()).prop_map(
            |(server_id, channel_id, session_id, token, seq_ack)| ClientMessage::Resume {
                server_id,
                channel_id,
                session_id,
                token,
                seq_ack
            }
        ),
        (33_u32..).prop_map(|op| ClientMessage::Unknown { op }),
    ]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn any_body_is_read_or_refused(op in 0_u8..33, body in r#"[{}\[\]",:a-z_0-9.\\-]{0,40}"#) {
        let _ = parse(&format!(r#"{{"op":{op},"d":{body}}}"#));
    }

    #[test]
    fn what_is_written_is_read_back(message in any_message()) {
        let text = message.encode(Version::NEWEST);
        let again = parse(&text).map(|message| message.encode(Version::NEWEST));
        prop_assert_eq!(again, Ok(text));
    }
}
