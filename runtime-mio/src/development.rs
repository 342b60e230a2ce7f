//! Certificates of a private authority: for the first start, for tests, and for servers whose clients
//! trust that authority (`lvsp-mio gen-cert`).

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use lvsp_core::transport::TlsIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// How long an authority lasts.
const AUTHORITY: Duration = Duration::from_secs(3_650 * DAY_S);
/// How long the certificates of a first start and of tests last.
const THROW_AWAY_DAYS: u32 = 365;
/// Validity begins so much earlier: clocks of clients differ.
const EARLIER: Duration = Duration::from_secs(DAY_S);
const DAY_S: u64 = 86_400;

/// What was made.
#[derive(Debug)]
pub struct Development {
    /// What the server presents.
    pub identity: TlsIdentity,
    /// The CA that clients have to trust, as PEM.
    pub ca: String,
}

/// Files for a server, as PEM.
#[derive(Debug)]
pub struct Files {
    /// The CA that clients have to trust.
    pub ca: String,
    /// The server's certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// A private authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When the cryptographic library refuses, which it does not.
    pub fn new() -> Result<Self> {
        Self::of(KeyPair::generate()?)
    }

    /// One that was made before, by its key. Its certificate is signed anew, and who trusts the
    /// earlier one trusts what either signs.
    ///
    /// # Errors
    /// When that is no private key.
    pub fn from_key_pem(key: &str) -> Result<Self> {
        Self::of(KeyPair::from_pem(key).context("not a private key that can be used")?)
    }

    fn of(key: KeyPair) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "lvsp development CA");
        let now = SystemTime::now();
        params.not_before = (now - EARLIER).into();
        params.not_after = (now + AUTHORITY).into();
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Its certificate, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its private key, as PEM.
    #[must_use]
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for these names and addresses that lasts so many days.
    ///
    /// # Errors
    /// When one of them is neither a name nor an address.
    pub fn issue(&self, names: &[String], days: u32) -> Result<Files> {
        let now = SystemTime::now();
        let lifetime = Duration::from_secs(u64::from(days) * DAY_S);
        self.issue_between(names, now - EARLIER, now + lifetime)
    }

    /// A certificate for these names and addresses that is valid from one time to another.
    ///
    /// # Errors
    /// When one of them is neither a name nor an address.
    pub fn issue_between(
        &self,
        names: &[String],
        from: SystemTime,
        until: SystemTime,
    ) -> Result<Files> {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.not_before = from.into();
        params.not_after = until.into();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.remove(DnType::CommonName);
        if let Some(name) = names.first() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let ca = self.certificate.clone();
        Ok(Files { ca, certificate: leaf.pem(), key: key.serialize_pem() })
    }
}

/// Makes a CA and a certificate for `localhost` and `127.0.0.1`.
///
/// # Errors
/// When the cryptographic library refuses, which it does not.
pub fn certificate() -> Result<Development> {
    let Files { ca, certificate, key } = files(&["localhost", "127.0.0.1"])?;
    let identity = TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes())?;
    Ok(Development { identity, ca })
}

/// Makes a CA and a certificate for these names and addresses, for a year.
///
/// # Errors
/// When one of them is neither.
pub fn files(names: &[&str]) -> Result<Files> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    Authority::new()?.issue(&names, THROW_AWAY_DAYS)
}
