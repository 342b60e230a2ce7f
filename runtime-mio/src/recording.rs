//! Where recordings go: one file for each machine.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A recording's file. What cannot be written ends the recording, never the service.
#[derive(Debug)]
pub(crate) struct Sink {
    file: File,
    path: PathBuf,
}

impl Sink {
    /// Makes `name.lvsprec` in `folder`. A recording holds secrets, so nobody else may read it.
    pub(crate) fn create(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name).with_extension("lvsprec");
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { file: options.open(&path)?, path })
    }

    /// Appends what was recorded; `false` when that is no longer possible.
    pub(crate) fn write(&mut self, recorded: &[u8]) -> bool {
        let result = self.file.write_all(recorded);
        if let Err(error) = &result {
            tracing::error!(%error, path = %self.path.display(), "the recording ends here");
        }
        result.is_ok()
    }
}
