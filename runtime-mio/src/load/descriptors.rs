//! Enough file descriptors for everybody's sockets.

use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Of this process itself, generously.
const OWN: usize = 64;

/// Sees to it that `count` sockets can be open, by raising this process's limit as far as it may.
pub(super) fn allow(count: usize) -> Result<()> {
    let needed = (count + OWN) as u64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= needed {
        return Ok(());
    }
    ensure!(
        hard >= needed,
        "so many members need {needed} open files and {hard} are allowed: raise that with \
         `ulimit -n {needed}` as root, or use fewer --members"
    );
    setrlimit(Resource::RLIMIT_NOFILE, needed, hard)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_already_is_enough_and_the_impossible_is_said() {
        allow(1).unwrap();
        let error = allow(usize::MAX / 2).unwrap_err().to_string();
        assert!(error.contains("ulimit -n"), "{error}");
    }
}
