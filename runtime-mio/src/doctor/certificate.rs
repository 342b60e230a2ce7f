//! Will clients take the certificate?
//!
//! Whether a chain leads from the server's certificate to an authority is asked of the library that
//! checks it in clients written in Rust. Which authorities a client trusts is its own matter; this
//! host's are taken for an example.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::der::Decode;
use x509_cert::name::Name;

use super::{Finding, Severity};
use crate::certificate::{CertificateError, CertificateFiles, in_words};
use crate::config::{Change, File, make_certificate, mend, of_certbot, path_word};

const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";
const ENDPOINT: &str = "gateway.endpoint";
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
    let chain = match files.read() {
        Ok(_) => CertificateDer::pem_file_iter(certificate),
        Err(error) => {
            findings.extend(unreadable(file, &error));
            return findings;
        }
    };
    findings.push(Finding::ok(KEY, format!("{} belongs to the certificate", key.display())));
    let chain: Vec<_> = chain.map(|chain| chain.flatten().collect()).unwrap_or_default();
    let roots = rustls_native_certs::load_native_certs().certs;
    let is_dialled = file.gateway.endpoint.is_some();
    let subject = Subject {
        about: CERTIFICATE,
        host: is_dialled.then(|| file.host()),
        means: Means::of_file(file, certificate),
    };
    findings.extend(judge(&subject, &chain, &roots, now));
    findings
}

/// The chain that was presented where clients dial.
pub(super) fn judge_served(
    file: &File,
    chain: &[CertificateDer<'_>],
    host: &str,
    now: SystemTime,
) -> Vec<Finding> {
    let roots = rustls_native_certs::load_native_certs().certs;
    let subject = Subject { about: ENDPOINT, host: Some(host), means: Means::of_proxy(file) };
    judge(&subject, chain, &roots, now)
}

/// What to do about files that cannot be read.
fn unreadable(file: &File, error: &CertificateError) -> Option<Finding> {
    let remedy = match error.io_kind() {
        Some(ErrorKind::PermissionDenied) => {
            "let the user that the server runs as read it, by its group or as a credential of \
             systemd (docs/operating.md)"
        }
        Some(_) => "correct the path, or put the file there",
        None => {
            "put the server's own certificate first and its chain behind it into tls.certificate, \
             and its private key into tls.key, both as PEM"
        }
    };
    let what = format!("{:#}", anyhow::Error::from(error.clone()));
    let mut changes = mend(error, &file.places, file.host()).into_iter();
    let finding = Finding::error(error.key(), what, remedy, changes.next()?);
    Some(changes.fold(finding, Finding::or))
}

/// A finding about a secret file that every user of this host can read.
pub(super) fn readable_by_all(about: &str, path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & OTHERS_MAY_READ != 0).then(|| {
        let what = format!(
            "every user of this host can read {} (mode {:o})",
            path.display(),
            mode & 0o777
        );
        let change = Change::shell([format!("chmod 640 {}", path_word(path))]);
        Finding::warning(about, what, "let its owner and group alone read it", change)
    })
}

/// A chain that is judged, and what can be done about it.
struct Subject<'a> {
    about: &'static str,
    /// The name that clients dial.
    host: Option<&'a str>,
    means: Means,
}

/// What to write against each of the things that can be wrong with a certificate.
struct Means {
    /// A certificate for the name, of a public authority and of a private one.
    anew: [Change; 2],
    /// The same one with a later end.
    renewal: [Change; 2],
    /// The whole chain.
    chain: Change,
    /// Another endpoint, by the first name that a certificate is for.
    endpoint: Box<dyn Fn(&str) -> Change>,
}

impl Means {
    fn new(file: &File, folder: &Path, chain: Change) -> Self {
        let host = file.host();
        let private = make_certificate(host, folder);
        let shell = |line: String| Change::shell([line]);
        let places = file.places.clone();
        let port = file.gateway.endpoint.as_deref().and_then(|endpoint| endpoint.rsplit_once(':'));
        let port =
            port.map_or_else(|| file.gateway.listen.port().to_string(), |(_, p)| p.to_owned());
        Self {
            anew: [shell(format!("certbot certonly --standalone -d {host}")), private.clone()],
            renewal: [shell(format!("certbot renew --cert-name {host} --force-renewal")), private],
            chain,
            endpoint: Box::new(move |name| places.set(ENDPOINT, format!("{name}:{port}"))),
        }
    }

    /// Against what is wrong with `tls.certificate`.
    fn of_file(file: &File, certificate: &Path) -> Self {
        let folder = certificate.parent().unwrap_or(certificate);
        let beside = folder.join("fullchain.pem");
        let whole = if beside.is_file() && beside != certificate {
            beside
        } else {
            of_certbot(CERTIFICATE, file.host())
        };
        let chain = file.places.set(CERTIFICATE, whole.display().to_string());
        Self::new(file, folder, chain)
    }

