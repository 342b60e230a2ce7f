//! The operator's configuration: a TOML file, overridden by the environment.
//!
//! Everything that is wrong is named in one go, with its line and what to write. Each scalar key is also
//! the variable `LVSP_SECTION__KEY` (`environment`). A secret may stand in a file of its own, which
//! `secret_file` names in place of `secret`.
//!
//! | file | |
//! |---|---|
//! | `sections` | the keys themselves |
//! | `typing` | whether keys are known and their values of the right type |
//! | `check` | what the values mean together |
//! | `places` | where each key stands |
//! | `fault`, `change`, `access` | what is wrong, and what to write |

mod access;
mod change;
mod check;
mod environment;
mod fault;
mod places;
mod sections;
mod typing;

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::path::Path;

use anyhow::Result;
use lvsp_core::memory::Ceiling;
use toml::de::DeTable;

use crate::certificate::CertificateFiles;
use crate::host;
use crate::memory::{self, Available};
use crate::options::Options;
use crate::sockets::Addresses;

pub(crate) use access::{grant, make_certificate, make_secret, mend, of_certbot};
pub use change::{Change, Place, Step};
pub(crate) use change::{alternatives, path_word};
pub use fault::{Fault, Faults};
pub use places::Places;
pub use sections::{
    AdminSection, ClientSection, ControlSection, DrainSection, File, GatewaySection, MediaSection,
    SecretText, TlsSection,
};

/// Stands for a name that nobody gave.
const SOME_HOST: &str = "voice.example.org";

