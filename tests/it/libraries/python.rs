//! Libraries in Python.

use crate::libraries::{Profile, V4, V8};

pub(super) const PROFILES: &[Profile] = &[
    Profile {
        library: "discord.py 2.7.1",
        file: "discord/gateway.py, voice_state.py",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"token":"TOKEN","server_id":"GUILD","session_id":"SESSION","seq_ack":-1}}"#,
        ..V8
    },
    Profile {
        library: "py-cord 2.8.1",
        file: "discord/voice/gateway.py",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":0,"delay":0}}"#],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":2}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0}}"#,
        resume: r#"{"op":7,"d":{"token":"TOKEN","server_id":"GUILD","session_id":"SESSION","seq_ack":2}}"#,
        ..V8
    },
    Profile {
        library: "disnake 2.12.2",
        file: "disnake/gateway.py",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":0,"delay":0,"ssrc":SSRC}}"#],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"token":"TOKEN","server_id":"GUILD","session_id":"SESSION","seq_ack":-1}}"#,
        ..V8
    },
    Profile {
        // It looks for `seq` inside `d`, so it never has a number, and resumes only on a dead connection.
        library: "nextcord 3.2.0",
        file: "nextcord/gateway.py, voice_client.py",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":0,"delay":0,"ssrc":SSRC}}"#],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        ..V8
    },
    Profile {
        // Four bytes too many behind its discovery request.
        library: "hikari-wave 0.7.0a1",
        file: "hikariwave/networking/gateway.py, server.py",
        target: "/?v=8",
        discovery: 78,
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        ..V8
    },
    Profile {
        library: "hata 1.3.100",
        file: "hata/discord/gateway/voice.py",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"seq_ack":-1,"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","user_id":"USER"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[
            r#"{"op":12,"d":{"audio_ssrc":SSRC,"video_ssrc":0,"rtx_ssrc":0}}"#,
            r#"{"op":5,"d":{"speaking":0,"delay":0}}"#,
        ],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":86400123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":86400123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0}}"#,
        ..V8
    },
    Profile {
        // The user as an integer; heartbeats are 64 random bits.
        library: "interactions.py 5.16.0",
        file: "interactions/api/voice/voice_gateway.py",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":USER,"session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":18446744073709551615}"#,
            r#"{"op":6,"d":18446744073709551615}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        ..V4
    },
];
