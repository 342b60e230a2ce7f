//! What stands for TLS when the feature `tls` is off.
//!
//! Here: the same names as in `tls`, as types without a value, so that signatures do not change
//! with the feature and "TLS without TLS" cannot be built. Not here: any behaviour.

use std::convert::Infallible;

use super::{TlsError, TlsFailure};

/// A certificate chain with its key. Cannot exist: the feature `tls` is off.
#[derive(Clone, Debug)]
pub struct TlsIdentity(Infallible);

impl TlsIdentity {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`TlsError::NotBuilt`].
    pub const fn from_pem(_chain: &[u8], _key: &[u8]) -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt)
    }
}

/// The certificates a client role trusts. Cannot exist: the feature `tls` is off.
#[derive(Clone, Debug)]
pub struct TlsTrust(Infallible);

impl TlsTrust {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`TlsError::NotBuilt`].
    pub const fn from_pem(_ca: &[u8], _unix_seconds: u64) -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt)
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always [`TlsError::NotBuilt`].
    pub fn from_der<'a>(
        _authorities: impl IntoIterator<Item = &'a [u8]>,
        _unix_seconds: u64,
    ) -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt)
    }
}

/// A TLS connection. Cannot exist.
pub(super) struct TlsSession(Infallible);

/// What a step of a TLS connection came to.
#[allow(dead_code, reason = "nothing makes a step of a connection that cannot exist")]
pub(super) enum TlsStep {
    Progress,
    PeerClosed,
    Failed,
}

impl TlsSession {
    pub(super) const fn accept(identity: &TlsIdentity) -> Result<Self, TlsError> {
        match identity.0 {}
    }

    pub(super) const fn connect(trust: &TlsTrust, _server_name: &str) -> Result<Self, TlsError> {
        match trust.0 {}
    }

    pub(super) const fn is_handshaking(&self) -> bool {
        match self.0 {}
    }

    #[allow(clippy::needless_pass_by_ref_mut, reason = "the shape of the real one")]
    pub(super) const fn take_failure(&mut self) -> Option<Box<TlsFailure>> {
        match self.0 {}
    }

    pub(super) const fn held(&self) -> usize {
        match self.0 {}
    }

    #[allow(clippy::needless_pass_by_ref_mut, reason = "the shape of the real one")]
    pub(super) const fn feed(
        &mut self,
        _input: &mut &[u8],
        _plaintext: &mut Vec<u8>,
        _ciphertext: &mut Vec<u8>,
    ) -> TlsStep {
        match self.0 {}
    }

    #[allow(clippy::needless_pass_by_ref_mut, reason = "the shape of the real one")]
    pub(super) const fn seal(&mut self, _plaintext: &[u8], _ciphertext: &mut Vec<u8>) {
        match self.0 {}
    }

    #[allow(clippy::needless_pass_by_ref_mut, reason = "the shape of the real one")]
    pub(super) const fn finish(&mut self, _ciphertext: &mut Vec<u8>) {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_material_is_refused_with_the_reason() {
        assert_eq!(TlsIdentity::from_pem(b"", b"").unwrap_err(), TlsError::NotBuilt);
        assert_eq!(TlsTrust::from_pem(b"", 0).unwrap_err(), TlsError::NotBuilt);
    }
}
