//! The certificate follows its files: read anew when they change or when somebody asks.
//!
//! A pair that cannot be served changes nothing. Files are often replaced one after the other, and
//! a chain that is half written can look whole: so a change is acted upon once the files have
//! stayed the same from one look to the next.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, SystemTime};

use super::ServiceManager;
use crate::certificate::CertificateFiles;
use crate::requests::StopHandle;

/// After a change the files are looked at again this soon.
const SETTLING: Duration = Duration::from_secs(1);
/// A certificate that ends soon is warned of this often.
const WARNING_INTERVAL: Duration = Duration::from_secs(86_400);

/// Watches certificate files on a thread of its own, for as long as this value lives.
#[derive(Debug)]
pub struct CertificateWatch(SyncSender<()>);

impl CertificateWatch {
    /// Has the files read now, whether they changed or not; the service manager is told the outcome.
    pub fn reload(&self) {
        // One that waits already is as good. The other end lives as long as this one.
        let _ = self.0.try_send(());
    }
}

/// Serves what the files hold, from now on, and again whenever they have changed: they are looked
/// at once in each `interval`. Warns when the certificate ends within 14 days, once a day.
///
/// # Errors
/// When the thread cannot be started.
pub fn watch_certificates(
    files: CertificateFiles,
    stop: StopHandle,
    manager: ServiceManager,
    interval: Duration,
) -> io::Result<CertificateWatch> {
    let (sender, requests) = mpsc::sync_channel(1);
    let mut keeper = Keeper::new(files, stop, manager);
    let keep = move || {
        // The server has a certificate already; reading it once more, after the files' stamps were
        // taken, leaves no moment in which a change is missed.
        keeper.read();
        keeper.run(&requests, interval);
    };
    thread::Builder::new().name("certificates".to_owned()).spawn(keep)?;
    Ok(CertificateWatch(sender))
}

struct Keeper {
    files: CertificateFiles,
    stop: StopHandle,
    manager: ServiceManager,
    /// What the files looked like when they were last read.
    seen: Stamps,
    /// What they look like since they changed.
    changing: Option<Stamps>,
    expires: Option<SystemTime>,
    /// When a warning was last given.
    warned: Option<SystemTime>,
}

impl Keeper {
    fn new(files: CertificateFiles, stop: StopHandle, manager: ServiceManager) -> Self {
        let seen = Stamps::default();
        Self { files, stop, manager, seen, changing: None, expires: None, warned: None }
    }

