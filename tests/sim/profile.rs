//! What the client libraries do, as far as it differs.
//!
//! Read in their code; the close codes' table is in `docs/voice-gateway.md`, the literal
//! conversations are in `tests/it/profiles.rs`.

use lvsp_core::crypto::mode::Mode;

/// A client library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// @discordjs/voice: version 8, AES, resumes on a bare end and on 4015, once, else joins anew.
    DiscordJs,
    /// songbird: version 4, AES; after a refused Resume it identifies with the token it has.
    Songbird,
    /// discord.py: version 8, XChaCha20; joins anew instead of resuming.
    DiscordPy,
    /// Koe: version 8, little-endian counters, resumes on almost everything.
    Koe,
    /// Whatever comes to mind; a member like the others as long as it is let in.
    Hostile,
}

/// Pauses between tries to connect again, in milliseconds, as songbird makes them.
pub const BACK_OFF_MS: [u64; 5] = [250, 500, 1_200, 3_000, 7_000];

/// What a client does after its connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// A new connection, and Resume.
    Resume,
    /// A new connection, and Identify with the token it has.
    Identify,
    /// Ask the chat server to join again.
    Rejoin,
    /// Give up; its user has to notice.
    Leave,
}

impl Profile {
    /// Every profile that keeps to the rules.
    pub const LEGAL: &'static [Self] =
        &[Self::DiscordJs, Self::Songbird, Self::DiscordPy, Self::Koe];

    /// The name in plans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiscordJs => "discord.js",
            Self::Songbird => "songbird",
            Self::DiscordPy => "discord.py",
            Self::Koe => "koe",
            Self::Hostile => "hostile",
        }
    }

    /// The version of the voice gateway that it speaks.
    #[must_use]
    pub const fn version(self) -> u8 {
        match self {
            Self::Songbird => 4,
            Self::DiscordJs | Self::DiscordPy | Self::Koe | Self::Hostile => 8,
        }
    }

    /// The transport mode that it asks for.
    #[must_use]
    pub const fn mode(self) -> Mode {
        match self {
            Self::DiscordPy => Mode::XChaCha20Poly1305RtpSize,
            Self::DiscordJs | Self::Songbird | Self::Koe | Self::Hostile => Mode::Aes256GcmRtpSize,
        }
    }

    /// Whether it writes its nonce counter in the other byte order.
    #[must_use]
    pub const fn little_endian(self) -> bool {
        matches!(self, Self::Koe)
    }

    /// How often it asks for its address: once, or until there is an answer.
    #[must_use]
    pub const fn discovery_tries(self) -> u32 {
        match self {
            Self::Koe => 10,
            Self::DiscordJs | Self::Songbird | Self::DiscordPy | Self::Hostile => 1,
        }
    }

    /// Whether it ends a connection on which heartbeats are not answered.
    #[must_use]
    pub const fn notices_missed_answers(self) -> bool {
        !matches!(self, Self::Songbird)
    }

    /// What it does when its connection ended with this code, `None` for a bare end.
    #[must_use]
    pub fn after(self, code: Option<u16>, resuming: bool) -> Next {
        let bare = code.is_none_or(|code| code < 4_000);
        match self {
            Self::DiscordJs if !resuming && (bare || code == Some(4_015)) => Next::Resume,
            Self::DiscordJs if code == Some(4_014) => Next::Leave,
            Self::DiscordJs | Self::Hostile => Next::Rejoin,
            Self::Songbird if resuming => Next::Identify,
            Self::Songbird if bare || matches!(code, Some(4_009 | 4_015)) => Next::Resume,
            Self::Songbird => Next::Leave,
            Self::DiscordPy if matches!(code, Some(4_014 | 4_021 | 4_022)) => Next::Leave,
            Self::DiscordPy => Next::Rejoin,
            Self::Koe if matches!(code, Some(4_004 | 4_006 | 4_014 | 4_021 | 4_022)) => Next::Leave,
            Self::Koe => Next::Resume,
        }
    }
}
