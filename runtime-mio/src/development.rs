//! A certificate for the first start and for tests: a private CA and a leaf for this host's names.

use anyhow::Result;
use lvsp_core::transport::TlsIdentity;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// What was made.
#[derive(Debug)]
pub struct Development {
    /// What the server presents.
    pub identity: TlsIdentity,
    /// The CA that clients have to trust, as PEM.
    pub ca: String,
}

/// Makes a CA and a certificate for `localhost` and `127.0.0.1`.
///
/// # Errors
/// When the cryptographic library refuses, which it does not.
pub fn certificate() -> Result<Development> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "lvsp development CA");
    let ca_key = KeyPair::generate()?;
    let ca = params.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(params, ca_key);
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let identity = TlsIdentity::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes())?;
    Ok(Development { identity, ca })
}
