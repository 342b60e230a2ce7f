//! How many packets arrived on a link, where nobody reads them.

use std::fs;

use anyhow::{Context, Result, ensure};

/// A network interface of this network namespace, as a counter of arrivals.
#[derive(Debug)]
pub struct Link(String);

impl Link {
    /// The interface of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(name: &str) -> Result<Self> {
        let link = Self(name.to_owned());
        link.arrived()?;
        Ok(link)
    }

    /// Packets that arrived on it so far, those dropped behind it included.
    ///
    /// # Errors
    /// When it is gone.
    pub fn arrived(&self) -> Result<u64> {
        let text = fs::read_to_string("/proc/net/dev").context("cannot read /proc/net/dev")?;
        ensure!(text.lines().count() > 2, "/proc/net/dev names no interface");
        let Self(name) = self;
        arrived(&text, name)
            .with_context(|| format!("--link {name}: no such interface; `ip link` shows them"))
    }
}

/// The second number behind an interface's name: packets received.
fn arrived(dev: &str, name: &str) -> Option<u64> {
    let numbers =
        dev.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    numbers.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_those_of_the_interface_of_that_very_name() {
        let dev = "Inter-|   Receive\n face |bytes    packets errs\n    lo: 100 2 0 0\n  \
                   veth1:5 77 0 0\n";
        assert_eq!((arrived(dev, "lo"), arrived(dev, "veth1")), (Some(2), Some(77)));
        assert_eq!((arrived(dev, "veth"), arrived(dev, "eth")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_that_is_not_there_is_named() {
        assert!(Link::of("lo").is_ok());
        let error = Link::of("none9").unwrap_err();
        assert!(error.to_string().starts_with("--link none9: no such interface"), "{error}");
    }
}
