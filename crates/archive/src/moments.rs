//! The moments of a camera on disk:
//!
//! ```text
//! data/front-door/moments/
//!   2026/11/22/17-03-05.mp4   the local time of the request
//!   latest.gif                of the latest moment
//! ```
//!
//! The files are the truth: what somebody deletes or copies away is gone from the list, and what is
//! said of a moment stands in its file. A file gets its name when it is complete.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use chrono::{DateTime, FixedOffset};
use parking_lot::Mutex;

use crate::{
    Clip, Error, MediaSlice, Result,
    data_dir::{DataDir, sync_folder},
    dated::{self, Dated},
    error::IoContext as _,
};

mod facts;
mod name;

pub use facts::MomentFacts;
pub use name::{MomentName, NoMomentName};

/// Written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// How often a folder is made again that somebody deletes meanwhile.
const FOLDER_TRIES: u32 = 16;

/// How the comment in a GIF begins that says which moment it is of.
const GIF_COMMENT: &str = "dayreel moment ";

/// The comment of a GIF is within so many of its first bytes: behind header and palette.
const GIF_HEAD_BYTES: u64 = 4096;

/// The moments of one camera.
#[derive(Debug)]
pub struct Moments {
    /// `data/<camera>/moments`.
    path: PathBuf,
    data_dir: Arc<DataDir>,
    /// Names that are being written. Locked for a look-up only.
    pending: Mutex<HashSet<MomentName>>,
    /// What files said when they were last read. Holds at most what the last list had.
    known: Mutex<BTreeMap<MomentName, Known>>,
    /// When the moment of the latest GIF was asked for. Locked while one is put in place.
    gif_time: Mutex<Option<DateTime<FixedOffset>>>,
}

/// A moment that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// What it is called.
    pub name: MomentName,
    /// What is known of it.
    pub facts: MomentFacts,
    /// Length of its file.
    pub bytes: u64,
}

#[derive(Clone, Debug)]
struct Known {
    stamp: Stamp,
    /// `None`: a file that is no moment.
    facts: Option<MomentFacts>,
}

/// Tells whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// A name that nobody else gets. Given back when dropped.
#[derive(Debug)]
pub struct Claim {
    moments: Arc<Moments>,
    name: MomentName,
}

/// A file of moments and what tells it from others of its name.
#[derive(Clone, Debug)]
pub struct MomentFile {
    /// All of it.
    pub slice: MediaSlice,
    /// Changes with the file.
    pub tag: String,
}

impl Moments {
    pub(crate) fn new(path: PathBuf, data_dir: Arc<DataDir>) -> Self {
        Self {
            path,
            data_dir,
            pending: Mutex::default(),
            known: Mutex::default(),
            gif_time: Mutex::default(),
        }
    }

    /// The first free name of the local second in `time`.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if the folder cannot be read, [`crate::Error::Missing`] if its disk is
    /// away.
    pub fn claim(self: &Arc<Self>, time: DateTime<FixedOffset>) -> Result<Claim> {
        self.data_dir.ensure_there()?;
        let mut name = MomentName::new(time.naive_local(), 1);
        let mut pending = self.pending.lock();
        loop {
            let path = self.path.join(name.path());
            let is_taken =
                pending.contains(&name) || path.try_exists().context("look for", &path)?;
            if !is_taken {
                pending.insert(name);
                return Ok(Claim {
                    moments: Arc::clone(self),
                    name,
                });
            }
            name = name.next();
        }
    }

    /// The moments that are kept, oldest first. Reads each file once, and the folders every time.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if a folder or a file cannot be read.
    pub fn list(&self) -> Result<Vec<Moment>> {
        let mut known = std::mem::take(&mut *self.known.lock());
        let mut listed = BTreeMap::new();
        for (name, path) in self.files()? {
            let Some(stamp) = stamp(&path)? else {
                continue;
            };
            let facts = match known.remove(&name).filter(|known| known.stamp == stamp) {
                Some(known) => known.facts,
                None => match MomentFacts::read(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    facts => facts.context("read", &path)?,
                },
            };
            listed.insert(name, Known { stamp, facts });
        }
        let mut moments: Vec<_> = listed
            .iter()
            .filter_map(|(name, known)| {
                Some(Moment {
                    name: *name,
                    facts: known.facts.clone()?,
                    bytes: known.stamp.bytes,
                })
            })
            .collect();
        // In the hour that comes twice, names alone would mix the two.
        moments.sort_by_key(|moment| (moment.facts.time, moment.name));
        *self.known.lock() = listed;
        Ok(moments)
    }

    /// The file of a moment; `None` if there is none.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be looked at.
    pub fn file(&self, name: MomentName) -> Result<Option<MomentFile>> {
        file_at(self.path.join(name.path()))
    }

