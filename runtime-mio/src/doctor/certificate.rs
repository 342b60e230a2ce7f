//! Will clients take the certificate?
//!
//! Whether a chain leads from the server's certificate to an authority is asked of the library that
//! checks it in clients written in Rust. Which authorities a client trusts is its own matter; this
//! host's are taken for an example.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::der::Decode;

use super::{Finding, host_and_port};
use crate::certificate::{CertificateFiles, in_words};
use crate::config::File;

const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";
/// Everybody but the owner and the group.
const OTHERS_MAY_READ: u32 = 0o004;

pub(super) fn look(file: &File, now: SystemTime) -> Vec<Finding> {
    if file.tls.off {
        return Vec::new();
    }
    // That one is missing is found by the look at the whole.
    let Ok(Some(files)) = file.certificate_files() else { return Vec::new() };
    let CertificateFiles { certificate, key } = &files;
    let mut findings: Vec<_> = readable_by_all(KEY, key).into_iter().collect();
    let chain = match files.read().and_then(|_| Ok(fs::read(certificate)?)) {
        Ok(chain) => chain,
        Err(error) => {
            findings.push(Finding::error(CERTIFICATE, format!("{error:#}"), unreadable(&error)));
            return findings;
        }
    };
    findings.push(Finding::ok(KEY, format!("{} belongs to the certificate", key.display())));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain).flatten().collect();
    let host = file.gateway.endpoint.as_deref().and_then(host_and_port).map(|(host, _)| host);
    let roots = rustls_native_certs::load_native_certs().certs;
    findings.extend(judge(&chain, &roots, host, now));
    findings
}

/// What to do about files that cannot be read.
fn unreadable(error: &anyhow::Error) -> String {
    let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    match io {
        Some(std::io::ErrorKind::PermissionDenied) => {
            "let the user that the server runs as read it, by a group (chgrp, chmod 640) or as a \
             credential of systemd (docs/operating.md)"
        }
        Some(_) => "correct the path, or put the file there",
        None => {
            "put the server's own certificate first and its chain behind it into tls.certificate, \
             and its private key into tls.key, both as PEM"
        }
    }
    .to_owned()
}

/// A finding about a secret file that every user of this host can read.
pub(super) fn readable_by_all(about: &'static str, path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & OTHERS_MAY_READ != 0).then(|| {
        let path = path.display();
        let what = format!("every user of this host can read {path} (mode {:o})", mode & 0o777);
        Finding::warning(about, what, format!("chmod 640 {path}, or 600"))
    })
}

/// A chain, the server's own certificate first.
fn judge(
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    host: Option<&str>,
    now: SystemTime,
) -> Vec<Finding> {
    let parsed: Vec<_> =
        chain.iter().map_while(|one| x509_cert::Certificate::from_der(one).ok()).collect();
    let Some(leaf) = parsed.first().filter(|_| parsed.len() == chain.len()) else {
        return vec![Finding::error(
            CERTIFICATE,
            "a certificate of the chain cannot be parsed",
            "get it anew from whoever signed it",
        )];
    };
    let mut findings = vec![age(leaf, now)];
    findings.extend(host.and_then(|host| names(&chain[0], host)));
    findings.push(trust(chain, &parsed, roots, now));
    findings
}

/// Whether it is valid now, and for how long.
fn age(leaf: &x509_cert::Certificate, now: SystemTime) -> Finding {
    let validity = leaf.tbs_certificate().validity();
    let (from, until) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());
    if let Ok(early) = from.duration_since(now)
        && !early.is_zero()
    {
        let what = format!("it is not valid yet, for another {}", in_words(early));
        return Finding::error(CERTIFICATE, what, "set this host's clock right, or wait");
    }
    match until.duration_since(now) {
        Err(past) => Finding::error(
            CERTIFICATE,
            format!("it expired {} ago: clients refuse it", in_words(past.duration())),
            "renew it; a running server takes the new files by itself",
        ),
        Ok(left) if left < crate::certificate::SOON => Finding::warning(
            CERTIFICATE,
            format!("it expires in {}", in_words(left)),
            "renew it; if that should happen by itself, look why it does not (certbot renew \
             --dry-run)",
        ),
        Ok(left) => Finding::ok(CERTIFICATE, format!("valid for another {}", in_words(left))),
    }
}

/// Whether it is for the name that clients dial.
fn names(leaf: &CertificateDer<'_>, host: &str) -> Option<Finding> {
    let parsed = EndEntityCert::try_from(leaf).ok()?;
    let Ok(name) = ServerName::try_from(host) else {
        let what = format!("{host:?} in gateway.endpoint is neither a name nor an address");
        return Some(Finding::error(CERTIFICATE, what, "correct gateway.endpoint"));
    };
    Some(match parsed.verify_is_valid_for_subject_name(&name) {
        Ok(()) => Finding::ok(CERTIFICATE, format!("it is for {host}, as gateway.endpoint says")),
        Err(_) => {
            let known: Vec<_> = parsed.valid_dns_names().collect();
            let known = if known.is_empty() { "no name".to_owned() } else { known.join(", ") };
            Finding::error(
                CERTIFICATE,
                format!("it is for {known} and not for {host}, which clients dial: they refuse it"),
                format!(
                    "get a certificate for {host}, or change gateway.endpoint to a name that it is \
                     for"
                ),
            )
        }
    })
}