    /// Against what is wrong with what a proxy presents.
    fn of_proxy(file: &File) -> Self {
        let whole = of_certbot(CERTIFICATE, file.host());
        let chain = Change::proxy(format!("ssl_certificate {};", path_word(&whole)));
        Self::new(file, Path::new("/etc/lvsp"), chain)
    }
}

impl Subject<'_> {
    fn ok(&self, what: impl Into<String>) -> Finding {
        Finding::ok(self.about, what)
    }

    fn error(&self, what: impl Into<String>, remedy: &str, changes: &[Change]) -> Finding {
        Finding { severity: Severity::Error, ..self.warning(what, remedy, changes) }
    }

    fn warning(&self, what: impl Into<String>, remedy: &str, changes: &[Change]) -> Finding {
        let (first, others) = changes.split_first().unwrap_or((&self.means.chain, &[]));
        let finding = Finding::warning(self.about, what, remedy, first.clone());
        others.iter().cloned().fold(finding, Finding::or)
    }
}

/// A chain, the server's own certificate first.
fn judge(
    subject: &Subject<'_>,
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    now: SystemTime,
) -> Vec<Finding> {
    let parsed: Vec<_> =
        chain.iter().map_while(|one| x509_cert::Certificate::from_der(one).ok()).collect();
    let Some(leaf) = parsed.first().filter(|_| parsed.len() == chain.len()) else {
        let what = "a certificate of the chain cannot be parsed";
        let anew = &subject.means.anew;
        return vec![subject.error(what, "get it anew from whoever signed it", anew)];
    };
    let mut findings = vec![age(subject, leaf, now)];
    findings.extend(subject.host.and_then(|host| names(subject, &chain[0], host)));
    findings.push(trust(subject, chain, &parsed, roots, now));
    findings
}

/// Whether it is valid now, and for how long.
fn age(subject: &Subject<'_>, leaf: &x509_cert::Certificate, now: SystemTime) -> Finding {
    let validity = leaf.tbs_certificate().validity();
    let (from, until) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());
    let renewal = &subject.means.renewal;
    if let Ok(early) = from.duration_since(now)
        && !early.is_zero()
    {
        let what = format!("it is not valid yet, for another {}", in_words(early));
        let clock = [Change::shell(["timedatectl set-ntp true"])];
        return subject.error(what, "set this host's clock right, or wait", &clock);
    }
    match until.duration_since(now) {
        Err(past) => subject.error(
            format!("it expired {} ago: clients refuse it", in_words(past.duration())),
            "renew it; a running server takes the new files by itself",
            renewal,
        ),
        Ok(left) if left < crate::certificate::SOON => subject.warning(
            format!("it expires in {}", in_words(left)),
            "renew it; if that should happen by itself, look why it does not (certbot renew \
             --dry-run)",
            renewal,
        ),
        Ok(left) => subject.ok(format!("valid for another {}", in_words(left))),
    }
}

/// Whether it is for the name that clients dial.
fn names(subject: &Subject<'_>, leaf: &CertificateDer<'_>, host: &str) -> Option<Finding> {
    let parsed = EndEntityCert::try_from(leaf).ok()?;
    let endpoint = &subject.means.endpoint;
    let Ok(name) = ServerName::try_from(host) else {
        let what = format!("{host:?} in gateway.endpoint is neither a name nor an address");
        let change = [endpoint("voice.example.org")];
        return Some(subject.error(what, "correct gateway.endpoint", &change));
    };
    Some(match parsed.verify_is_valid_for_subject_name(&name) {
        Ok(()) => subject.ok(format!("it is for {host}, as gateway.endpoint says")),
        Err(_) => {
            let known: Vec<_> = parsed.valid_dns_names().collect();
            let mut changes = subject.means.anew.to_vec();
            changes.extend(known.first().map(|name| endpoint(name)));
            let known = if known.is_empty() { "no name".to_owned() } else { known.join(", ") };
            subject.error(
                format!("it is for {known} and not for {host}, which clients dial: they refuse it"),
                &format!(
                    "get a certificate for {host}, or change gateway.endpoint to a name that it is \
                     for"
                ),
                &changes,
            )
        }
    })
}

