//! The index of one track on disk: appended to by the recorder, shortened by the expiry of an hour.
//! Each holds its lock while it does, so that there is one writer at a time.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use dayreel_manifest::{Sequence, rounded_seconds};
use tracing::info;

use crate::{
    Result,
    error::IoContext as _,
    index::{self, TARGET_DURATION_OFFSET, target_duration_digits},
};

/// An index file, opened when it is first appended to.
#[derive(Debug)]
pub(crate) struct IndexFile {
    path: PathBuf,
    open: Option<Open>,
    /// Groups that could not be written. They stand before what is appended next, so that the file
    /// never lacks a segment in its middle; a day's worth at most.
    waiting: String,
    /// Of what is waiting, seconds.
    longest_s: u64,
}

/// What an index lacks after a crash.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum IndexFix {
    /// It is sound.
    #[default]
    Nothing,
    /// Groups at its end, and their longest segment in seconds; before them a torn group may stand,
    /// which is cut off.
    Append { groups: String, longest_s: u64 },
    /// It has to be another.
    Replace(String),
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Up to the end of its last whole group.
    len_bytes: u64,
    target_duration_s: u64,
}

impl IndexFile {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            waiting: String::new(),
            longest_s: 0,
        }
    }

    /// Takes the group of a segment that is so long; [`IndexFile::write`] writes it.
    pub(crate) fn take(&mut self, group: &str, duration_90k: u32) {
        self.waiting.push_str(group);
        self.longest_s = self.longest_s.max(rounded_seconds(duration_90k.into()));
    }

    /// Does what recovery found to be missing.
    ///
    /// # Errors
    /// As [`IndexFile::write`]; what is appended is not lost.
    pub(crate) fn fix(&mut self, fix: IndexFix, first: Sequence) -> Result<()> {
        match fix {
            IndexFix::Nothing => Ok(()),
            IndexFix::Append { groups, longest_s } => {
                self.waiting.push_str(&groups);
                self.longest_s = longest_s;
                self.write(first)
            }
            IndexFix::Replace(text) => self.replace(&text),
        }
    }

    /// The day is over: `ending` are its last lines.
    ///
    /// # Errors
    /// As [`IndexFile::write`].
    pub(crate) fn close(&mut self, ending: &str, first: Sequence) -> Result<()> {
        self.waiting.push_str(ending);
        self.write(first)?;
        self.sync()?;
        // If the day goes on after all, it is opened without its ending.
        self.open = None;
        Ok(())
    }

    /// Whether a hand has deleted or moved away what is being written.
    pub(crate) fn is_gone(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| is_gone(&open.file, &self.path))
    }

    /// Forces it to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        match &self.open {
            Some(open) => open.file.sync_data().context("sync", &self.path),
            None => Ok(()),
        }
    }

    /// Closes the file; it is opened again when something is to be written.
    pub(crate) fn let_go(&mut self) {
        self.open = None;
    }

    /// It is another file now: whoever replaced it has written all there is.
    pub(crate) fn reopen(&mut self) {
        self.open = None;
        self.waiting.clear();
    }

    /// Replaces all of it in one step: a crash leaves the one or the other.
    pub(crate) fn replace(&mut self, text: &str) -> Result<()> {
        replace(&self.path, text)?;
        // The file that is open has no name any more.
        self.open = None;
        Ok(())
    }

    /// Numbers a file that lists nothing yet from `first`. One that is not there begins with its numbers.
    pub(crate) fn renumber(&mut self, first: Sequence) -> Result<()> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            text => text.context("read", &self.path)?,
        };
        let known = index::parse(&text);
        match known.entries.is_empty() && known.first != first {
            true => self.replace(&index::header(first, known.target_duration_s)),
            false => Ok(()),
        }
    }

    /// Appends what was taken. A new file begins with `first`.
    ///
    /// # Errors
    /// Nothing of it stays in the file; it is written with what is taken next.
    pub(crate) fn write(&mut self, first: Sequence) -> Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            None => self
                .open
                .insert(Open::new(&self.path, first, self.longest_s)?),
        };
        if self.longest_s > open.target_duration_s {
            let digits = target_duration_digits(self.longest_s);
            open.file
                .write_all_at(digits.as_bytes(), TARGET_DURATION_OFFSET)
                .context("write", &self.path)?;
            open.target_duration_s = self.longest_s;
        }
        append_or_nothing(&open.file, open.len_bytes, self.waiting.as_bytes())
            .context("write", &self.path)?;
        open.len_bytes += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

impl Open {
    fn new(path: &Path, first: Sequence, longest_s: u64) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .context("open", path)?;
        let text = fs::read(path).context("read", path)?;
        let index = index::parse(&text);
        // A torn group, or a torn header with nothing after it.
        if index.sound_bytes < text.len() as u64 {
            info!(path = %path.display(), at = index.sound_bytes, "cut a torn index group");
        }
        // The ending of a day goes where it goes on: the clock had been ahead.
        if index.open_bytes < text.len() as u64 {
            file.set_len(index.open_bytes).context("cut", path)?;
        }
        if index.open_bytes > 0 {
            return Ok(Self {
                file,
                len_bytes: index.open_bytes,
                target_duration_s: index.target_duration_s,
            });
        }
        let target_duration_s = longest_s.max(1);
        let header = index::header(first, target_duration_s);
        append_or_nothing(&file, 0, header.as_bytes()).context("write", path)?;
        Ok(Self {
            file,
            len_bytes: header.len() as u64,
            target_duration_s,
        })
    }
}

/// Whether `file` is not what is found at `path` any more.
pub(crate) fn is_gone(file: &File, path: &Path) -> bool {
    let is_unlinked = file.metadata().is_ok_and(|file| file.nlink() == 0);
    is_unlinked || matches!(path.try_exists(), Ok(false))
}

/// Writes `bytes` at the end, `len_bytes`; what a full disk let through is cut off again, or the
/// next group would be appended to half a line.
fn append_or_nothing(file: &File, len_bytes: u64, bytes: &[u8]) -> io::Result<()> {
    let written = file.write_all_at(bytes, len_bytes);
    if written.is_err() {
        // Best effort: what stays behind is overwritten by the next group or cut by recovery.
        let _ = file.set_len(len_bytes);
    }
    written
}

/// Writes a file in one step: under another name first.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("m3u8.new");
    let write = || -> io::Result<()> {
        let file = File::create(&draft)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync_data()?;
        fs::rename(&draft, path)
    };
    write()
        .inspect_err(|_| {
            // Half a draft is of no use; it takes room that is missing.
            let _ = fs::remove_file(&draft);
        })
        .context("write", path)
}