/// Whether the chain leads to an authority, and to which kind.
fn trust(
    chain: &[CertificateDer<'_>],
    parsed: &[x509_cert::Certificate],
    roots: &[CertificateDer<'_>],
    now: SystemTime,
) -> Finding {
    let subject = |at: usize| parsed[at].tbs_certificate().subject();
    let issuer = |at: usize| parsed[at].tbs_certificate().issuer();
    if let Some(at) = (1..parsed.len()).find(|at| issuer(at - 1) != subject(*at)) {
        return Finding::error(
            CERTIFICATE,
            format!(
                "certificate {} of the file ({}) did not sign the one before it ({})",
                at + 1,
                subject(at),
                subject(at - 1)
            ),
            "put the server's own certificate first and behind each the one that signed it; remove \
             what does not belong to the chain (certbot: use fullchain.pem)",
        );
    }
    // Its age has a finding of its own.
    let validity = parsed[0].tbs_certificate().validity();
    let until = validity.not_after.to_system_time() - Duration::from_secs(1);
    let from = validity.not_before.to_system_time();
    let time = now.clamp(from.min(until), until);
    if leads_to(chain, roots, time) {
        return Finding::ok(CERTIFICATE, "this host trusts it, as clients do that trust the same");
    }
    let last = parsed.len() - 1;
    let issued_by = issuer(last).to_string();
    let is_own = issuer(last) == subject(last);
    if is_own && last == 0 {
        return Finding::warning(
            CERTIFICATE,
            "it is self-signed: client libraries refuse it unless it was installed for them",
            "for clients of others get a public certificate (certbot, acme.sh, or a proxy such as \
             Caddy)",
        );
    }
    if is_own && leads_to(chain, &chain[last..], time) {
        return Finding::warning(
            CERTIFICATE,
            format!("it is of a private authority ({issued_by}), which clients have to trust"),
            "for clients of others get a public certificate",
        );
    }
    if is_own {
        return Finding::error(
            CERTIFICATE,
            format!("its signatures do not lead to {issued_by}"),
            "get the chain anew from whoever signed it",
        );
    }
    Finding::warning(
        CERTIFICATE,
        format!("it is signed by {issued_by}, which this host does not know"),
        "if that is an intermediate of a public authority, its certificate is missing behind the \
         server's own (certbot: use fullchain.pem, not cert.pem); if it is a private authority, every \
         client has to trust it",
    )
}

/// Whether signatures lead from the first certificate to one of these authorities.
fn leads_to(
    chain: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    time: SystemTime,
) -> bool {
    let Some((first, others)) = chain.split_first() else { return false };
    let Ok(leaf) = EndEntityCert::try_from(first) else { return false };
    let anchors: Vec<_> =
        authorities.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = UnixTime::since_unix_epoch(time);
    let (algorithms, usage) = (webpki::ALL_VERIFICATION_ALGS, KeyUsage::server_auth());
    leaf.verify_for_usage(algorithms, &anchors, others, time, usage, None, None).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use crate::development::{Authority, Files};

    const DAY: Duration = Duration::from_secs(86_400);

    fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
    }

    /// Valid from a day ago for so many days, with its authority.
    fn made(days: u32) -> Files {
        Authority::new().unwrap().issue(&["voice.test".to_owned()], days).unwrap()
    }

    /// The worst finding, with what it says.
    fn worst(findings: Vec<Finding>) -> (Severity, String) {
        let worst = findings.into_iter().max_by_key(|finding| finding.severity).unwrap();
        (worst.severity, worst.what)
    }

    #[test]
    fn a_chain_that_this_host_trusts_is_well() {
        let made = made(90);
        let (chain, roots) = (certificates(&made.certificate), certificates(&made.ca));
        let now = SystemTime::now();
        let found = judge(&chain, &roots, Some("voice.test"), now);
        assert!(found.iter().all(|finding| finding.severity == Severity::Ok), "{found:?}");
        let (severity, what) = worst(judge(&chain, &roots, Some("other.test"), now));
        assert_eq!(severity, Severity::Error);
        assert!(what.contains("it is for voice.test and not for other.test"), "{what}");
    }

    #[test]
    fn age_is_judged_before_during_and_after_validity() {
        let made = made(90);
        let (chain, roots) = (certificates(&made.certificate), certificates(&made.ca));
        let now = SystemTime::now();
        let at = |time| worst(judge(&chain, &roots, None, time));
        let (severity, what) = at(now + 95 * DAY);
        assert!(severity == Severity::Error && what.contains("it expired 5 days ago"), "{what}");
        let (severity, what) = at(now - 3 * DAY);
        assert!(severity == Severity::Error && what.contains("not valid yet"), "{what}");
        let (severity, what) = at(now + 80 * DAY);
        assert!(severity == Severity::Warning && what.contains("it expires in 9 days"), "{what}");
    }

    #[test]
    fn chains_that_do_not_lead_to_a_known_authority_are_told_apart() {
        let now = SystemTime::now();
        let made = made(90);
        let judge = |pem: &str| worst(judge(&certificates(pem), &[], None, now));
        let (severity, what) = judge(&made.certificate);
        assert!(severity == Severity::Warning && what.contains("does not know"), "{what}");
        let (severity, what) = judge(&format!("{}{}", made.certificate, made.ca));
        assert!(severity == Severity::Warning && what.contains("private authority"), "{what}");
        let (severity, what) = judge(&format!("{}{}", made.ca, made.certificate));
        assert!(severity == Severity::Error && what.contains("did not sign"), "{what}");
        // Of the same name, and not the one that signed.
        let other = Authority::new().unwrap();
        let (severity, what) = judge(&format!("{}{}", made.certificate, other.certificate()));
        assert!(severity == Severity::Error && what.contains("do not lead to"), "{what}");
        let own = rcgen::generate_simple_self_signed(["voice.test".to_owned()]).unwrap();
        let (severity, what) = judge(&own.cert.pem());
        assert!(severity == Severity::Warning && what.contains("self-signed"), "{what}");
        let nonsense = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(worst(super::judge(&[nonsense], &[], None, now)).0, Severity::Error);
    }
}
