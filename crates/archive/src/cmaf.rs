//! Reads the little of ISO/IEC 14496-12 that recording needs: what a chunk's `moof` says.

use std::{borrow::Cow, io::Cursor};

use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackKind};
use mp4_atom::{Atom, Decode as _, DecodeMaybe as _, FourCC, Header, Moof, Trun};

use crate::{Error, Result};

/// ISO/IEC 14496-12 §8.8.3.1: `sample_is_non_sync_sample`.
const NON_SYNC_SAMPLE: u32 = 0x0001_0000;

/// No chunk has more access units: 10 s of sound have some 500.
const MOST_UNITS: usize = 1 << 16;

/// Of tracks as they are recorded, and of movies made of them: 1/90000 s.
#[expect(clippy::cast_possible_truncation, reason = "90000")]
pub(crate) const TIMESCALE: u32 = TICKS_PER_SECOND as u32;
/// Seconds from 1904, where the format's time begins (ISO/IEC 14496-12 §8.2.2.3), to 1970.
pub(crate) const EPOCH_S: u64 = 2_082_844_800;
/// Size and kind of a box. None but those with media are so long that it needs more.
pub(crate) const BOX_HEADER_BYTES: usize = 8;

pub(crate) const STYP: FourCC = FourCC::new(b"styp");
pub(crate) const MOOF: FourCC = FourCC::new(b"moof");
pub(crate) const MDAT: FourCC = FourCC::new(b"mdat");

/// What a chunk says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// Decode time of its first access unit (`tfdt`).
    pub start: MediaTime,
    /// Sum of its access units' durations, 1/90000 s.
    pub duration_90k: u64,
    /// How many access units it holds.
    pub access_units: u32,
    /// Whether the first one is a keyframe.
    pub starts_with_keyframe: bool,
}

/// Reads the `moof` in `head`, the first bytes of a chunk: `[styp] moof`, and perhaps more.
///
/// # Errors
/// [`Error::Mux`] if there is no complete `moof` with one track fragment that has a `tfdt`.
pub fn read_chunk(track: TrackKind, head: &[u8]) -> Result<ChunkInfo> {
    let moof = find::<Moof>(track, "chunk", head)?;
    chunk_info(&moof).ok_or(Error::Mux {
        track,
        what: "chunk",
        source: None,
    })
}

/// The first box of the kind `T` among the boxes in `bytes`.
///
/// # Errors
/// [`Error::Mux`] about `what` if there is none, or it is torn or unreadable.
pub(crate) fn find<T: Atom>(track: TrackKind, what: &'static str, bytes: &[u8]) -> Result<T> {
    let unreadable = |source| Error::Mux {
        track,
        what,
        source,
    };
    let mut cursor = Cursor::new(bytes);
    loop {
        let header = Header::decode_maybe(&mut cursor).map_err(|e| unreadable(Some(e)))?;
        let Some(Header {
            kind,
            size: Some(size),
        }) = header
        else {
            return Err(unreadable(None));
        };
        if kind == T::KIND {
            let begin = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
            let body = begin
                .checked_add(size)
                .and_then(|end| bytes.get(begin..end));
            let body = without_groups(body.ok_or_else(|| unreadable(None))?);
            let mut body = Cursor::new(&*body);
            return T::decode_body(&mut body).map_err(|e| unreadable(Some(e)));
        }
        let next = cursor.position().saturating_add(size as u64);
        if next > bytes.len() as u64 {
            // The reader does not expect to stand behind the end.
            return Err(unreadable(None));
        }
        cursor.set_position(next);
    }
}

/// The boxes in `bytes`, sample group descriptions renamed to free space. Nobody here asks for them,
/// and the decoder makes as many of them as one says to have, which may be four thousand million.
fn without_groups(bytes: &[u8]) -> Cow<'_, [u8]> {
    const GROUPS: &[u8] = b"sgpd";
    let mut bytes = Cow::Borrowed(bytes);
    while let Some(at) = bytes.windows(GROUPS.len()).position(|four| four == GROUPS) {
        bytes.to_mut()[at..at + GROUPS.len()].copy_from_slice(b"free");
    }
    bytes
}

/// Whether a chunk has no more access units than can be: a run may say to have four thousand million
/// in a few bytes.
fn is_bounded(moof: &Moof) -> bool {
    let runs = moof.traf.iter().flat_map(|traf| &traf.trun);
    let units = runs.map(|run| run.samples.len());
    units.fold(0, usize::saturating_add) <= MOST_UNITS
}

fn chunk_info(moof: &Moof) -> Option<ChunkInfo> {
    let traf = moof.traf.first().filter(|_| is_bounded(moof))?;
    let start = MediaTime::from_ticks(traf.tfdt.as_ref()?.base_media_decode_time);
    let default_duration = traf.tfhd.default_sample_duration.unwrap_or(0);
    let samples = || traf.trun.iter().flat_map(|trun: &Trun| trun.samples.iter());
    let duration_90k = samples()
        .map(|sample| u64::from(sample.duration.unwrap_or(default_duration)))
        .sum();
    let first = samples().next()?;
    let flags = first.flags.or(traf.tfhd.default_sample_flags).unwrap_or(0);
    Some(ChunkInfo {
        start,
        duration_90k,
        access_units: u32::try_from(samples().count()).ok()?,
        starts_with_keyframe: flags & NON_SYNC_SAMPLE == 0,
    })
}

