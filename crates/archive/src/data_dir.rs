//! The data directory, and whether it is still there.
//!
//! A disk can go away while we record: then its mount point is an empty folder, of the boot disk as
//! a rule. So the directory has a marker file, and nothing is created in it while the marker is not
//! the one we hold. A missing disk is never taken for an empty one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::{
    fs::{FlockOperation, Stat, flock, fstat, stat},
    io::Errno,
};

use crate::{Error, Result, error::IoContext as _};

/// The marker file. It is also what is locked: two recorders in one directory would tear its files.
pub const MARKER: &str = ".dayreel";

/// What the marker says; its identity follows.
const MARKER_TEXT: &str = "Recordings of Dayreel. Nothing is recorded into a folder that loses \
                           this file, so that a missing disk is not taken for an empty one.\n";

/// A process that is ending, or a child of one that has not become its own program yet, has the lock
/// for a moment more.
const ENDING: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A data directory that this process owns, or that is another's and only read.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    /// Changed when the directory has been away and is back. `None` if it is another's.
    held: Option<Mutex<Marker>>,
    /// How often it has come back. What was open before is of a mount that is gone.
    returns: AtomicU64,
}

/// The marker that is held: which file it is, and what it says.
#[derive(Debug)]
struct Marker {
    /// Locked as long as it is open. Let go of while the directory is away, so that its disk can be
    /// checked and mounted again.
    lock: Option<File>,
    device: u64,
    inode: u64,
    text: String,
}

impl DataDir {
    /// Opens the data directory `root`, and makes it if it is missing. If `must_exist`, a directory
    /// without marker is refused instead of marked.
    pub(crate) fn open(root: &Path, must_exist: bool) -> Result<Self> {
        if !must_exist {
            fs::create_dir_all(root).context("create", root)?;
            create_marker(root)?;
        }
        Ok(Self {
            root: root.to_owned(),
            held: Some(Mutex::new(Marker::take(root)?)),
            returns: AtomicU64::new(0),
        })
    }

    /// The data directory `root` of another process, or of none.
    ///
    /// # Errors
    /// [`Error::Missing`] if it has no marker.
    pub(crate) fn of_another(root: &Path) -> Result<Self> {
        let other = Self {
            root: root.to_owned(),
            held: None,
            returns: AtomicU64::new(0),
        };
        other.ensure_there().map(|()| other)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// How often it has been away and come back.
    pub(crate) fn returns(&self) -> u64 {
        self.returns.load(Ordering::Acquire)
    }

    /// Whether the directory is the one that was opened; takes it again if it has been away. To be
    /// asked before anything is created in it. One `stat`.
    ///
    /// # Errors
    /// [`Error::Missing`] while it is away.
    pub(crate) fn ensure_there(&self) -> Result<()> {
        let path = self.root.join(MARKER);
        let found = match stat(&path) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                if let Some(held) = &self.held {
                    held.lock().lock = None;
                }
                return Err(Error::Missing(self.root.clone()));
            }
            Err(error) => return Err(error).context("look for", path),
        };
        let Some(held) = &self.held else {
            return Ok(());
        };
        let mut held = held.lock();
        if !held.is(&found) || held.lock.is_none() {
            let again = Marker::take(&self.root)?;
            if again.text != held.text {
                return Err(Error::Missing(self.root.clone()));
            }
            *held = again;
            self.returns.fetch_add(1, Ordering::Release);
            tracing::info!(path = %self.root.display(), "the data directory is back");
        }
        Ok(())
    }
}

impl Marker {
    /// Opens and locks the marker of `root`.
    fn take(root: &Path) -> Result<Self> {
        let path = root.join(MARKER);
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(root.to_owned()));
            }
            file => file.context("write to", &path)?,
        };
        let deadline = Instant::now() + ENDING;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOOK_AGAIN),
                Err(Errno::WOULDBLOCK) => return Err(Error::InUse(root.to_owned())),
                locked => break locked.context("lock", &path)?,
            }
        }
        let found = fstat(&file).context("read", &path)?;
        let mut text = String::new();
        file.read_to_string(&mut text).context("read", &path)?;
        Ok(Self {
            lock: Some(file),
            device: found.st_dev,
            inode: found.st_ino,
            text,
        })
    }

    fn is(&self, found: &Stat) -> bool {
        (self.device, self.inode) == (found.st_dev, found.st_ino)
    }
}

/// Marks `root` as a data directory, if it is not. An empty marker, made by hand, is one too.
fn create_marker(root: &Path) -> Result<()> {
    let path = root.join(MARKER);
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        file => file.context("write to", root)?,
    };
    // Tells this directory from another one that is mounted in its place.
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    file.write_all(format!("{MARKER_TEXT}{id}").as_bytes())
        .context("write", &path)?;
    // A disk that comes back without it would not be known again.
    file.sync_all().context("sync", &path)
}

/// What was created in `folder`, or moved there, is in it after a power cut, too.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let open = File::open(folder).context("open", folder)?;
    open.sync_all().context("sync", folder)
}

/// Whether a process has the data directory `root`.
pub(crate) fn is_in_use(root: &Path) -> bool {
    let Ok(marker) = File::open(root.join(MARKER)) else {
        return false;
    };
    // Given back when `marker` is closed.
    flock(&marker, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}
