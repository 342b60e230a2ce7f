//! What each client library says to the voice gateway, literally.
//!
//! Each profile names the library, its version and the file that the messages were read in. Words in
//! capitals stand for values of the conversation. `profiles` holds the conversations.

/// What a library does with the voice gateway.
pub(crate) struct Profile {
    pub(crate) library: &'static str,
    pub(crate) file: &'static str,
    pub(crate) target: &'static str,
    pub(crate) identify: &'static str,
    pub(crate) select: &'static str,
    /// Between Select Protocol and its Session Description, or right behind it.
    pub(crate) behind_select: &'static [&'static str],
    /// What it sends, and what it has to be answered.
    pub(crate) heartbeats: &'static [(&'static str, &'static str)],
    pub(crate) speaking: &'static str,
    /// Empty for one that does not resume.
    pub(crate) resume: &'static str,
    pub(crate) hello: &'static str,
    pub(crate) resumed: &'static str,
    pub(crate) old_versions: bool,
    pub(crate) legacy_modes: bool,
}

const HELLO_8: &str = r#"{"op":8,"d":{"v":8,"heartbeat_interval":13750}}"#;
const HELLO_4: &str = r#"{"op":8,"d":{"v":4,"heartbeat_interval":13750}}"#;
const RESUMED: &str = r#"{"op":9,"d":null}"#;

/// What most libraries have in common that speak version 8; each row adds what it says itself.
const VERSION_8: Profile = Profile {
    library: "",
    file: "",
    target: "/?v=8",
    identify: "",
    select: "",
    behind_select: &[],
    heartbeats: &[],
    speaking: "",
    resume: "",
    hello: HELLO_8,
    resumed: RESUMED,
    old_versions: false,
    legacy_modes: false,
};
/// The same of version 4.
const VERSION_4: Profile = Profile { target: "/?v=4", hello: HELLO_4, ..VERSION_8 };

