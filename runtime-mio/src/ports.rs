//! What to open in a firewall, as it follows from a configuration.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::config::File;
use crate::host::Protocol;

/// Ports in a row that strangers or a few have to reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Opening {
    /// The configuration key.
    pub(crate) key: &'static str,
    /// What it is for.
    pub(crate) what: &'static str,
    /// TCP or UDP.
    pub(crate) protocol: Protocol,
    /// The address that is listened on; the first port of the row.
    pub(crate) listen: SocketAddr,
    /// The last port of the row.
    pub(crate) last_port: u16,
    /// Networks that may come in; empty for everybody.
    pub(crate) from: Vec<String>,
    /// Who alone has to come in, where that is not everybody.
    pub(crate) only: Option<&'static str>,
}

/// How to say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// In words.
    Text,
    /// Rules for nftables.
    Nft,
    /// Commands for ufw.
    Ufw,
    /// Commands for firewalld.
    Firewalld,
}

/// What a server with this configuration listens on.
#[must_use]
pub(crate) fn openings(file: &File) -> Vec<Opening> {
    let media = file.media.listen;
    let relays = file.media.relays.saturating_sub(1);
    let single = |key, what, listen: SocketAddr, only| Opening {
        key,
        what,
        protocol: Protocol::Tcp,
        listen,
        last_port: listen.port(),
        from: Vec::new(),
        only,
    };
    let admin = file.admin.listen;
    let admin = admin.map(|listen| single("admin.listen", "operators", listen, Some("operators")));
    let served = [
        Opening {
            from: file.control.allow.iter().map(ToString::to_string).collect(),
            ..single("control.listen", "chat servers", file.control.listen, Some("the chat server"))
        },
        single("gateway.listen", "voice clients", file.gateway.listen, None),
        Opening {
            protocol: Protocol::Udp,
            last_port: media.port().saturating_add(relays),
            ..single("media.listen", "media of voice clients", media, None)
        },
    ];
    served.into_iter().chain(admin).collect()
}

impl Opening {
    /// Whether anything has to be opened: nobody outside this host reaches loopback.
    #[must_use]
    pub(crate) const fn is_needed(&self) -> bool {
        !self.listen.ip().is_loopback()
    }

    /// The name of the protocol.
    #[must_use]
    pub(crate) const fn protocol(&self) -> &'static str {
        match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }

    /// `443`, or `50000-50003` with this separator.
    fn row(&self, separator: char) -> String {
        let (first, last) = (self.listen.port(), self.last_port);
        if first == last { first.to_string() } else { format!("{first}{separator}{last}") }
    }

    /// Who may come in; one entry without a network for everybody.
    fn sources(&self) -> Vec<Option<&str>> {
        if self.from.is_empty() {
            return vec![None];
        }
        self.from.iter().map(|network| Some(network.as_str())).collect()
    }

    fn words(&self) -> String {
        let Self { key, what, listen, .. } = self;
        let (protocol, row) = (self.protocol().to_uppercase(), self.row('-'));
        if !self.is_needed() {
            return format!(
                "{protocol} {row}: nothing to open, {key} = {listen} is loopback ({what})"
            );
        }
        let from = match (self.from.as_slice(), self.only) {
            ([], None) => "from everywhere".to_owned(),
            ([], Some(only)) => format!("from the address of {only} alone"),
            (networks, _) => format!("from {}", networks.join(", ")),
        };
        format!("{protocol} {row}: open {from}, for {what}: {key} = {listen}")
    }

    fn lines(&self, format: Format, text: &mut String) {
        let protocol = self.protocol();
        for source in self.sources() {
            let family = match source {
                Some(network) if network.contains(':') => ("ip6", "ipv6"),
                _ => ("ip", "ipv4"),
            };
            let written = match (format, source) {
                (Format::Text, _) => Ok(()),
                (Format::Nft, None) => {
                    let row = self.row('-');
                    writeln!(text, "nft add rule inet filter input {protocol} dport {row} accept")
                }
                (Format::Nft, Some(network)) => writeln!(
                    text,
                    "nft add rule inet filter input {} saddr {network} {protocol} dport {} accept",
                    family.0,
                    self.row('-')
                ),
                (Format::Ufw, None) => writeln!(text, "ufw allow {}/{protocol}", self.row(':')),
                (Format::Ufw, Some(network)) => writeln!(
                    text,
                    "ufw allow proto {protocol} from {network} to any port {}",
                    self.row(':')
                ),
                (Format::Firewalld, None) => {
                    let row = self.row('-');
                    writeln!(text, "firewall-cmd --permanent --add-port={row}/{protocol}")
                }
                (Format::Firewalld, Some(network)) => writeln!(
                    text,
                    "firewall-cmd --permanent --add-rich-rule='rule family=\"{}\" source \
                     address=\"{network}\" port port=\"{}\" protocol=\"{protocol}\" accept'",
                    family.1,
                    self.row('-')
                ),
            };
            debug_assert!(written.is_ok(), "writing to a string does not fail");
        }
    }
}