impl File {
    /// Reads the file, if one is given, and the environment.
    ///
    /// # Errors
    /// Everything that is wrong with keys and values by themselves: what, where, and what to write.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Faults> {
        let (file, faults) = Self::read(path, environment)?;
        Faults::none_or(faults, file)
    }

    /// The same, and what keeps the rest from being served too, so that it is all told in one go.
    ///
    /// # Errors
    /// Everything that can be named.
    pub fn load_checked(
        path: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Faults> {
        let (file, mut faults) = Self::read(path, environment)?;
        for other in check::faults(&file) {
            // A key that is wrong was taken out, and is not missing.
            if !faults.iter().any(|fault| fault.key == other.key) {
                faults.push(other);
            }
        }
        Faults::none_or(faults, file)
    }

    /// What is right, and what is not.
    fn read(
        path: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, Vec<Fault>), Faults> {
        let text = match path {
            Some(path) => fs::read_to_string(path).map_err(|error| unreadable(path, &error))?,
            None => String::new(),
        };
        let (document, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            Faults::none_or(errors.iter().map(|error| no_toml(path, &text, error)).collect(), ())?;
        }
        let mut places = Places::of(path, &text, document.get_ref());
        let mut table: toml::Table =
            toml::from_str(&text).map_err(|error| no_toml(path, &text, &error))?;
        let mut faults = typing::take_faults(&mut table, &places);
        faults.extend(environment::apply(&mut table, environment, &mut places));
        let mut file: Self = table.try_into().map_err(|error| no_toml(path, &text, &error))?;
        file.places = places;
        Ok((file, faults))
    }

    /// Checks that this can be served, as far as that can be said without opening a socket.
    ///
    /// # Errors
    /// Everything that is missing, out of range or contradictory, by key.
    pub fn check(&self) -> Result<(), Faults> {
        Faults::none_or(check::faults(self), ())
    }

    /// Turns the file into what a server is started with.
    ///
    /// # Errors
    /// Everything that is missing, out of range or contradictory, by key.
    pub fn options(&self) -> Result<Options, Faults> {
        check::options(self)
    }

    /// Whether voice clients come through a proxy whose word is not taken: what their addresses are
    /// compared with is then not known.
    #[must_use]
    pub const fn hides_clients(&self) -> bool {
        self.tls.off && self.gateway.trusted_proxies.is_empty()
    }

    /// Where the certificate and its key stand; `None` where TLS is off.
    ///
    /// # Errors
    /// Which key is missing.
    pub fn certificate_files(&self) -> Result<Option<CertificateFiles>, Faults> {
        Ok(check::certificate_files(self)?)
    }

    /// Takes the addresses of sockets that are open already for those of the file, so that what
    /// depends on them is checked as it will be.
    pub const fn listen_at(&mut self, addresses: Addresses) {
        self.control.listen = addresses.control;
        self.gateway.listen = addresses.gateway;
        self.media.listen = addresses.media;
    }

    /// The most memory that a server with this configuration holds.
    #[must_use]
    pub fn memory_ceiling(&self) -> Ceiling {
        let clients = self.control.clients.len().max(1);
        memory::ceiling(&self.limits, clients, usize::from(self.media.relays))
    }

    /// What to say where the limits allow more memory than there is for this process.
    #[must_use]
    pub fn memory_warning(&self) -> Option<String> {
        self.lack_of_memory(memory::available()?)
    }

    /// The same for so much memory.
    #[must_use]
    pub(crate) fn lack_of_memory(&self, available: Available) -> Option<String> {
        let (ceiling, Available { bytes, of }) = (self.memory_ceiling().bytes(), available);
        (ceiling > bytes).then(|| {
            format!(
                "under these limits the server may come to hold {}, and {of} has {}; `lvsp-mio \
                 print-config` shows which of [limits] to lower",
                memory::mebibytes(ceiling),
                memory::mebibytes(bytes)
            )
        })
    }

    /// The configuration in force as TOML, secrets masked.
    ///
    /// # Errors
    /// Never for a configuration that was loaded.
    pub fn to_masked_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// The host that clients dial, or one that stands for it.
    pub(crate) fn host(&self) -> &str {
        let endpoint = self.gateway.endpoint.as_deref().and_then(host_and_port);
        endpoint.map_or(SOME_HOST, |(host, _)| host)
    }

    /// Gives `media.public_ip` the address that clients most likely reach this host at, if that is
    /// another than `wrong`; otherwise dots stand for it: it is the router's, which nobody here knows.
    pub(crate) fn right_public_ip(&self, wrong: Option<Ipv4Addr>) -> Change {
        let right = self.likely_public_ip().filter(|right| Some(*right) != wrong);
        let right = right.map_or_else(|| "...".to_owned(), |right| right.to_string());
        self.places.set("media.public_ip", right)
    }

    /// The address that clients most likely reach this host at: one of its interfaces, or what the
    /// endpoint's name resolves to.
    pub(crate) fn likely_public_ip(&self) -> Option<Ipv4Addr> {
        let v4 = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        };
        let is_useful = |ip: &Ipv4Addr| {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_link_local()
                || ip.is_documentation())
        };
        let own: Vec<_> = host::addresses().into_iter().filter_map(v4).filter(is_useful).collect();
        let public = own.iter().copied().find(|ip| !ip.is_private());
        let named = || {
            let (host, port) = host_and_port(self.gateway.endpoint.as_deref()?)?;
            let found = (host, port).to_socket_addrs().ok()?;
            found.filter_map(|address| v4(address.ip())).find(is_useful)
        };
        public.or_else(named).or_else(|| own.first().copied())
    }

    /// Gives `control`, or `control.client[n]`, a secret that is made anew: into its file, or into one
    /// that takes the place of a secret in the configuration.
    pub(crate) fn new_secret(&self, section: &str) -> Change {
        let at = section.rsplit_once('[').and_then(|(_, at)| at.trim_end_matches(']').parse().ok());
        let client = at.and_then(|at: usize| self.control.clients.get(at));
        let in_file = client.map_or(&self.control.secret_file, |client| &client.secret_file);
        if let Some(path) = in_file {
            return make_secret(path);
        }
        let path = check::usual_secret(client.map(|client| client.name.as_str()));
        let (plain, key) = (format!("{section}.secret"), format!("{section}.secret_file"));
        let name = path.display().to_string();
        self.places.replace(&plain, &key, name).and(make_secret(&path))
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address, and the port.
pub(crate) fn host_and_port(endpoint: &str) -> Option<(&str, u16)> {
    let (host, port) = endpoint.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}

/// The file itself cannot be read.
fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let shown = path_word(path);
    let kind = error.kind();
    let (advice, change) = if kind == ErrorKind::PermissionDenied {
        ("let the user that this runs as read it, by its group", grant(path))
    } else if kind == ErrorKind::IsADirectory {
        let inside = format!("lvsp-mio check-config --config {shown}/lvsp.toml");
        ("it is a folder: give the file in it", Change::shell([inside]))
    } else if kind == ErrorKind::InvalidData {
        let convert = format!("iconv -f WINDOWS-1252 -t UTF-8 {shown} > {shown}.new");
        ("it is no UTF-8 text: convert it", Change::shell([convert]))
    } else {
        let make = format!("env -u LVSP_CONFIG_FILE lvsp-mio print-config > {shown}");
        (
            "give its path with --config or LVSP_CONFIG_FILE, or make it: that writes one with \
             every default",
            Change::shell([make]),
        )
    };
    Fault {
        key: "configuration".to_owned(),
        place: None,
        what: format!("cannot read the configuration {}: {error}; {advice}", path.display()),
        changes: vec![change],
    }
}

/// A place that is no TOML.
fn no_toml(path: Option<&Path>, text: &str, error: &toml::de::Error) -> Fault {
    let at = error.span().map_or(0, |span| span.start);
    let line = places::line_of(text, at);
    let file = path.unwrap_or_else(|| Path::new("configuration"));
    let column = at - text[..at.min(text.len())].rfind('\n').map_or(0, |at| at + 1) + 1;
    // The line itself could hold a secret.
    Fault {
        key: format!("line {line}"),
        place: Some(format!("{}:{line}", file.display())),
        what: format!("column {column}: {}", error.message()),
        changes: vec![Change::one(
            Place::Line { file: file.to_owned(), line, last: line },
            example_of(text.lines().nth(line - 1).unwrap_or_default()),
        )],
    }
}

/// A line of TOML in the place of one that is none.
fn example_of(line: &str) -> String {
    let name = line.split('=').next().unwrap_or_default().trim().trim_matches(['[', ']', '"']);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = if !name.is_empty() && name.chars().all(is_plain) { name } else { "key" };
    if line.trim_start().starts_with('[') {
        format!("[{name}]")
    } else {
        format!("{name} = \"...\"")
    }
}

/// The known name that a misspelt one is most like.
fn most_similar<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.max_by(|a, b| {
        strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown))
    })
}

#[cfg(test)]
mod tests;
