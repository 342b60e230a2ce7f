//! What lets this process read a file that it may not read, and what makes a file that is not there.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::unistd::getegid;

use super::change::{Change, path_word};
use crate::certificate::CertificateError;
use crate::config::Places;

/// Lets the group of this process's user read a file.
#[must_use]
pub(crate) fn grant(path: &Path) -> Change {
    let group = getegid();
    let mut lines = Vec::new();
    if let Some(folder) = closed_folder(path) {
        let folder = path_word(folder);
        lines.extend([format!("chgrp {group} {folder}"), format!("chmod g+x {folder}")]);
    }
    let path = path_word(path);
    lines.extend([format!("chgrp {group} {path}"), format!("chmod g+r {path}")]);
    Change::shell(lines)
}

/// The first folder on the way to a file that may not be entered.
fn closed_folder(path: &Path) -> Option<&Path> {
    let mut folders: Vec<_> = path.ancestors().skip(1).collect();
    folders.reverse();
    folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()).find(|folder| {
        fs::metadata(folder.join(".")).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
    })
}

/// Makes a secret and puts it into a file that no other user reads.
#[must_use]
pub(crate) fn make_secret(path: &Path) -> Change {
    Change::shell([format!("(umask 077 && lvsp-mio gen-secret > {})", path_word(path))])
}

/// Makes a certificate of a private authority, `chain.pem` and `key.pem`, in a folder.
#[must_use]
pub(crate) fn make_certificate(host: &str, folder: &Path) -> Change {
    let option = if host.parse::<IpAddr>().is_ok() { "--ip" } else { "--name" };
    let folder = path_word(folder);
    Change::shell([format!("lvsp-mio gen-cert {option} {host} --out {folder} --force")])
}

/// Where certbot keeps the files for a name.
#[must_use]
pub(crate) fn of_certbot(key: &str, host: &str) -> PathBuf {
    let name = if key == "tls.key" { "privkey.pem" } else { "fullchain.pem" };
    Path::new("/etc/letsencrypt/live").join(host).join(name)
}

/// What to do about a certificate or key that cannot be read or does not fit; one of these.
#[must_use]
pub(crate) fn mend(error: &CertificateError, places: &Places, host: &str) -> Vec<Change> {
    let (key, path) = (error.key(), error.path());
    if error.io_kind() == Some(ErrorKind::PermissionDenied) {
        return vec![grant(path)];
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let usual = match key {
        "tls.key" => ["privkey.pem", "key.pem"],
        _ => ["fullchain.pem", "chain.pem"],
    };
    let near = usual.iter().map(|name| folder.join(name));
    let near = near.filter(|near| near != path).find(|near| near.is_file());
    let there = near.unwrap_or_else(|| of_certbot(key, host));
    vec![places.set(key, there.display().to_string()), make_certificate(host, folder)]
}