/// What to open, in words or as lines to run.
#[must_use]
pub fn describe(file: &File, format: Format) -> String {
    let openings = openings(file);
    let mut text = String::new();
    let comment = if format == Format::Text { "" } else { "# " };
    for opening in &openings {
        text += &format!("{comment}{}\n", opening.words());
        if !opening.is_needed() {
            continue;
        }
        if opening.only.is_some() && opening.from.is_empty() {
            // A line that opens it to everybody would be run without a second look.
            if format != Format::Text {
                text += "# no line for it: write one for that address alone (control.allow gives one)\n";
            }
            continue;
        }
        opening.lines(format, &mut text);
    }
    if let Some(note) = elsewhere(file) {
        text += &format!("{comment}{note}\n");
    }
    if format == Format::Firewalld {
        text += "firewall-cmd --reload\n";
    }
    if let Some(public) = file.media.public_ip.filter(|_| format == Format::Text) {
        let media = openings.iter().find(|opening| opening.protocol == Protocol::Udp);
        let row = media.map_or_else(String::new, |media| media.row('-'));
        text += &format!(
            "Behind a router with NAT: forward the same ports to this host, UDP {row} without \
             changing the number, because clients are told {public} and the number as it is here.\n"
        );
    }
    text
}

/// What to say where the configuration names loopback and clients come from outside: the addresses are
/// those of socket units then, which this does not see.
fn elsewhere(file: &File) -> Option<String> {
    let public = file.media.public_ip.filter(|ip| !ip.is_loopback())?;
    file.media.listen.ip().is_loopback().then(|| {
        format!(
            "But clients are told {public}, and media.listen is loopback: where systemd's socket units \
             listen in its place, run this with their addresses, as in LVSP_GATEWAY__LISTEN=0.0.0.0:443 \
             LVSP_MEDIA__LISTEN=0.0.0.0:50000 (`systemctl cat 'lvsp-mio-*.socket'` names them)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        let mut file = File::default();
        file.gateway.listen = "0.0.0.0:443".parse().unwrap();
        file.media.listen = "0.0.0.0:50000".parse().unwrap();
        file.media.relays = 4;
        file
    }

    #[test]
    fn each_relay_has_a_port_and_loopback_needs_none() {
        let text = describe(&file(), Format::Text);
        assert!(
            text.contains("TCP 6000: nothing to open, control.listen = 127.0.0.1:6000"),
            "{text}"
        );
        assert!(text.contains("TCP 443: open from everywhere"), "{text}");
        assert!(text.contains("UDP 50000-50003: open from everywhere"), "{text}");
        let one = File { media: crate::config::MediaSection::default(), ..file() };
        assert!(describe(&one, Format::Text).contains("UDP 50000: nothing to open"));
    }

    #[test]
    fn loopback_with_a_public_address_is_what_socket_units_leave() {
        let mut file = File::default();
        file.media.public_ip = Some([203, 0, 113, 7].into());
        let text = describe(&file, Format::Text);
        assert!(text.contains("socket units") && text.contains("LVSP_MEDIA__LISTEN="), "{text}");
        assert!(describe(&file, Format::Nft).lines().all(|line| line.starts_with("# ")));
        file.media.listen = "0.0.0.0:50000".parse().unwrap();
        assert!(!describe(&file, Format::Text).contains("socket units"));
    }

    #[test]
    fn lines_are_those_of_each_firewall() {
        let mut file = file();
        file.control.listen = "10.0.0.5:6000".parse().unwrap();
        let text = describe(&file, Format::Nft);
        assert!(text.contains("\nnft add rule inet filter input udp dport 50000-50003 accept\n"));
        assert!(!text.contains("dport 6000"), "not for everybody: {text}");
        file.control.allow = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let text = describe(&file, Format::Nft);
        assert!(text.contains("input ip saddr 10.0.0.0/8 tcp dport 6000 accept"), "{text}");
        assert!(text.contains("input ip6 saddr fd00::/8 tcp dport 6000 accept"), "{text}");
        let text = describe(&file, Format::Ufw);
        assert!(text.contains("\nufw allow 50000:50003/udp\n"), "{text}");
        assert!(text.contains("\nufw allow proto tcp from fd00::/8 to any port 6000\n"), "{text}");
        let text = describe(&file, Format::Firewalld);
        assert!(text.contains("--add-port=443/tcp\n"), "{text}");
        assert!(text.contains("family=\"ipv6\" source address=\"fd00::/8\" port port=\"6000\""));
        assert!(text.ends_with("firewall-cmd --reload\n"));
    }
}
