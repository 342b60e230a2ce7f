//! Loads one server once, and keeps its figures.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lvsp_core::crypto::mode::Mode;
use lvsp_mio::Progress;
use lvsp_mio::load::{
    Crowd, Discord, Door, Link, Plan, Process, Reading, Report, Shape, Sizes, Swarm, run,
};

use super::Options;
use super::contestants::{Running, Stable, Who};
use super::system_calls::SystemCalls;
use crate::swarms::forwarder::Forwarded;
use crate::swarms::mumble::Mumble;

/// How everybody listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Listening {
    /// What arrives is dropped by the kernel as soon as it does, and counted.
    Dropped,
    /// Everybody reads.
    Read,
    /// Dropped, and speakers are added until something is lost on the way.
    Saturated,
}

/// One load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) who: Who,
    pub(super) shape: Shape,
    pub(super) mode: Mode,
    pub(super) listening: Listening,
    /// Whether those who do not speak are suppressed.
    pub(super) stage: bool,
}

/// Longer than the answer to a discovery request, which is to come through: its length in UDP.
const DISCOVERY_BYTES: usize = 82;
/// Variables of every lvsp-mio here: more members than by default, and joins without waiting.
const VARIABLES: [(&str, &str); 3] = [
    ("LVSP_LIMITS__HANDSHAKES_PER_S", "100000"),
    ("LVSP_LIMITS__UNAUTHENTICATED_PER_ADDRESS", "1024"),
    ("LVSP_LIMITS__MEMBERS_PER_CHANNEL", "5005"),
];

/// The place of the contest.
pub(super) struct Arena {
    pub(super) options: Options,
    pub(super) stable: Stable,
    folder: PathBuf,
    /// Started once: it takes long to start, and keeps nothing of those who left.
    mumble: Option<Running>,
    drops: bool,
}

impl Arena {
    pub(super) fn new(options: Options) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("lvsp-compare-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        share(&folder)?;
        let stable = Stable::new(&options, &folder)?;
        Ok(Self { options, stable, folder, mumble: None, drops: false })
    }

    /// Loads a server.
    pub(super) fn play(&mut self, case: Case) -> Result<Report> {
        let name = case.who.name();
        let played = self.play_watched(case, |_| Ok(())).map(|(report, ())| report);
        played.with_context(|| format!("{name} with {case:?}"))
    }

    /// As [`Self::play`], with the system calls of the server's media threads meanwhile.
    pub(super) fn play_counting(&mut self, case: Case) -> Result<(Report, u64)> {
        let (report, calls) = self.play_watched(case, SystemCalls::of_media_threads)?;
        Ok((report, calls.end()?))
    }

    /// Loads a server while something that `begin` makes watches its process.
    fn play_watched<T>(
        &mut self,
        case: Case,
        begin: impl FnOnce(u32) -> Result<T>,
    ) -> Result<(Report, T)> {
        let dropped = case.listening != Listening::Read;
        self.set_drop(dropped)?;
        // Dropped at the end of this, unless it is kept.
        let mut fresh = None;
        let pid = if case.who == Who::Mumble {
            if self.mumble.is_none() {
                self.mumble = Some(self.stable.start(Who::Mumble, &[])?);
            }
            self.mumble.as_ref().map(Running::pid)
        } else {
            let running = fresh.insert(self.stable.start(case.who, &VARIABLES)?);
            Some(running.pid())
        };
        let pid = pid.context("a server runs")?;
        let link = dropped.then(|| Link::of(&self.options.link)).transpose()?;
        let plan = Plan {
            shape: case.shape,
            sizes: Sizes::Opus,
            dtx: false,
            warm_up: self.options.warm_up(),
            time: Duration::from_secs_f64(self.options.seconds),
            receive: !dropped,
            link,
            server: Some(Process::of(pid)?),
            saturate: case.listening == Listening::Saturated,
        };
        let reading = if dropped { Reading::UntilStopped } else { Reading::All };
        let mut swarm = self.swarm(case, reading)?;
        let watch = begin(pid)?;
        Ok((run(&mut *swarm, &plan, &Progress::new())?, watch))
    }

    fn swarm(&self, case: Case, reading: Reading) -> Result<Box<dyn Swarm>> {
        let from = IpAddr::V4(self.options.client_ip);
        let server = SocketAddr::V4(self.stable.media(case.who));
        let members = case.shape.members;
        Ok(match case.who {
            Who::Mio { .. } | Who::Spread { .. } | Who::Tokio => {
                let door = Door::find(&self.stable.entry())?;
                let Case { shape, mode, stage, .. } = case;
                let crowd = Crowd { shape, stage, mode, from };
                Box::new(Discord::connect(door, crowd, reading)?)
            }
            Who::Mumble => Box::new(Mumble::new(server, members, from, reading)?),
            Who::Forwarder => Box::new(Forwarded::new(server, members, from, reading)?),
        })
    }

    /// Has the kernel drop what arrives on the link, or not. Answers to discovery pass.
    fn set_drop(&mut self, drops: bool) -> Result<()> {
        if drops == self.drops {
            return Ok(());
        }
        let link = &self.options.link;
        nft(&if drops {
            format!(
                "table netdev lvsp_compare {{\nchain arrivals {{\n\
                 type filter hook ingress device \"{link}\" priority 0; policy accept;\n\
                 meta l4proto udp udp length {DISCOVERY_BYTES} accept\n\
                 meta l4proto udp drop\n}}\n}}\n"
            )
        } else {
            "delete table netdev lvsp_compare\n".to_owned()
        })?;
        self.drops = drops;
        Ok(())
    }

    /// What so many bare senders send in a second.
    pub(super) fn bare_senders(&mut self, threads: usize) -> Result<f64> {
        self.set_drop(true)?;
        let mut command = self.stable.command(&std::env::current_exe()?);
        let (threads, seconds) = (threads.to_string(), self.options.seconds.to_string());
        let to = self.options.client_ip.to_string();
        command.args(["send", "--threads", &threads, "--seconds", &seconds, "--to", &to]);
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "the bare senders failed");
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.mumble = None;
        let _ = self.set_drop(false);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Lets mumble-server, which becomes another user, write here.
fn share(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))?)
}

fn nft(script: &str) -> Result<()> {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("it is piped")?.write_all(script.as_bytes())?;
    if !child.wait()?.success() {
        bail!("nft refused:\n{script}");
    }
    Ok(())
}