pub(crate) const PROFILES: &[Profile] = &[
    Profile {
        library: "@discordjs/voice 0.19.2",
        file: "src/networking/Networking.ts, VoiceWebSocket.ts",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","seq_ack":-1}}"#,
        ..VERSION_8
    },
    Profile {
        library: "songbird 0.6.1 (serenity-voice-model 0.3.0)",
        file: "src/driver/connection/mod.rs, ws.rs",
        identify: r#"{"op":0,"d":{"max_dave_protocol_version":1,"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","user_id":"USER"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","mode":"aead_xchacha20_poly1305_rtpsize","port":40001}}}"#,
        heartbeats: &[(r#"{"op":3,"d":9007199254740991}"#, r#"{"op":6,"d":9007199254740991}"#)],
        speaking: r#"{"op":5,"d":{"delay":0,"speaking":1,"ssrc":SSRC,"user_id":null}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        ..VERSION_4
    },
    Profile {
        library: "discord.py 2.7.1",
        file: "discord/gateway.py, voice_state.py",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"token":"TOKEN","server_id":"GUILD","session_id":"SESSION","seq_ack":-1}}"#,
        ..VERSION_8
    },
    Profile {
        library: "eris 0.18.0",
        file: "lib/voice/VoiceConnection.js",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"xsalsa20_poly1305"}}}"#,
        heartbeats: &[(r#"{"op":3,"d":1760000000123}"#, r#"{"op":6,"d":1760000000123}"#)],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        legacy_modes: true,
        ..VERSION_4
    },
    Profile {
        library: "JDA 6.4.2",
        file: "internal/audio/AudioWebSocket.java",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[
            (r#"{"op":3,"d":{"t":1760000000123}}"#, r#"{"op":6,"d":{"t":1760000000123}}"#),
            (r#"{"op":3,"d":1760000000124}"#, r#"{"op":6,"d":{"t":1760000000124}}"#),
        ],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        ..VERSION_8
    },
    Profile {
        library: "Koe (Lavalink), repository head",
        file: "core/gateway/MediaGatewayV8Connection.java",
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
        ..VERSION_8
    },
    Profile {
        library: "disgo, repository head",
        file: "voice/gateway.go, gateway_messages.go",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":0}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","seq":0}}"#,
        ..VERSION_8
    },
    Profile {
        library: "discordgo 0.29.0",
        file: "voice.go",
        target: "/",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[],
        heartbeats: &[(r#"{"op":3,"d":1760000000}"#, r#"{"op":3,"d":1760000000}"#)],
        speaking: r#"{"op":5,"d":{"speaking":true,"delay":0}}"#,
        resume: "",
        hello: r#"{"heartbeat_interval":13750}"#,
        resumed: "",
        old_versions: true,
        legacy_modes: false,
    },
    Profile {
        library: "@discordjs/voice 0.18.0",
        file: "src/networking/Networking.ts, VoiceWebSocket.ts",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(r#"{"op":3,"d":1760000000123}"#, r#"{"op":6,"d":1760000000123}"#)],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        ..VERSION_4
    },
    Profile {
        library: "py-cord 2.8.1",
        file: "discord/voice/gateway.py",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":0,"delay":0}}"#],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":2}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0}}"#,
        resume: r#"{"op":7,"d":{"token":"TOKEN","server_id":"GUILD","session_id":"SESSION","seq_ack":2}}"#,
        ..VERSION_8
    },
    Profile {
        // It does not resume. A frame of silence goes out before its first Speaking.
        library: "dysnomia, repository head",
        file: "lib/voice/VoiceConnection.js",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[r#"{"op":5,"d":{"speaking":0,"delay":0,"ssrc":SSRC}}"#],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: "",
        resumed: "",
        ..VERSION_8
    },
    Profile {
        // Its heartbeats carry a tick count of 32 bits with a sign.
        library: "NetCord, repository head",
        file: "NetCord/Gateway/Voice/VoiceClient.cs, SpeakingProperties.cs, VoiceHeartbeatProperties.cs",
        identify: r#"{"op":0,"d":{"server_id":GUILD,"user_id":USER,"session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"203.0.113.7","port":50000,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        heartbeats: &[(
            r#"{"op":3,"d":{"t":-1207959552,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":-1207959552}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0}}"#,
        resume: r#"{"op":7,"d":{"server_id":GUILD,"session_id":"SESSION","token":"TOKEN","seq_ack":1}}"#,
        ..VERSION_8
    },
    Profile {
        // It forgets its number on every Hello.
        library: "D++, repository head",
        file: "src/dpp/voice/enabled/handle_frame.cpp",
        identify: r#"{"op":0,"d":{"max_dave_protocol_version":1,"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","user_id":"USER"}}"#,
        select: r#"{"op":1,"d":{"data":{"address":"198.51.100.20","mode":"aead_xchacha20_poly1305_rtpsize","port":0},"protocol":"udp"}}"#,
        behind_select: &[r#"{"d":["transition_id",0],"op":31}"#],
        heartbeats: &[(
            r#"{"d":{"seq_ack":2,"t":1804289383},"op":3}"#,
            r#"{"op":6,"d":{"t":1804289383}}"#,
        )],
        speaking: r#"{"d":{"delay":0,"speaking":1,"ssrc":SSRC},"op":5}"#,
        resume: r#"{"d":{"seq_ack":-1,"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"},"op":7}"#,
        ..VERSION_8
    },
    Profile {
        // Ids as integers.
        library: "nostrum, repository head",
        file: "lib/nostrum/voice/payload.ex",
        identify: r#"{"op":0,"d":{"user_id":USER,"token":"TOKEN","session_id":"SESSION","server_id":GUILD}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"port":40001,"mode":"aead_aes256_gcm_rtpsize","address":"198.51.100.20"}}}"#,
        heartbeats: &[(r#"{"op":3,"d":1760000000}"#, r#"{"op":6,"d":1760000000}"#)],
        speaking: r#"{"op":5,"d":{"ssrc":SSRC,"speaking":1,"delay":0}}"#,
        resume: r#"{"op":7,"d":{"token":"TOKEN","session_id":"SESSION","server_id":GUILD}}"#,
        ..VERSION_4
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
        resumed: RESUMED,
        old_versions: false,
        legacy_modes: false,
    },
];

impl Profile {
    /// Whether its messages are numbered.
    pub(crate) fn numbered(&self) -> bool {
        self.target.contains("v=8") || self.target.contains("v=9")
    }
}
