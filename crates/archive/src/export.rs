//! A stretch of a camera's recordings as one MP4, which is made while it is read.
//!
//! ```text
//! ftyp  moov(edit lists, mvex)  segment of video  segments of sound  segment of video …
//! ```
//!
//! The segments are those on the disk, byte for byte but for the few bytes of each `moof` that say
//! which track it is of, how many came before it, and when it is decoded. So the length is known
//! before anything is read, and any range of it can be read by itself: nothing is kept but the list
//! of the segments. It stays fragmented, because the one `moov` of a whole day would be some 60 MB that
//! have to be there before the first picture. And it has no index of its segments (`sidx`): ffmpeg, and
//! what is built on it, plays some of the pictures twice after a seek where an entry has more than one
//! `moof` (libavformat 59), as a segment of chunks has. Players find their way by the headers.
//!
//! The file begins at the keyframe before the first picture that is asked for and ends with a chunk;
//! an edit list says which of it is to be seen (ISO/IEC 14496-12 §8.6.6).

mod head;
mod pieces;
mod reader;
mod zip;

use std::{ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use dayreel_core::{MediaTime, TrackKind};

use self::pieces::{Stretch, collect};
use crate::{CameraArchive, Error, Result};

pub use reader::ExportReader;
pub use zip::ExportZip;

/// What becomes of a gap in the recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// What follows it is shown at once.
    Close,
    /// The picture stands still for as long as it lasted.
    Keep,
}

/// What there is of an asked stretch.
#[derive(Debug)]
pub enum Exported {
    /// All of it in one file.
    Whole(Export),
    /// A track changes its codec configuration at these instants, which one MP4 cannot do for all
    /// players. Ascending.
    Changes(Vec<MediaTime>),
    /// Nothing is recorded in it.
    Nothing {
        /// Until when something is recorded before it.
        before: Option<MediaTime>,
        /// From when on something is recorded after it.
        after: Option<MediaTime>,
    },
}

/// An MP4 that can be read.
#[derive(Clone, Debug)]
pub struct Export {
    /// Everything before the segments.
    head: Bytes,
    /// In the order of the file.
    pieces: Vec<FilePiece>,
    /// The hour files that they are in.
    paths: Vec<PathBuf>,
    shown: Range<MediaTime>,
}

/// Segments, or parts of one, as the file has them.
#[derive(Clone, Debug)]
struct FilePiece {
    track: TrackKind,
    /// Index of the hour file.
    path: u16,
    /// First byte in the hour file.
    offset: u64,
    len_bytes: u64,
    /// Where it ends in the MP4.
    end: u64,
    /// What is taken off its decode times, 1/90000 s.
    earlier_90k: u64,
}

impl Export {
    /// Length of the file in bytes.
    pub fn len_bytes(&self) -> u64 {
        let last = self.pieces.last().map(|piece| piece.end);
        last.unwrap_or(self.head.len() as u64)
    }

    /// The recorded time that is shown: from a picture to the end of what was asked for or is
    /// recorded.
    pub const fn shown(&self) -> &Range<MediaTime> {
        &self.shown
    }

    /// The same text is the same bytes.
    pub fn tag(&self) -> String {
        let hash = dayreel_manifest::InitHash::of(&self.head).0;
        format!("x-{hash:016x}-{}", self.len_bytes())
    }

    /// Reads `range` of the file.
    pub fn read(self: &Arc<Self>, range: Range<u64>) -> ExportReader {
        ExportReader::new(Arc::clone(self), range)
    }
}

impl CameraArchive {
    /// The recordings of `asked` as an MP4. Reads the days it touches, if they are not in memory, and
    /// the heads of some chunks.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Mux`] if the recordings cannot be read.
    pub fn export(&self, asked: &Range<MediaTime>, gaps: Gaps) -> Result<Exported> {
        let (stretch, shown) = match collect(self, asked)? {
            Ok(found) => found,
            Err(nothing) => return Ok(nothing),
        };
        let changes = stretch.changes();
        if !changes.is_empty() {
            return Ok(Exported::Changes(changes));
        }
        let placed = stretch.place(&shown, gaps);
        let head = head::write(&stretch, &placed).map_err(|source| Error::Mux {
            track: TrackKind::Video,
            what: "init segment",
            source: Some(source),
        })?;
        Ok(Exported::Whole(assemble(
            stretch,
            &placed.earlier_90k,
            head,
            shown,
        )))
    }

    /// The same as several MP4s, one for each codec configuration; none if nothing is recorded.
    ///
    /// # Errors
    /// As [`CameraArchive::export`].
    pub fn export_split(&self, asked: &Range<MediaTime>, gaps: Gaps) -> Result<Vec<Export>> {
        let changes = match self.export(asked, gaps)? {
            Exported::Whole(export) => return Ok(vec![export]),
            Exported::Nothing { .. } => return Ok(Vec::new()),
            Exported::Changes(instants) => instants,
        };
        let starts = [asked.start].into_iter().chain(changes.iter().copied());
        let ends = changes.iter().copied().chain([asked.end]);
        let mut exports = Vec::new();
        for (start, end) in starts.zip(ends) {
            // Where both tracks change there is nothing between the two instants.
            if let Exported::Whole(export) = self.export(&(start..end), gaps)? {
                exports.push(export);
            }
        }
        Ok(exports)
    }
}

fn assemble(
    stretch: Stretch,
    earlier_90k: &[u64],
    head: Vec<u8>,
    shown: Range<MediaTime>,
) -> Export {
    let mut end = head.len() as u64;
    let pieces = stretch.pieces.iter().zip(earlier_90k);
    let pieces = pieces.map(|(piece, earlier_90k)| {
        end += piece.len_bytes;
        FilePiece {
            track: piece.track,
            path: piece.path,
            offset: piece.offset,
            len_bytes: piece.len_bytes,
            end,
            earlier_90k: *earlier_90k,
        }
    });
    Export {
        pieces: pieces.collect(),
        head: head.into(),
        paths: stretch.paths,
        shown,
    }
}
