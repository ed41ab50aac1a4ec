//! Walks the boxes of an hour file: what is in it, whatever an index says.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use bytes::Bytes;
use dayreel_core::TrackKind;
use mp4_atom::{Atom as _, FourCC, Ftyp, Moof, Moov};
use tracing::warn;

use crate::{
    cmaf::{MDAT, STYP, next_box, read_chunk},
    index::{Entry, FileRange},
};

/// No `ftyp`, `moov` or `moof` of ours is larger; what claims to be is torn or foreign.
pub(crate) const MAX_HEADER_BOX_BYTES: u64 = 1 << 20;

/// A segment found by walking boxes, and the init segment its file begins with.
pub(crate) struct Found {
    pub(crate) init: Bytes,
    pub(crate) entry: Entry,
}

/// What the boxes of an hour file say past its last indexed byte.
pub(crate) struct Walked {
    pub(crate) found: Vec<Found>,
    /// Up to the end of the last whole chunk (or of the init segment).
    pub(crate) whole_bytes: u64,
    /// What follows.
    pub(crate) torn_bytes: u64,
}

/// Walks the boxes of the hour file called `name` from `indexed` on, from its beginning if `None`.
/// `None` if it has no init segment at its beginning: it is left as it is.
///
/// # Errors
/// Its length cannot be read.
pub(crate) fn walk(
    file: &File,
    kind: TrackKind,
    name: &str,
    indexed: Option<u64>,
) -> io::Result<Option<Walked>> {
    let len_bytes = file.metadata()?.len();
    if indexed == Some(len_bytes) {
        // As nearly every file is: nothing has to be read of it.
        return Ok(Some(Walked {
            found: Vec::new(),
            whole_bytes: len_bytes,
            torn_bytes: 0,
        }));
    }
    let Some(init) = init_at_start(file, len_bytes) else {
        warn!(name, "no init segment at the beginning: left as it is");
        return Ok(None);
    };
    let begin = indexed.unwrap_or(init.len() as u64);
    Ok(Some(walk_range(
        file,
        kind,
        name,
        &init,
        (begin, len_bytes),
    )))
}

/// Walks the boxes between two places of the hour file called `name`, which begins with `init`.
pub(crate) fn walk_range(
    file: &File,
    kind: TrackKind,
    name: &str,
    init: &Bytes,
    (begin, end): (u64, u64),
) -> Walked {
    let mut walker = Walker {
        file,
        len_bytes: end,
        offset: begin,
    };
    let mut found: Vec<Found> = Vec::new();
    while let Some(chunk) = walker.chunk(kind) {
        let Ok(duration_90k) = u32::try_from(chunk.info.duration_90k) else {
            break;
        };
        match found.last_mut().filter(|_| !chunk.begins_segment) {
            Some(Found { entry, .. }) => {
                entry.duration_90k = entry.duration_90k.saturating_add(duration_90k);
                entry.access_units = entry.access_units.saturating_add(chunk.info.access_units);
                entry.bytes.len_bytes = entry.bytes.len_bytes.saturating_add(chunk.len_bytes);
            }
            None => found.push(Found {
                init: init.clone(),
                entry: Entry {
                    start: chunk.info.start,
                    duration_90k,
                    access_units: chunk.info.access_units,
                    after: None,
                    discontinuities: 0,
                    map: None,
                    bytes: FileRange {
                        file: name.to_owned(),
                        offset: chunk.offset,
                        len_bytes: chunk.len_bytes,
                    },
                },
            }),
        }
    }
    found.retain(|found| found.entry.duration_90k > 0);
    Walked {
        found,
        whole_bytes: walker.offset,
        torn_bytes: end.saturating_sub(walker.offset),
    }
}

/// Whether the bytes of `entry` are the segment that it says: whole chunks from its first byte to its
/// last, of that time and length.
pub(crate) fn is_segment(file: &File, kind: TrackKind, entry: &Entry) -> bool {
    let end = entry
        .bytes
        .offset
        .saturating_add(entry.bytes.len_bytes.into());
    let mut walker = Walker {
        file,
        len_bytes: end,
        offset: entry.bytes.offset,
    };
    let (mut start, mut duration_90k) = (None, 0_u64);
    while let Some(chunk) = walker.chunk(kind) {
        start = start.or(Some(chunk.info.start));
        duration_90k = duration_90k.saturating_add(chunk.info.duration_90k);
    }
    walker.offset == end
        && start == Some(entry.start)
        && duration_90k == u64::from(entry.duration_90k)
}

/// The init segment (`ftyp` + `moov`) that an hour file begins with; `None` if it does not.
pub(crate) fn init_at_start(file: &File, len_bytes: u64) -> Option<Bytes> {
    let walker = Walker {
        file,
        len_bytes,
        offset: 0,
    };
    let (ftyp, ftyp_bytes) = walker.peek(0)?;
    let (moov, moov_bytes) = walker.peek(ftyp_bytes)?;
    let whole_bytes = ftyp_bytes + moov_bytes;
    if ftyp != Ftyp::KIND || moov != Moov::KIND || whole_bytes > MAX_HEADER_BOX_BYTES {
        return None;
    }
    walker.read(0, whole_bytes).map(Bytes::from)
}

struct Walker<'a> {
    file: &'a File,
    len_bytes: u64,
    /// The end of the last whole init segment or chunk.
    offset: u64,
}

struct WalkedChunk {
    info: crate::ChunkInfo,
    begins_segment: bool,
    offset: u64,
    len_bytes: u32,
}

impl Walker<'_> {
    /// The box at `offset`, if all of it is in the file: its kind and length in bytes.
    fn peek(&self, offset: u64) -> Option<(FourCC, u64)> {
        let mut head = [0; 16];
        let have = usize::try_from(self.len_bytes.checked_sub(offset)?.min(16)).ok()?;
        self.file.read_exact_at(&mut head[..have], offset).ok()?;
        let (kind, len_bytes) = next_box(&head[..have])?;
        (len_bytes <= self.len_bytes - offset).then_some((kind, len_bytes))
    }

    fn read(&self, offset: u64, len_bytes: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len_bytes.min(MAX_HEADER_BOX_BYTES)).ok()?];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    /// The next whole `[styp] moof mdat`.
    fn chunk(&mut self, track: TrackKind) -> Option<WalkedChunk> {
        let begin = self.offset;
        let (mut kind, mut len_bytes) = self.peek(begin)?;
        let has_styp = kind == STYP;
        let mut at = begin;
        if has_styp {
            at += len_bytes;
            (kind, len_bytes) = self.peek(at)?;
        }
        if kind != Moof::KIND || len_bytes > MAX_HEADER_BOX_BYTES {
            return None;
        }
        let info = read_chunk(track, &self.read(at, len_bytes)?).ok()?;
        // The last chunk of a session has a `styp` (`lmsg`) without beginning a segment.
        let begins_segment = has_styp && info.starts_with_keyframe;
        at += len_bytes;
        let (kind, len_bytes) = self.peek(at)?;
        if kind != MDAT {
            return None;
        }
        self.offset = at + len_bytes;
        let len_bytes = u32::try_from(self.offset - begin).ok()?;
        Some(WalkedChunk {
            info,
            begins_segment,
            offset: begin,
            len_bytes,
        })
    }
}