/// Whether the chain leads to an authority, and to which kind.
fn trust(
    subject: &Subject<'_>,
    chain: &[CertificateDer<'_>],
    parsed: &[x509_cert::Certificate],
    roots: &[CertificateDer<'_>],
    now: SystemTime,
) -> Finding {
    if let Some(stranger) = stranger(subject, parsed) {
        return stranger;
    }
    let time = within_validity(&parsed[0], now);
    if leads_to(chain, roots, time) {
        return subject.ok("this host trusts it, as clients do that trust the same");
    }
    let whole = std::slice::from_ref(&subject.means.chain);
    let public = &subject.means.anew[..1];
    let last = parsed.len() - 1;
    let issued_by = issuer(&parsed[last]).to_string();
    let is_own = issuer(&parsed[last]) == owner(&parsed[last]);
    if is_own && last == 0 {
        return subject.warning(
            "it is self-signed: client libraries refuse it unless it was installed for them",
            "for clients of others get a public certificate (certbot, acme.sh, or a proxy such as \
             Caddy)",
            public,
        );
    }
    if is_own && leads_to(chain, &chain[last..], time) {
        return subject.warning(
            format!("it is of a private authority ({issued_by}), which clients have to trust"),
            "for clients of others get a public certificate",
            public,
        );
    }
    if is_own {
        return subject.error(
            format!("its signatures do not lead to {issued_by}"),
            "get the chain anew from whoever signed it",
            &subject.means.anew,
        );
    }
    subject.warning(
        format!("it is signed by {issued_by}, which this host does not know"),
        "if that is an intermediate of a public authority, its certificate is missing behind the \
         server's own (certbot: use fullchain.pem, not cert.pem); if it is a private authority, \
         every client has to trust it",
        whole,
    )
}

/// The first certificate of a chain that is not of whoever signed the one before it.
fn stranger(subject: &Subject<'_>, parsed: &[x509_cert::Certificate]) -> Option<Finding> {
    let at = (1..parsed.len()).find(|at| issuer(&parsed[at - 1]) != owner(&parsed[*at]))?;
    Some(subject.error(
        format!(
            "certificate {} of the chain ({}) did not sign the one before it ({})",
            at + 1,
            owner(&parsed[at]),
            owner(&parsed[at - 1])
        ),
        "put the server's own certificate first and behind each the one that signed it; remove \
         what does not belong to the chain (certbot: use fullchain.pem)",
        std::slice::from_ref(&subject.means.chain),
    ))
}

/// Whose certificate it is.
fn owner(certificate: &x509_cert::Certificate) -> &Name {
    certificate.tbs_certificate().subject()
}

/// Who signed it.
fn issuer(certificate: &x509_cert::Certificate) -> &Name {
    certificate.tbs_certificate().issuer()
}

/// The time by which signatures are judged: a certificate's age has a finding of its own.
fn within_validity(leaf: &x509_cert::Certificate, now: SystemTime) -> SystemTime {
    let validity = leaf.tbs_certificate().validity();
    let until = validity.not_after.to_system_time() - Duration::from_secs(1);
    let from = validity.not_before.to_system_time();
    now.clamp(from.min(until), until)
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

    /// What is judged of a chain that is dialled by this name.
    fn judge(
        chain: &[CertificateDer<'_>],
        roots: &[CertificateDer<'_>],
        host: Option<&str>,
        now: SystemTime,
    ) -> Vec<Finding> {
        let means = Means::of_file(&File::default(), Path::new("/etc/lvsp/cert.pem"));
        super::judge(&Subject { about: CERTIFICATE, host, means }, chain, roots, now)
    }

    /// The worst finding, with what it says.
    fn worst(findings: Vec<Finding>) -> (Severity, String) {
        for finding in &findings {
            assert_eq!(finding.changes.is_empty(), finding.severity == Severity::Ok, "{finding:?}");
        }
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
        let judged = |pem: &str| worst(judge(&certificates(pem), &[], None, now));
        let (severity, what) = judged(&made.certificate);
        assert!(severity == Severity::Warning && what.contains("does not know"), "{what}");
        let (severity, what) = judged(&format!("{}{}", made.certificate, made.ca));
        assert!(severity == Severity::Warning && what.contains("private authority"), "{what}");
        let (severity, what) = judged(&format!("{}{}", made.ca, made.certificate));
        assert!(severity == Severity::Error && what.contains("did not sign"), "{what}");
        // Of the same name, and not the one that signed.
        let other = Authority::new().unwrap();
        let (severity, what) = judged(&format!("{}{}", made.certificate, other.certificate()));
        assert!(severity == Severity::Error && what.contains("do not lead to"), "{what}");
        let own = rcgen::generate_simple_self_signed(["voice.test".to_owned()]).unwrap();
        let (severity, what) = judged(&own.cert.pem());
        assert!(severity == Severity::Warning && what.contains("self-signed"), "{what}");
        let nonsense = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(worst(judge(&[nonsense], &[], None, now)).0, Severity::Error);
    }
}