/// One access unit of a chunk, and where its bytes are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnitPlace {
    /// Presentation time.
    pub(crate) presentation: MediaTime,
    /// Decode time.
    pub(crate) decode: MediaTime,
    pub(crate) is_keyframe: bool,
    /// First byte, in the file.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) len_bytes: u32,
}

impl UnitPlace {
    /// The byte after its last.
    pub(crate) const fn end(&self) -> u64 {
        self.offset + self.len_bytes as u64
    }
}

/// The access units of the chunk whose whole `moof` is `moof`, which lies at `offset` of its file.
///
/// # Errors
/// [`Error::Mux`] if it is unreadable, or says of an access unit neither where nor how long it is.
pub(crate) fn chunk_units(track: TrackKind, moof: &[u8], offset: u64) -> Result<Vec<UnitPlace>> {
    let parsed = find::<Moof>(track, "chunk", moof)?;
    unit_places(&parsed, offset).ok_or(Error::Mux {
        track,
        what: "chunk",
        source: None,
    })
}

fn unit_places(moof: &Moof, offset: u64) -> Option<Vec<UnitPlace>> {
    let traf = moof.traf.first().filter(|_| is_bounded(moof))?;
    let mut decode = MediaTime::from_ticks(traf.tfdt.as_ref()?.base_media_decode_time);
    let mut units = Vec::new();
    for run in &traf.trun {
        // ISO/IEC 14496-12 §8.8.7.1, default-base-is-moof.
        let mut at = offset.checked_add_signed(run.data_offset?.into())?;
        for sample in run.samples.iter() {
            let len_bytes = sample.size.or(traf.tfhd.default_sample_size)?;
            let flags = sample.flags.or(traf.tfhd.default_sample_flags).unwrap_or(0);
            let shown = decode.ticks().checked_add_signed(sample.cts.unwrap_or(0))?;
            units.push(UnitPlace {
                presentation: MediaTime::from_ticks(shown),
                decode,
                is_keyframe: flags & NON_SYNC_SAMPLE == 0,
                offset: at,
                len_bytes,
            });
            at = at.checked_add(len_bytes.into())?;
            let duration = sample.duration.or(traf.tfhd.default_sample_duration)?;
            decode = decode.saturating_add(duration.into());
        }
    }
    Some(units)
}

/// The box that begins `bytes`: its kind and its whole length in bytes. `None` if not even the
/// header is there, or it has no length.
pub(crate) fn next_box(bytes: &[u8]) -> Option<(FourCC, u64)> {
    let mut cursor = Cursor::new(bytes);
    let header = Header::decode(&mut cursor).ok()?;
    Some((
        header.kind,
        cursor.position().checked_add(header.size? as u64)?,
    ))
}

/// The content of the first box of that kind in `bytes`, which has a short header.
pub(crate) fn child<'b>(mut bytes: &'b [u8], wanted: &[u8; 4]) -> Option<&'b [u8]> {
    loop {
        let (kind, len_bytes) = next_box(bytes)?;
        let (whole, rest) = bytes.split_at_checked(usize::try_from(len_bytes).ok()?)?;
        if &<[u8; 4]>::from(kind) == wanted {
            return whole.get(BOX_HEADER_BYTES..);
        }
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_says_to_be_longer_than_all_there_is_does_not_panic() {
        for head in [
            &b"\0\0\0\x20styp"[..],
            b"\xff\xff\xff\xfffree",
            b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            let error = read_chunk(TrackKind::Video, head).unwrap_err();
            assert!(matches!(error, Error::Mux { what: "chunk", .. }), "{error}");
            assert!(crate::read_init(TrackKind::Video, head).is_err());
        }
    }

    /// Found by a fuzzer: a few bytes that made gigabytes.
    #[test]
    fn counts_that_are_only_said_take_no_memory() {
        let sized = |kind: &[u8; 4], body: &[u8]| {
            let len_bytes = u32::try_from(body.len() + 8).unwrap();
            [&len_bytes.to_be_bytes()[..], kind, body].concat()
        };
        let said = u32::MAX.to_be_bytes();
        let trun = sized(b"trun", &[&[0, 0, 0, 1][..], &said, &[0; 4]].concat());
        let groups = sized(b"sgpd", &[&[0; 4][..], b"none", &said].concat());
        let tfhd = sized(
            b"tfhd",
            &[
                0, 2, 0, 0x38, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 0,
            ],
        );
        let tfdt = sized(b"tfdt", &[0; 8]);
        for last in [trun, groups] {
            let traf = sized(b"traf", &[&tfhd[..], &tfdt, &last].concat());
            let mfhd = sized(b"mfhd", &[0; 8]);
            let moof = sized(b"moof", &[mfhd, traf].concat());
            assert!(read_chunk(TrackKind::Video, &moof).is_err());
            let units = chunk_units(TrackKind::Video, &moof, 0);
            assert!(units.is_err() || units.unwrap().is_empty());
        }
    }
}
