//! How much room a disk has: the seam between retention and the system, so that tests fill a disk
//! without one.

use std::{fmt, path::Path};

use rustix::fs::statvfs;

use crate::{Result, error::IoContext as _};

/// The room on a file system, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total_bytes: u64,
    /// What this user may still write.
    pub free_bytes: u64,
}

/// Knows the room on the disk of a folder.
pub trait Disk: Send + Sync + fmt::Debug {
    /// The room on the file system that `folder` is on.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the system does not say.
    fn space(&self, folder: &Path) -> Result<Space>;
}

/// The machine's disks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn space(&self, folder: &Path) -> Result<Space> {
        let found = statvfs(folder).context("ask for the room of", folder)?;
        Ok(Space {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}
