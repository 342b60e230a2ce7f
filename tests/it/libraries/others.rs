//! Libraries in Rust, Go, C#, C++, Elixir, Ruby and Lua, and what documentation has of version 9.

use crate::libraries::{Profile, V4, V8};

pub(super) const PROFILES: &[Profile] = &[
    Profile {
        library: "songbird 0.6.1 (serenity-voice-model 0.3.0)",
        file: "src/driver/connection/mod.rs, ws.rs",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"max_dave_protocol_version":1,"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","user_id":"USER"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","mode":"aead_xchacha20_poly1305_rtpsize","port":40001}}}"#,
        heartbeats: &[(r#"{"op":3,"d":9007199254740991}"#, r#"{"op":6,"d":9007199254740991}"#)],
        speaking: r#"{"op":5,"d":{"delay":0,"speaking":1,"ssrc":SSRC,"user_id":null}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        ..V4
    },
    Profile {
        library: "disgo, repository head",
        file: "voice/gateway.go, gateway_messages.go",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":0}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","seq":0}}"#,
        ..V8
    },
    Profile {
        library: "discordgo 0.29.0",
        file: "voice.go",
        target: "/",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(r#"{"op":3,"d":1760000000}"#, r#"{"op":3,"d":1760000000}"#)],
        speaking: r#"{"op":5,"d":{"speaking":true,"delay":0}}"#,
        hello: r#"{"heartbeat_interval":13750}"#,
        old_versions: true,
        ..V8
    },
    Profile {
        library: "arikawa 3, repository head",
        file: "voice/voicegateway/gateway.go, voice/udp/connection.go",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":16796,"mode":"xsalsa20_poly1305"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":1760000000123456789}"#,
            r#"{"op":6,"d":1760000000123456789}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        legacy_modes: true,
        ..V4
    },
    Profile {
        // Its heartbeats carry a tick count of 32 bits with a sign.
        library: "NetCord, repository head",
        file: "NetCord/Gateway/Voice/VoiceClient.cs, SpeakingProperties.cs, VoiceHeartbeatProperties.cs",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":GUILD,"user_id":USER,"session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"203.0.113.7","port":50000,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":-1207959552,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":-1207959552}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0}}"#,
        resume: r#"{"op":7,"d":{"server_id":GUILD,"session_id":"SESSION","token":"TOKEN","seq_ack":1}}"#,
        ..V8
    },
    Profile {
        // The port that it names is that of its own socket, before any translation.
        library: "Discord.Net, repository of October 2024",
        file: "src/Discord.Net.WebSocket/Audio/AudioClient.cs, DiscordVoiceApiClient.cs",
        target: "/?v=3",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":51820,"mode":"xsalsa20_poly1305"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":false,"delay":0}}"#],
        heartbeats: &[(r#"{"op":3,"d":1760000000123}"#, r#"{"op":6,"d":1760000000123}"#)],
        speaking: r#"{"op":5,"d":{"speaking":true,"delay":0}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        hello: r#"{"op":8,"d":{"v":3,"heartbeat_interval":13750}}"#,
        old_versions: true,
        legacy_modes: true,
        ..V4
    },
    Profile {
        // It forgets its number on every Hello.
        library: "D++, repository head",
        file: "src/dpp/voice/enabled/handle_frame.cpp",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"max_dave_protocol_version":1,"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","user_id":"USER"}}"#,
        select: r#"{"op":1,"d":{"data":{"address":"198.51.100.20","mode":"aead_xchacha20_poly1305_rtpsize","port":0},"protocol":"udp"}}"#,
        behind_select: &[r#"{"d":["transition_id",0],"op":31}"#],
        heartbeats: &[(
            r#"{"d":{"seq_ack":2,"t":1804289383},"op":3}"#,
            r#"{"op":6,"d":{"t":1804289383}}"#,
        )],
        speaking: r#"{"d":{"delay":0,"speaking":1,"ssrc":SSRC},"op":5}"#,
        resume: r#"{"d":{"seq_ack":-1,"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"},"op":7}"#,
        ..V8
    },
    Profile {
        // Ids as integers.
        library: "nostrum, repository head",
        file: "lib/nostrum/voice/payload.ex",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"user_id":USER,"token":"TOKEN","session_id":"SESSION","server_id":GUILD}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"port":40001,"mode":"aead_aes256_gcm_rtpsize","address":"198.51.100.20"}}}"#,
        heartbeats: &[(r#"{"op":3,"d":1760000000}"#, r#"{"op":6,"d":1760000000}"#)],
        speaking: r#"{"op":5,"d":{"ssrc":SSRC,"speaking":1,"delay":0}}"#,
        resume: r#"{"op":7,"d":{"token":"TOKEN","session_id":"SESSION","server_id":GUILD}}"#,
        ..V4
    },
    Profile {
        // Ids as integers; no number before its first heartbeat; it does not resume.
        library: "discordrb, repository head",
        file: "lib/discordrb/voice/network.rb",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":GUILD,"user_id":USER,"session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        heartbeats: &[
            (
                r#"{"op":3,"d":{"t":1760000000123,"seq_ack":null}}"#,
                r#"{"op":6,"d":{"t":1760000000123}}"#,
            ),
            (
                r#"{"op":3,"d":{"t":1760000000124,"seq_ack":0}}"#,
                r#"{"op":6,"d":{"t":1760000000124}}"#,
            ),
        ],
        speaking: r#"{"op":5,"d":{"speaking":true,"delay":0}}"#,
        ..V8
    },
    Profile {
        // It reads its port in the wrong byte order, as do the other three with this port.
        library: "Discordia, repository head",
        file: "libs/voice/VoiceSocket.lua",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":16796,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":true,"delay":0,"ssrc":SSRC}}"#,
        ..V8
    },
    Profile {
        library: "a client of version 9 on UDP, as the community's documentation has it",
        file: "discord-userdoccers, pages/topics/voice-connections.mdx",
        target: "/?v=9&encoding=json",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","channel_id":"PLACE","user_id":"USER","session_id":"SESSION","token":"TOKEN","video":true,"streams":[{"type":"video","rid":"100","quality":100}],"max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"},"codecs":[{"name":"opus","type":"audio","priority":1000,"payload_type":120},{"name":"H264","type":"video","priority":1000,"payload_type":101,"rtx_payload_type":102,"encode":true,"decode":true}],"rtc_connection_id":"d6b92f06-d2c9-4d2b-8c57-c2b8d5e6f3a1","experiments":["fixed_keyframe_interval"]}}"#,
        behind_select: &[
            r#"{"op":12,"d":{"audio_ssrc":SSRC,"video_ssrc":0,"rtx_ssrc":0,"streams":[{"type":"video","rid":"100","ssrc":0,"active":false,"quality":100,"rtx_ssrc":0,"max_bitrate":9000000,"max_framerate":60,"max_resolution":{"type":"fixed","width":0,"height":0}}]}}"#,
            r#"{"op":14,"d":{"codecs":[]}}"#,
            r#"{"op":15,"d":{"any":100,"pixelCounts":{}}}"#,
        ],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","channel_id":"PLACE","session_id":"SESSION","token":"TOKEN","seq_ack":1}}"#,
        hello: r#"{"op":8,"d":{"v":9,"heartbeat_interval":13750}}"#,
        ..V8
    },
];
