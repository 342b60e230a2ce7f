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

/// Makes a CA and a certificate for `localhost` and `127.0.0.1`.
///
/// # Errors
/// When the cryptographic library refuses, which it does not.
pub fn certificate() -> Result<Development> {
    let Files { ca, certificate, key } = files(&["localhost", "127.0.0.1"])?;
    let identity = TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes())?;
    Ok(Development { identity, ca })
}

/// Makes a CA and a certificate for these names and addresses.
///
/// # Errors
/// When one of them is neither.
pub fn files(names: &[&str]) -> Result<Files> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "lvsp development CA");
    let ca_key = KeyPair::generate()?;
    let ca = params.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(params, ca_key);
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    Ok(Files { ca, certificate: leaf.pem(), key: key.serialize_pem() })
}
