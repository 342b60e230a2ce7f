//! The command line.

use std::{collections::HashMap, num::NonZeroU64, str::FromStr, time::Duration};

pub const USAGE: &str = "\
--endpoint HOST:PORT --token T --session-id S --guild-id N --channel-id N --user-id N
--role speak|listen [--ca FILE] [--seconds N] [--delay N] [--frames N] [--tag N]
[--frames-file FILE] [--pause AT:SECONDS] [--until N] [--after-first SECONDS]
[--mode NAME] [--retries N]
[--connect-timeout N] [--linger N] [--digests] [--wire]
--gateway PORT takes the place of --endpoint, --token and --session-id: a chat server tells them.";

pub struct Options(HashMap<String, String>);

impl Options {
    const WITH_VALUE: [&'static str; 21] = [
        "endpoint",
        "token",
        "session-id",
        "guild-id",
        "channel-id",
        "user-id",
        "role",
        "ca",
        "seconds",
        "delay",
        "frames",
        "tag",
        "frames-file",
        "pause",
        "gateway",
        "until",
        "after-first",
        "mode",
        "retries",
        "connect-timeout",
        "linger",
    ];
    const FLAGS: [&'static str; 2] = ["digests", "wire"];

    pub fn read() -> Result<Self, String> {
        let mut map = HashMap::new();
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let name = arg.strip_prefix("--").ok_or_else(|| format!("what is {arg}?"))?;
            if Self::FLAGS.contains(&name) {
                map.insert(name.to_string(), String::new());
            } else if Self::WITH_VALUE.contains(&name) {
                let value = args.next().ok_or_else(|| format!("--{name} needs a value"))?;
                map.insert(name.to_string(), value);
            } else {
                return Err(format!("unknown option --{name}"));
            }
        }
        Ok(Self(map))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn text(&self, name: &str) -> Result<String, String> {
        self.0.get(name).cloned().ok_or_else(|| format!("--{name} is needed"))
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.0
            .get(name)
            .map(|v| v.parse().map_err(|_| format!("--{name} {v} is not a usable number")))
            .transpose()
    }

    pub fn id(&self, name: &str) -> Result<NonZeroU64, String> {
        self.number(name)?.ok_or_else(|| format!("--{name} is needed"))
    }

    pub fn span(&self, name: &str, default: f64) -> Result<Duration, String> {
        let s: f64 = self.number(name)?.unwrap_or(default);
        Duration::try_from_secs_f64(s).map_err(|e| format!("--{name}: {e}"))
    }
}
