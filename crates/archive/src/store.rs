//! The data directory.

use std::{path::Path, sync::Arc};

use chrono_tz::Tz;
use dayreel_core::{CameraId, Clock};

use crate::{CameraArchive, Result, data_dir::DataDir};

/// A data directory that this process owns.
#[derive(Debug)]
pub struct Store {
    data_dir: Arc<DataDir>,
}

impl Store {
    /// Opens the data directory `root`, and makes it if it is missing.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be written, [`crate::Error::InUse`] if another process has
    /// it.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self {
            data_dir: Arc::new(DataDir::open(root, false)?),
        })
    }

    /// Opens the data directory `root` only if it has its marker file, `.dayreel`: for a disk that
    /// may not be mounted.
    ///
    /// # Errors
    /// As [`Store::open`]; [`crate::Error::Missing`] if the marker is not there.
    pub fn open_marked(root: &Path) -> Result<Self> {
        Ok(Self {
            data_dir: Arc::new(DataDir::open(root, true)?),
        })
    }

    /// The recordings of one camera, whose days end at midnight in `zone`.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if today's folder is there but cannot be read or mended.
    pub fn camera(
        &self,
        id: CameraId,
        zone: Tz,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<CameraArchive>> {
        CameraArchive::open(Arc::clone(&self.data_dir), id, zone, clock)
    }

    /// The recordings of one camera in `root` for reading, also while another process records.
    ///
    /// # Errors
    /// [`crate::Error::Missing`] if there is no such data directory.
    pub fn reader(
        root: &Path,
        id: CameraId,
        zone: Tz,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<CameraArchive>> {
        let data_dir = Arc::new(DataDir::of_another(root)?);
        Ok(Arc::new(CameraArchive::reader(data_dir, id, zone, clock)))
    }
}
