//! What can go wrong with recordings.

use std::{io, path::PathBuf};

use dayreel_core::{Kind, TrackKind};

/// An error of the archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("{doing} {path}")]
    Io {
        /// What was tried: `create`, `write`, …
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The data directory is not there: its disk is away, or it has another one's marker.
    #[error(
        "{0} is not the data directory it was, or its file `.dayreel` is missing: is the disk \
         mounted?"
    )]
    Missing(PathBuf),
    /// Another process records into this data directory.
    #[error("{0} is in use by another dayreel; stop it or choose another data directory")]
    InUse(PathBuf),
    /// The muxer's output is not what we read; nothing was written.
    #[error("unreadable {what} of the {track} track")]
    Mux {
        /// Which track.
        track: TrackKind,
        /// `init segment` or `chunk`.
        what: &'static str,
        /// What the reader met; `None` if a box is missing.
        source: Option<mp4_atom::Error>,
    },
    /// A chunk arrived before any init segment, or before a segment was begun.
    #[error("a {0} chunk that nothing introduces")]
    Orphan(TrackKind),
    /// A segment would start before the last one ended.
    #[error("a {track} segment starts {overlap_90k} ticks before the end of the last")]
    Overlap {
        /// Which track.
        track: TrackKind,
        /// 1/90000 s.
        overlap_90k: u64,
    },
    /// The pictures of a timelapse so far are of another format.
    #[error("{0} was begun in another format")]
    OtherFilm(PathBuf),
    /// An index file has a line that is not ours.
    #[error("{path}, line {line}: {what}")]
    Index {
        /// The index.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The result of an operation of the archive.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What kind of error this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
                io::ErrorKind::NotFound => Kind::NotFound,
                io::ErrorKind::ReadOnlyFilesystem => Kind::Unavailable,
                _ if is_out_of_files(source) => Kind::Unavailable,
                _ => Kind::Internal,
            },
            Self::InUse(_) | Self::Missing(_) => Kind::Unavailable,
            Self::OtherFilm(_)
            | Self::Mux { .. }
            | Self::Orphan(_)
            | Self::Overlap { .. }
            | Self::Index { .. } => Kind::Internal,
        }
    }

    /// What is wrong with the disk, in one stable word; `None` if it is not about the disk.
    pub fn disk_code(&self) -> Option<&'static str> {
        match self {
            Self::Missing(_) => Some("disk_missing"),
            Self::Io { source, .. } => Some(match source.kind() {
                io::ErrorKind::StorageFull => "disk_full",
                io::ErrorKind::QuotaExceeded => "quota_exceeded",
                io::ErrorKind::ReadOnlyFilesystem => "disk_read_only",
                _ if is_out_of_files(source) => "too_many_open_files",
                _ => "disk_error",
            }),
            _ => None,
        }
    }
}

/// Whether the process or the machine may open no more files: there is no `ErrorKind` for it.
fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

/// Adds what was tried, on which path, to an I/O error.
pub(crate) trait IoContext<T> {
    fn context(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io {
            doing,
            path: path.into(),
            source,
        })
    }
}

impl<T> IoContext<T> for rustix::io::Result<T> {
    fn context(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(io::Error::from).context(doing, path)
    }
}
