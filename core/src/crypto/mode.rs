//! The transport modes: names, layouts, and which are offered.
//!
//! What stays clear, where the tag stands and where the nonce comes from is in the table of
//! [`Mode`]; sealing itself is in [`super::cipher`].

/// How media packets of one session are sealed.
///
/// | mode | clear | sealed part | nonce |
/// |---|---|---|---|
/// | `aead_*_rtpsize` | header, CSRCs, extension preamble | ciphertext, tag | 4-byte suffix, zeros |
/// | `aead_aes256_gcm` | 12 bytes | ciphertext, tag | 4-byte suffix, zeros |
/// | `xsalsa20_poly1305_lite_rtpsize` | as `rtpsize` | tag, ciphertext | 4-byte suffix, zeros |
/// | `xsalsa20_poly1305_lite` | 12 bytes | tag, ciphertext | 4-byte suffix, zeros |
/// | `xsalsa20_poly1305_suffix` | 12 bytes | tag, ciphertext | 24-byte suffix |
/// | `xsalsa20_poly1305` | 12 bytes | tag, ciphertext | the clear bytes, zeros |
///
/// The `xsalsa20` modes authenticate no header, and the last one lets the speaker choose the nonce:
/// they are offered only to serve old libraries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// `aead_aes256_gcm_rtpsize`
    Aes256GcmRtpSize,
    /// `aead_xchacha20_poly1305_rtpsize`
    XChaCha20Poly1305RtpSize,
    /// `aead_aes256_gcm`
    Aes256Gcm,
    /// `xsalsa20_poly1305_lite_rtpsize`
    XSalsa20Poly1305LiteRtpSize,
    /// `xsalsa20_poly1305_lite`
    XSalsa20Poly1305Lite,
    /// `xsalsa20_poly1305_suffix`
    XSalsa20Poly1305Suffix,
    /// `xsalsa20_poly1305`
    XSalsa20Poly1305,
}

/// Bytes of every mode's authentication tag.
pub const TAG_BYTES: usize = 16;
/// The most that any mode adds to a packet.
pub const OVERHEAD_BYTES_MAX: usize = TAG_BYTES + 24;

impl Mode {
    /// Every mode, in the order in which they are offered. Clients that go by the server's order
    /// take the first that they know, and discord.js brings only AES with it.
    pub const ALL: [Self; 7] = [
        Self::Aes256GcmRtpSize,
        Self::XChaCha20Poly1305RtpSize,
        Self::Aes256Gcm,
        Self::XSalsa20Poly1305LiteRtpSize,
        Self::XSalsa20Poly1305Lite,
        Self::XSalsa20Poly1305Suffix,
        Self::XSalsa20Poly1305,
    ];

    /// The modes that are offered: the two of today, or all.
    #[must_use]
    pub const fn offered(legacy: bool) -> &'static [Self] {
        const TODAY: &[Mode] = &[Mode::Aes256GcmRtpSize, Mode::XChaCha20Poly1305RtpSize];
        const ALL: &[Mode] = &Mode::ALL;
        if legacy && cfg!(feature = "legacy-modes") { ALL } else { TODAY }
    }

    /// The name in Ready, Select Protocol and Session Description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256GcmRtpSize => "aead_aes256_gcm_rtpsize",
            Self::XChaCha20Poly1305RtpSize => "aead_xchacha20_poly1305_rtpsize",
            Self::Aes256Gcm => "aead_aes256_gcm",
            Self::XSalsa20Poly1305LiteRtpSize => "xsalsa20_poly1305_lite_rtpsize",
            Self::XSalsa20Poly1305Lite => "xsalsa20_poly1305_lite",
            Self::XSalsa20Poly1305Suffix => "xsalsa20_poly1305_suffix",
            Self::XSalsa20Poly1305 => "xsalsa20_poly1305",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Whether this is offered only on request, to serve old libraries.
    #[must_use]
    pub const fn is_legacy(self) -> bool {
        !matches!(self, Self::Aes256GcmRtpSize | Self::XChaCha20Poly1305RtpSize)
    }

    /// Whether CSRCs and the extension's preamble stay clear, and not only the first 12 bytes.
    #[must_use]
    pub const fn is_rtpsize(self) -> bool {
        matches!(
            self,
            Self::Aes256GcmRtpSize
                | Self::XChaCha20Poly1305RtpSize
                | Self::XSalsa20Poly1305LiteRtpSize
        )
    }

    /// Whether this is NaCl's secretbox: tag before the ciphertext, header not authenticated.
    #[must_use]
    pub const fn is_secretbox(self) -> bool {
        !matches!(self, Self::Aes256GcmRtpSize | Self::XChaCha20Poly1305RtpSize | Self::Aes256Gcm)
    }

    /// Bytes of nonce at the end of each packet.
    #[must_use]
    pub const fn suffix_len(self) -> usize {
        match self {
            Self::XSalsa20Poly1305Suffix => 24,
            Self::XSalsa20Poly1305 => 0,
            Self::Aes256GcmRtpSize
            | Self::XChaCha20Poly1305RtpSize
            | Self::Aes256Gcm
            | Self::XSalsa20Poly1305LiteRtpSize
            | Self::XSalsa20Poly1305Lite => 4,
        }
    }

    /// Bytes that sealing adds to a packet.
    #[must_use]
    pub const fn overhead(self) -> usize {
        TAG_BYTES + self.suffix_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_modes() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_name(mode.name()), Some(mode));
        }
        assert_eq!(Mode::from_name("plain"), None);
    }

    #[test]
    fn aead_modes_come_first_and_old_ones_only_on_request() {
        assert_eq!(Mode::offered(false), [Mode::Aes256GcmRtpSize, Mode::XChaCha20Poly1305RtpSize]);
        assert!(Mode::offered(false).iter().all(|mode| !mode.is_legacy()));
        let offered = Mode::offered(true);
        assert_eq!(offered.len(), if cfg!(feature = "legacy-modes") { 7 } else { 2 });
        assert_eq!(offered[..2], *Mode::offered(false));
        assert!(offered.is_sorted_by_key(|mode| mode.is_secretbox()), "AEAD first");
    }

    #[test]
    fn no_mode_adds_more_than_the_maximum() {
        let most = Mode::ALL.into_iter().map(Mode::overhead).max();
        assert_eq!(most, Some(OVERHEAD_BYTES_MAX));
    }
}
