//! Libraries in JavaScript and TypeScript.

use crate::libraries::{Profile, V4, V8};

pub(super) const PROFILES: &[Profile] = &[
    Profile {
        library: "@discordjs/voice 0.19.2",
        file: "src/networking/Networking.ts, VoiceWebSocket.ts",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","seq_ack":-1}}"#,
        ..V8
    },
    Profile {
        library: "@discordjs/voice 0.18.0",
        file: "src/networking/Networking.ts, VoiceWebSocket.ts",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(r#"{"op":3,"d":1760000000123}"#, r#"{"op":6,"d":1760000000123}"#)],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        ..V4
    },
    Profile {
        library: "eris 0.18.0",
        file: "lib/voice/VoiceConnection.js",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"xsalsa20_poly1305"}}}"#,
        heartbeats: &[(r#"{"op":3,"d":1760000000123}"#, r#"{"op":6,"d":1760000000123}"#)],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        legacy_modes: true,
        ..V4
    },
    Profile {
        // It does not resume. A frame of silence goes out before its first Speaking.
        library: "dysnomia, repository head",
        file: "lib/voice/VoiceConnection.js",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":0,"delay":0,"ssrc":SSRC}}"#],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        ..V8
    },
    Profile {
        library: "@performanc/voice 2.2.11 (NodeLink)",
        file: "index.js",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","seq_ack":-1}}"#,
        ..V8
    },
    Profile {
        // Its first message of video comes before Select Protocol, and more of the same whenever a video begins or ends.
        library: "@dank074/discord-video-stream 3.2.0",
        file: "dist/client/voice/BaseMediaConnection.js",
        target: "/?v=7",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","video":true,"streams":[{"type":"screen","rid":"100","quality":100}]}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","codecs":[{"name":"opus","type":"audio","priority":1000,"payload_type":120},{"name":"H264","type":"video","priority":1000,"payload_type":101,"rtx_payload_type":102,"encode":true,"decode":true}],"data":{"address":"198.51.100.20","port":40001,"mode":"xsalsa20_poly1305_lite"}}}"#,
        behind_select: &[
            r#"{"op":12,"d":{"audio_ssrc":SSRC,"video_ssrc":0,"rtx_ssrc":0,"streams":[{"type":"video","rid":"100","ssrc":0,"active":true,"quality":100,"rtx_ssrc":0,"max_bitrate":2500000,"max_framerate":30,"max_resolution":{"type":"fixed","width":1080,"height":720}}]}}"#,
        ],
        heartbeats: &[(r#"{"op":3,"d":42069}"#, r#"{"op":6,"d":42069}"#)],
        speaking: r#"{"op":5,"d":{"delay":0,"speaking":1,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        hello: r#"{"op":8,"d":{"v":7,"heartbeat_interval":13750}}"#,
        legacy_modes: true,
        ..V4
    },
];
