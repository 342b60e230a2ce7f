//! The server as a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::wait_for;

/// A running server. It is ended whatever becomes of the test.
pub struct Process {
    child: Child,
    errors: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    /// What it said on standard output, up to "ready".
    pub said: String,
    pub control: SocketAddr,
    pub gateway: SocketAddr,
    pub media: SocketAddr,
}

pub fn lvsp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvsp-mio"));
    command.args(arguments);
    command
}

impl Process {
    /// Starts a server on free ports and waits until it is ready.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_as(lvsp(&["serve"]), variables)
    }

    /// Starts it by a command of the test's own making.
    pub fn start_as(mut command: Command, variables: &[(&str, &str)]) -> Self {
        for section in ["CONTROL", "GATEWAY", "MEDIA"] {
            command.env(format!("LVSP_{section}__LISTEN"), "127.0.0.1:0");
        }
        // Of whoever started the tests.
        for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID"] {
            command.env_remove(variable);
        }
        // No busy machine is to miss a deadline.
        for deadline in ["FIRST_BYTE", "TLS", "UPGRADE", "IDENTIFY"] {
            command.env(format!("LVSP_LIMITS__{deadline}_MS"), "600000");
        }
        command.envs(variables.iter().copied());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let errors = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let lines = Arc::clone(&errors);
        let reader = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut process = Self {
            child,
            errors,
            reader: Some(reader),
            said: String::new(),
            control: none,
            gateway: none,
            media: none,
        };
        for line in stdout.lines().map_while(Result::ok) {
            process.said += &format!("{line}\n");
            if let Some(addresses) = line.strip_prefix("ready: ") {
                let mut addresses = addresses.split(", ").map(|address| {
                    address.split_once(' ').expect("a name").1.parse().expect("an address")
                });
                let mut next = || addresses.next().expect("three addresses");
                (process.control, process.gateway, process.media) = (next(), next(), next());
                return process;
            }
        }
        panic!("it ended before it was ready:\n{}\n{:?}", process.said, process.log());
    }

    /// What it said on standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    /// Waits for a line with this text on standard error.
    pub fn wait_for_log(&self, text: &str) -> String {
        wait_for(text, || self.log().into_iter().find(|line| line.contains(text)))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Waits for its end, and for the end of what it said on standard error.
    pub fn wait(&mut self) -> ExitStatus {
        let status = wait_for("the end", || self.child.try_wait().expect("our child"));
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no panic");
        }
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory for one test, removed with everything in it.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lvsp-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file; where it is.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
