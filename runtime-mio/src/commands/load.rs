//! `lvsp-mio load`

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lvsp_core::crypto::mode::Mode;
use lvsp_mio::Progress;
use lvsp_mio::load::{
    Crowd, Discord, Door, Entry, Link, Plan, Process, Reading, Report, Shape, Sizes, run,
};

use super::{say, seconds_within, secret_of_environment};

/// Free ports of one address, about half of them.
const MEMBERS_MAX: usize = 20_000;

/// What it is told.
///
/// The secret is never an argument: other users of this machine could read it there.
#[derive(Args)]
pub(crate) struct Arguments {
    /// `control.listen` of the server, as host:port.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6000")]
    control: String,
    /// A file that holds the server's control secret.
    #[arg(long, value_name = "FILE", env = "LVSP_CONTROL__SECRET_FILE")]
    secret_file: Option<PathBuf>,
    /// The name that the certificate has to be for on the control connection, if not that of
    /// --control.
    #[arg(long, value_name = "HOST")]
    name: Option<String>,
    /// The authority that signed the server's certificate, as PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    ca: Option<PathBuf>,
    /// The server has `tls.off = true`.
    #[arg(long, conflicts_with = "ca")]
    plain: bool,
    /// Everybody, the speakers included.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = count)]
    members: usize,
    /// Who talks, 50 packets a second each. With --saturate: to begin with.
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = count)]
    speakers: usize,
    /// Channels that members and speakers are spread over.
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = count)]
    channels: usize,
    /// The measured time, in seconds; with --saturate, of each step.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// Talk before the measured time, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
    /// How media is sealed, by its name in the protocol.
    #[arg(long, default_value = Mode::Aes256GcmRtpSize.name(), value_parser = mode)]
    mode: Mode,
    /// Bytes of each frame, or `opus` for the lengths of speech at 64 kbit/s.
    #[arg(long, value_name = "BYTES", default_value = "opus", value_parser = Sizes::parse)]
    payload: Sizes,
    /// Speakers pause for as long as they talk, and send nothing meanwhile.
    #[arg(long)]
    dtx: bool,
    /// Who does not talk is suppressed, like the audience of a stage: nobody is told of its SSRC.
    #[arg(long, conflicts_with = "saturate")]
    stage: bool,
    /// Members do not read what arrives: for the server's processor time without that of readers.
    #[arg(long)]
    no_receive: bool,
    /// With --no-receive: a network interface on which nothing else arrives, to count on.
    #[arg(long, value_name = "INTERFACE", requires = "no_receive")]
    link: Option<String>,
    /// The address of this machine that media is sent from.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    from: IpAddr,
    /// The server's process on this machine: its processor time and memory are told as well.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Add speakers until something is lost, and tell the most that was forwarded without loss.
    #[arg(long)]
    saturate: bool,
    /// Tell it as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Loads a server and tells what it came to.
    pub(crate) fn run(&self) -> Result<()> {
        let report = measure(self)?;
        if self.json {
            return say(&serde_json::to_string(&report)?);
        }
        say(report.table().trim_end())
    }
}

fn measure(arguments: &Arguments) -> Result<Report> {
    let Arguments { members, speakers, channels, .. } = *arguments;
    let shape = Shape { members, speakers, channels };
    if arguments.saturate && arguments.no_receive && arguments.link.is_none() {
        bail!("--saturate with --no-receive needs --link: nobody would notice a loss");
    }
    let plan = Plan {
        shape,
        sizes: arguments.payload,
        dtx: arguments.dtx,
        warm_up: Duration::from_secs_f64(arguments.warm_up),
        time: Duration::from_secs_f64(arguments.seconds),
        receive: !arguments.no_receive,
        link: arguments.link.as_deref().map(Link::of).transpose()?,
        server: arguments.server_pid.map(process).transpose()?,
        saturate: arguments.saturate,
    };
    let door = Door::find(&Entry {
        control: arguments.control.clone(),
        name: arguments.name.clone(),
        secret: secret_of_environment(arguments.secret_file.as_deref()),
        secret_file: arguments.secret_file.clone(),
        ca: arguments.ca.clone(),
    })?;
    let reading = if plan.receive { Reading::All } else { Reading::UntilStopped };
    let crowd = Crowd { shape, stage: arguments.stage, mode: arguments.mode, from: arguments.from };
    let mut swarm = Discord::connect(door, crowd, reading)?;
    run(&mut swarm, &plan, &Progress::new())
}

fn process(pid: u32) -> Result<Process> {
    Process::of(pid).with_context(|| format!("--server-pid {pid}"))
}

fn count(text: &str) -> Result<usize> {
    let count = text.parse().ok().filter(|count| *count <= MEMBERS_MAX);
    count.map_or_else(|| bail!("a number up to {MEMBERS_MAX} is wanted"), Ok)
}

fn seconds(text: &str) -> Result<f64> {
    seconds_within(text, 0.1..=3_600.0)
}

fn mode(text: &str) -> Result<Mode> {
    let Some(mode) = Mode::from_name(text) else {
        let names: Vec<_> = Mode::ALL.iter().map(|mode| mode.name()).collect();
        bail!("none of {}", names.join(", "))
    };
    Ok(mode)
}
