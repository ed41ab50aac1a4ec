//! The chunks of a recorded segment, as their `moof` boxes on the disk describe them.

use std::{fs::File, os::unix::fs::FileExt as _};

use dayreel_core::{MediaTime, TrackKind};

use crate::{
    Error, MediaSlice, Result,
    cmaf::{MDAT, MOOF, UnitPlace, chunk_units, next_box},
    error::IoContext as _,
};

/// Read at the start of a chunk: its `moof` with up to some 200 access units, in one go.
const HEAD_BYTES: u64 = 4096;

/// A `moof` is never longer: an access unit needs 16 bytes in it.
pub(crate) const MOST_MOOF_BYTES: u64 = 1 << 20;

/// A chunk of a segment: `[styp] moof mdat`.
#[derive(Debug)]
pub(crate) struct ChunkPlace {
    /// First byte, in the file.
    pub(crate) offset: u64,
    /// Its access units, in decode order. Never empty.
    pub(crate) units: Vec<UnitPlace>,
}

impl ChunkPlace {
    /// Decode time of its first access unit.
    pub(crate) fn start(&self) -> MediaTime {
        self.units
            .first()
            .map_or(MediaTime::default(), |unit| unit.decode)
    }

    /// The byte after its last.
    pub(crate) fn end(&self) -> u64 {
        self.units
            .iter()
            .map(UnitPlace::end)
            .max()
            .unwrap_or(self.offset)
    }
}

/// The chunks of the segment in `media`, those that begin after `latest` left out. Never empty. Reads
/// the heads of the chunks from the disk.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Mux`] if it is damaged.
pub(crate) fn read_chunks(
    track: TrackKind,
    media: &MediaSlice,
    latest: MediaTime,
) -> Result<Vec<ChunkPlace>> {
    let file = File::open(&media.path).context("open", &media.path)?;
    let read = |offset: u64, len_bytes: u64| {
        let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(0)];
        let read = file.read_exact_at(&mut bytes, offset);
        read.context("read", &media.path).map(|()| bytes)
    };
    let broken = Error::Mux {
        track,
        what: "segment",
        source: None,
    };
    let end = media.offset + media.len_bytes;
    let mut chunks: Vec<ChunkPlace> = Vec::new();
    let mut at = media.offset;
    while at < end {
        // The head has all but the access units, and the length of these.
        let head = read(at, HEAD_BYTES.min(end - at))?;
        let mut within = 0;
        while let Some((kind, len_bytes)) = head.get(within..).and_then(next_box) {
            let begin = at + within as u64;
            if len_bytes == 0 || len_bytes > end - begin {
                return Err(broken);
            }
            if kind == MOOF {
                if len_bytes > MOST_MOOF_BYTES {
                    return Err(broken);
                }
                let whole = match head.get(within..within + usize::try_from(len_bytes).unwrap_or(0))
                {
                    Some(whole) => whole.to_vec(),
                    None => read(begin, len_bytes)?,
                };
                let units = chunk_units(track, &whole, begin)?;
                if !chunks.is_empty() && units.first().is_some_and(|unit| unit.decode > latest) {
                    return Ok(chunks);
                }
                if !units.is_empty() {
                    chunks.push(ChunkPlace { offset: at, units });
                }
            }
            within = usize::try_from(begin + len_bytes - at).unwrap_or(usize::MAX);
            if kind == MDAT {
                break;
            }
        }
        if within == 0 {
            return Err(broken);
        }
        at += within as u64;
    }
    let inside = |unit: &UnitPlace| unit.offset >= media.offset && unit.end() <= end;
    let mut units = chunks.iter().flat_map(|chunk| &chunk.units);
    match !chunks.is_empty() && units.all(inside) {
        true => Ok(chunks),
        false => Err(broken),
    }
}