    /// What the file of a moment says; `None` if there is none.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be read.
    pub fn facts(&self, name: MomentName) -> Result<Option<MomentFacts>> {
        let path = self.path.join(name.path());
        match MomentFacts::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            facts => facts.context("read", &path),
        }
    }

    /// The GIF of the latest moment; `None` if there is none.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be looked at.
    pub fn latest_gif(&self) -> Result<Option<MomentFile>> {
        file_at(self.gif_path())
    }

    /// Deletes a moment, its GIF if that is the latest, and folders that are empty then. Says
    /// whether it was there.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be deleted.
    pub fn delete(&self, name: MomentName) -> Result<bool> {
        let path = self.path.join(name.path());
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            deleted => deleted.context("delete", &path)?,
        }
        for folder in path.ancestors().skip(1).take(3) {
            // Not empty: something is kept there.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        let _gif = self.gif_time.lock();
        let gif = self.gif_path();
        if gif_name(&gif).context("read", &gif)? == Some(name) {
            fs::remove_file(&gif).context("delete", &gif)?;
        }
        Ok(true)
    }

    /// The comment that says which moment a GIF is of.
    pub fn gif_comment(name: MomentName) -> String {
        format!("{GIF_COMMENT}{name}")
    }

    /// Puts `gif`, of a moment asked for at `time`, in the place of the GIF before, unless that is of
    /// a later one. A reader sees the one or the other.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be written, [`crate::Error::Missing`] if the disk is away.
    pub fn put_gif(&self, time: DateTime<FixedOffset>, gif: &[u8]) -> Result<()> {
        self.data_dir.ensure_there()?;
        let mut latest = self.gif_time.lock();
        if latest.is_some_and(|latest| latest > time) {
            return Ok(());
        }
        write_whole(&self.gif_path(), |out| out.write_all(gif))?;
        *latest = Some(time);
        Ok(())
    }

    fn gif_path(&self) -> PathBuf {
        self.path.join("latest.gif")
    }

    /// All files that have the name of a moment.
    fn files(&self) -> Result<Vec<(MomentName, PathBuf)>> {
        let mut files = Vec::new();
        for Dated { date, path, .. } in dated::entries(&self.path)? {
            let names = dated::names(&path)?.into_iter();
            let moment = |file: String| Some((MomentName::of_file(date, &file)?, path.join(file)));
            files.extend(names.filter_map(moment));
        }
        Ok(files)
    }
}

impl Claim {
    /// The name.
    pub const fn name(&self) -> MomentName {
        self.name
    }

    /// Writes the moment. Its file is there when this returns, and nothing of it if it fails.
    ///
    /// # Errors
    /// [`crate::Error::Io`] if it cannot be written.
    pub fn write(&self, clip: &Clip, facts: &MomentFacts) -> Result<Moment> {
        let path = self.moments.path.join(self.name.path());
        write_whole(&path, |out| clip.write_mp4(&facts.tags(), out))?;
        // It is where it is after a power cut, too: in the folders of its day, month and year.
        for folder in path.ancestors().skip(1).take(4) {
            match sync_folder(folder) {
                // Somebody has deleted it meanwhile.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
        let bytes = stamp(&path)?.map_or(0, |stamp| stamp.bytes);
        Ok(Moment {
            name: self.name,
            facts: facts.clone(),
            bytes,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.moments.pending.lock().remove(&self.name);
    }
}

/// Writes a file beside its place and moves it there when it is on disk.
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    // What a crash leaves behind is overwritten by the next of this name, and listed nowhere.
    let part = path.with_extension("part");
    let file = create_in_folder(&part).context("create", &part)?;
    let written = (|| {
        let mut out = BufWriter::with_capacity(WRITE_BYTES, &file);
        write(&mut out)
            .and_then(|()| out.flush())
            .context("write", &part)?;
        drop(out);
        file.sync_data().context("sync", &part)?;
        fs::rename(&part, path).context("rename", path)
    })();
    if written.is_err() {
        // The error that came first is the one to report.
        let _ = fs::remove_file(&part);
    }
    written
}

/// Creates a file, and its folder if need be. Whoever deletes the last moment of a day may delete
/// the folder between these two; once a file is in it, it stays. While the folders are made, the
/// one that goes is reported as one that is there, and is no folder.
fn create_in_folder(path: &Path) -> io::Result<File> {
    let create = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        File::create(path)
    };
    for _ in 0..FOLDER_TRIES {
        match create() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) => {}
            created => return created,
        }
    }
    create()
}

fn file_at(path: PathBuf) -> Result<Option<MomentFile>> {
    let Some(stamp) = stamp(&path)? else {
        return Ok(None);
    };
    let modified = stamp
        .modified
        .and_then(|modified| modified.duration_since(SystemTime::UNIX_EPOCH).ok());
    Ok(Some(MomentFile {
        slice: MediaSlice {
            path,
            offset: 0,
            len_bytes: stamp.bytes,
        },
        tag: format!(
            "{:x}-{:x}",
            modified.unwrap_or_default().as_nanos(),
            stamp.bytes
        ),
    }))
}

/// `None`: there is no such file.
fn stamp(path: &Path) -> Result<Option<Stamp>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => {
            let metadata = metadata.context("look at", path)?;
            Ok(metadata.is_file().then(|| Stamp {
                bytes: metadata.len(),
                modified: metadata.modified().ok(),
            }))
        }
    }
}

/// Which moment the GIF at `path` is of; `None` if there is none, or it does not say.
fn gif_name(path: &Path) -> io::Result<Option<MomentName>> {
    let mut head = Vec::new();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    file.take(GIF_HEAD_BYTES).read_to_end(&mut head)?;
    let wanted = GIF_COMMENT.as_bytes();
    let at = head
        .windows(wanted.len())
        .position(|window| window == wanted);
    // A comment is a block: its length comes before it.
    let name = at.and_then(|at| {
        let len = usize::from(*head.get(at.checked_sub(1)?)?);
        let text = head.get(at + wanted.len()..at + len)?;
        std::str::from_utf8(text).ok()?.parse().ok()
    });
    Ok(name)
}