    fn run(mut self, requests: &Receiver<()>, interval: Duration) {
        loop {
            self.warn_of_expiry(SystemTime::now());
            let wait = if self.changing.is_some() { interval.min(SETTLING) } else { interval };
            match requests.recv_timeout(wait) {
                Ok(()) => {
                    let status = self.read();
                    self.manager.reloaded(&status);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads the files if they changed and then stayed the same from one look to the next; what to
    /// say of it.
    fn look(&mut self) -> Option<String> {
        let stamps = Stamps::of(&self.files);
        if stamps == self.seen {
            self.changing = None;
            return None;
        }
        let is_settled = self.changing.replace(stamps) == Some(stamps);
        is_settled.then(|| self.read())
    }

    /// Reads the files and serves what they hold; what to say of it.
    fn read(&mut self) -> String {
        let is_first = self.seen == Stamps::default();
        self.seen = Stamps::of(&self.files);
        self.changing = None;
        match self.files.read() {
            Ok(certificate) => {
                self.stop.set_tls(certificate.identity);
                self.expires = certificate.expires;
                self.warned = None;
                let days_left = self.days_left(SystemTime::now());
                let what = if is_first { "loaded" } else { "reloaded" };
                tracing::info!(days_left, "certificate {what}");
                "serving; the certificate was loaded".to_owned()
            }
            Err(error) => {
                tracing::error!("the old certificate stays: {error:#}");
                format!("serving; the old certificate stays: {error:#}")
            }
        }
    }

    fn days_left(&self, now: SystemTime) -> Option<u64> {
        let left = self.expires?.duration_since(now).unwrap_or_default();
        Some(left.as_secs() / WARNING_INTERVAL.as_secs())
    }

    fn warn_of_expiry(&mut self, now: SystemTime) {
        // A wall clock that was set back is no reason to keep silent.
        let is_recent = |warned: SystemTime| {
            now.duration_since(warned).is_ok_and(|since| since < WARNING_INTERVAL)
        };
        if self.warned.is_some_and(is_recent) {
            return;
        }
        let warning = self.expires.and_then(|expires| self.files.expiry_warning(expires, now));
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
            self.warned = Some(now);
        }
    }
}

/// What tells whether files changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Stamps {
    certificate: Option<Stamp>,
    key: Option<Stamp>,
}

/// Of one file: device, inode, length, and the times of the last change of contents and of inode.
/// A file that is renamed into place may be older than the one before it.
type Stamp = (u64, u64, u64, [i64; 4]);

impl Stamps {
    fn of(files: &CertificateFiles) -> Self {
        Self { certificate: stamp(&files.certificate), key: stamp(&files.key) }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    Some((file.dev(), file.ino(), file.size(), times))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{File, SecretText};
    use crate::runtime::Runtime;

    /// Files in a directory of their own, and who keeps the certificate they hold.
    struct Fixture {
        directory: PathBuf,
        keeper: Keeper,
        _runtime: Runtime,
    }

    /// A chain and its key, as PEM.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    impl Fixture {
        fn new(name: &str) -> Self {
            let name = format!("lvsp-certificates-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            fs::create_dir_all(&directory).unwrap();
            let mut file = File::default();
            file.tls.off = true;
            file.control.secret = Some(SecretText::new("0123456789abcdef".repeat(2)));
            let any = "127.0.0.1:0".parse().unwrap();
            (file.control.listen, file.gateway.listen, file.media.listen) = (any, any, any);
            let runtime = Runtime::bind(file.options().unwrap()).unwrap();
            let files = CertificateFiles {
                certificate: directory.join("chain.pem"),
                key: directory.join("key.pem"),
            };
            let keeper = Keeper::new(files, runtime.stop_handle(), ServiceManager::none());
            Self { directory, keeper, _runtime: runtime }
        }

        /// Replaces a file as tools do that care: in one step.
        fn put(&self, name: &str, text: &str) {
            let next = self.directory.join("next");
            fs::write(&next, text).unwrap();
            fs::rename(next, self.directory.join(name)).unwrap();
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    #[test]
    fn files_are_read_once_they_changed_and_settled_and_then_no_more() {
        let mut fixture = Fixture::new("settled");
        let (chain, key) = pair();
        fixture.put("chain.pem", &chain);
        fixture.put("key.pem", &key);
        assert!(fixture.keeper.read().contains("was loaded"));
        assert_eq!(fixture.keeper.look(), None);

        let (chain, key) = pair();
        fixture.put("chain.pem", &chain);
        assert_eq!(fixture.keeper.look(), None, "only one of them may have come so far");
        fixture.put("key.pem", &key);
        assert_eq!(fixture.keeper.look(), None, "it goes on changing");
        assert!(fixture.keeper.look().unwrap().contains("was loaded"));
        assert_eq!(fixture.keeper.look(), None);
    }

    #[test]
    fn a_bad_pair_is_named_once_and_mended_by_the_next_change() {
        let mut fixture = Fixture::new("bad");
        let ((chain, key), (_, other)) = (pair(), pair());
        fixture.put("chain.pem", &chain);
        fixture.put("key.pem", &key);
        fixture.keeper.read();
        let directory = fixture.directory.display().to_string();
        let path = |name: &str| format!("{directory}/{name}");
        for (name, text, parts) in [
            (
                "key.pem",
                other.as_str(),
                vec![path("key.pem"), path("chain.pem"), "does not belong".into()],
            ),
            (
                "key.pem",
                "",
                vec![format!("tls.key = {}", path("key.pem")), "no private key".into()],
            ),
            ("chain.pem", "x", vec![format!("tls.certificate = {}", path("chain.pem"))]),
        ] {
            fixture.put(name, text);
            assert_eq!(fixture.keeper.look(), None);
            let said = fixture.keeper.look().unwrap();
            assert!(said.contains("the old certificate stays: "), "{said}");
            for part in parts {
                assert!(said.contains(&part), "{part} is missing in: {said}");
            }
            assert_eq!(fixture.keeper.look(), None, "once");
            fixture.put("chain.pem", &chain);
            fixture.put("key.pem", &key);
            fixture.keeper.look();
            assert!(fixture.keeper.look().unwrap().contains("was loaded"));
        }
        fs::remove_file(fixture.directory.join("key.pem")).unwrap();
        fixture.keeper.look();
        let said = fixture.keeper.look().unwrap();
        assert!(said.contains(&format!("tls.key = {}", path("key.pem"))), "{said}");
    }

    #[test]
    fn the_end_of_a_certificate_is_said_on_load_and_then_daily() {
        let mut keeper = Fixture::new("daily");
        let keeper = &mut keeper.keeper;
        let hour = Duration::from_secs(3_600);
        let start = SystemTime::UNIX_EPOCH + 1_000_000 * hour;
        keeper.expires = Some(start + 400 * hour);
        let mut warned = Vec::new();
        for hours in 0..=450 {
            keeper.warn_of_expiry(start + hours * hour);
            if keeper.warned == Some(start + hours * hour) {
                warned.push(hours);
            }
        }
        let daily: Vec<u32> = (65..=450).step_by(24).collect();
        assert_eq!(warned, daily, "from 14 days before the end, and after it too");
        // Whatever is loaded is judged anew.
        keeper.read();
        assert_eq!(keeper.warned, Some(start + 449 * hour), "nothing could be loaded");
        keeper.warn_of_expiry(start + 100 * hour);
        assert_eq!(keeper.warned, Some(start + 100 * hour), "the clock was set back");
    }
}
