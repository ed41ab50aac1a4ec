//! The data directory.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono_tz::Tz;
use dayreel_core::{CameraId, Clock};
use rustix::fs::{FlockOperation, flock};

use crate::{CameraArchive, Error, Result, error::IoContext as _};

/// A data directory that this process owns.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Locked as long as the store lives: two recorders in one directory would tear its files.
    _lock: File,
}

impl Store {
    /// Opens the data directory `root`, and makes it if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written, [`Error::InUse`] if another process has it.
    pub fn open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).context("create", root)?;
        let path = root.join(".dayreel.lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .context("write to", root)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse(root.to_owned())),
            locked => locked.context("lock", &path)?,
        }
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
        })
    }

    /// The recordings of one camera, whose days end at midnight in `zone`.
    ///
    /// # Errors
    /// [`Error::Io`] if today's folder is there but cannot be read or mended.
    pub fn camera(
        &self,
        id: CameraId,
        zone: Tz,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<CameraArchive>> {
        CameraArchive::open(self.root.join(id.as_str()), id, zone, clock)
    }
}
