//! The certificate of both listeners, as it stands in two files: reading it, and how long it lasts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use lvsp_core::transport::{TlsError, TlsIdentity};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::der::Decode;

/// A certificate that ends sooner than this is worth a warning.
pub(crate) const SOON: Duration = Duration::from_secs(14 * DAY_S);
const DAY_S: u64 = 86_400;

/// Where a certificate chain and its key stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// `tls.certificate`: PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// `tls.key`: PEM.
    pub key: PathBuf,
}

/// What was read of them.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// What the server presents.
    pub identity: TlsIdentity,
    /// When clients begin to refuse it; `None` when that cannot be read.
    pub expires: Option<SystemTime>,
}

/// Why a certificate and its key cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{key} = {}", path.display())]
    Io {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A file holds something else.
    #[error("{key} = {}: {error}", path.display())]
    Tls {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong with it.
        error: TlsError,
    },
    /// They do not fit together.
    #[error("tls.key = {} with tls.certificate = {}: {}", key.display(), certificate.display(), TlsError::KeyMismatch)]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
}

impl CertificateError {
    /// The configuration key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Io { key, .. } | Self::Tls { key, .. } => key,
            Self::Mismatch { .. } => "tls.key",
        }
    }

    /// The file at fault.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Tls { path, .. } => path,
            Self::Mismatch { key, .. } => key,
        }
    }

    /// What kind of failure the operating system told.
    #[must_use]
    pub(crate) fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Tls { .. } | Self::Mismatch { .. } => None,
        }
    }
}

impl CertificateFiles {
    /// Reads both files and checks that the key is the certificate's.
    ///
    /// # Errors
    /// Which file is missing, unreadable or does not fit, and why.
    pub fn read(&self) -> Result<Certificate, CertificateError> {
        let read = |key: &'static str, path: &Path| {
            fs::read(path).map_err(|error| CertificateError::Io {
                key,
                path: path.to_owned(),
                source: Arc::new(error),
            })
        };
        let chain = read("tls.certificate", &self.certificate)?;
        let key = read("tls.key", &self.key)?;
        let identity = TlsIdentity::from_pem(&chain, &key).map_err(|error| self.explain(error))?;
        Ok(Certificate { identity, expires: expiry(&chain) })
    }

    /// Names the file that is at fault; both, when they do not fit together.
    fn explain(&self, error: TlsError) -> CertificateError {
        let (certificate, key) = (self.certificate.clone(), self.key.clone());
        if error == TlsError::KeyMismatch {
            CertificateError::Mismatch { key, certificate }
        } else if error.is_of_key() {
            CertificateError::Tls { key: "tls.key", path: key, error }
        } else {
            CertificateError::Tls { key: "tls.certificate", path: certificate, error }
        }
    }

    /// What to say of a certificate that ends at `expires`, if that is soon.
    #[must_use]
    pub fn expiry_warning(&self, expires: SystemTime, now: SystemTime) -> Option<String> {
        let path = self.certificate.display();
        match expires.duration_since(now) {
            Ok(left) if left >= SOON => None,
            Ok(left) => Some(format!(
                "tls.certificate = {path} expires in {}: renew it; the new one is taken without a \
                 restart",
                in_words(left)
            )),
            Err(past) => Some(format!(
                "tls.certificate = {path} expired {} ago: clients refuse it; renew it",
                in_words(past.duration())
            )),
        }
    }
}

/// A length of time for people, in hours or days.
pub(crate) fn in_words(time: Duration) -> String {
    let hours = time.as_secs() / 3_600;
    match hours {
        0 => "less than an hour".to_owned(),
        1..48 => format!("{hours} h"),
        _ => format!("{} days", hours / 24),
    }
}

/// When the server's own certificate, the first of the chain, ends.
fn expiry(chain: &[u8]) -> Option<SystemTime> {
    let first = CertificateDer::pem_slice_iter(chain).next()?.ok()?;
    match x509_cert::Certificate::from_der(&first) {
        Ok(certificate) => {
            Some(certificate.tbs_certificate().validity().not_after.to_system_time())
        }
        Err(error) => {
            tracing::warn!(%error, "cannot tell when tls.certificate expires");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn files() -> CertificateFiles {
        CertificateFiles { certificate: "chain.pem".into(), key: "key.pem".into() }
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 3, 4);
        let key = KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let expires = expiry(chain.as_bytes()).unwrap();
        let since_1970 = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(since_1970, 1_930_348_800, "2031-03-04");
        assert_eq!(expiry(b"nothing"), None);
    }

    #[test]
    fn a_certificate_is_warned_of_a_fortnight_before_its_end_and_after_it() {
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1_930_348_800);
        let warning = |before: Duration| files().expiry_warning(expires, expires - before);
        assert_eq!(warning(SOON), None);
        let soon = warning(SOON - Duration::from_secs(1)).unwrap();
        assert!(soon.starts_with("tls.certificate = chain.pem expires in 13 days: "), "{soon}");
        assert!(warning(Duration::from_secs(3_599)).unwrap().contains("in less than an hour"));
        let past = files().expiry_warning(expires, expires + Duration::from_secs(30 * 3_600));
        assert!(past.unwrap().contains("chain.pem expired 30 h ago"));
    }
}
