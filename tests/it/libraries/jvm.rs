//! Libraries in Java.

use crate::libraries::{Profile, V4, V8};

pub(super) const PROFILES: &[Profile] = &[
    Profile {
        library: "JDA 6.4.2",
        file: "internal/audio/AudioWebSocket.java",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[
            (r#"{"op":3,"d":{"t":1760000000123}}"#, r#"{"op":6,"d":{"t":1760000000123}}"#),
            (r#"{"op":3,"d":1760000000124}"#, r#"{"op":6,"d":{"t":1760000000124}}"#),
        ],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        ..V8
    },
    Profile {
        library: "Koe (Lavalink), repository head",
        file: "core/gateway/MediaGatewayV8Connection.java",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","video":true,"max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","codecs":[{"name":"opus","type":"audio","priority":1000,"payload_type":120}],"rtc_connection_id":"3f6a1c1e-6a52-4b0e-8a59-3d3c1b6f8b11","address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[
            r#"{"op":5,"d":{"speaking":0,"delay":0,"ssrc":SSRC}}"#,
            r#"{"op":12,"d":{"audio_ssrc":SSRC,"video_ssrc":0,"rtx_ssrc":0}}"#,
            r#"{"op":15,"d":{"any":100}}"#,
        ],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":0}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","video":true,"seq_ack":0}}"#,
        ..V8
    },
    Profile {
        library: "Discord4J, repository head",
        file: "voice/DefaultVoiceGatewayClient.java, VoiceSocket.java",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":16796,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":false,"delay":0,"ssrc":SSRC}}"#],
        heartbeats: &[(r#"{"op":3,"d":17}"#, r#"{"op":6,"d":17}"#)],
        speaking: r#"{"op":5,"d":{"speaking":true,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","seq_ack":0}}"#,
        ..V4
    },
    Profile {
        library: "Javacord, repository head",
        file: "core/util/gateway/AudioWebSocketAdapter.java, AudioUdpSocket.java",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"xsalsa20_poly1305"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":0,"delay":0,"ssrc":SSRC}}"#],
        heartbeats: &[(r#"{"op":3,"d":1760000000123}"#, r#"{"op":6,"d":1760000000123}"#)],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        legacy_modes: true,
        ..V4
    },
];
