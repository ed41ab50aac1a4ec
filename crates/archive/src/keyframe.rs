//! A keyframe by itself: what a segment of video begins with, as a CMAF fragment of one sample, for trick play.
//!
//! ```text
//! styp  moof(tfdt as recorded, one sample as long as the segment)  mdat(its bytes, as recorded)
//! ```

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use bytes::Bytes;
use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackKind};
use mp4_atom::{Encode as _, FourCC, Moov, Styp, TrunEntry};

use crate::{
    CameraArchive, Error, MediaSlice, Result,
    chunks::read_chunks,
    cmaf::{UnitPlace, find},
    fragment::{Fragment, KEYFRAME},
    front_to_back::{next_piece, of_head},
};

/// Read at once: all the memory that a reader holds.
const PIECE_BYTES: u64 = 256 * 1024;

/// A keyframe as a fragment. Its bytes are read when they are sent.
#[derive(Clone, Debug)]
pub struct Keyframe {
    /// Everything before the access unit.
    head: Bytes,
    /// The access unit.
    unit: MediaSlice,
}

impl Keyframe {
    /// Length of the fragment in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.head.len() as u64 + self.unit.len_bytes
    }

    /// Reads `range` of the fragment.
    pub fn read(self, range: Range<u64>) -> KeyframeReader {
        KeyframeReader {
            left: range.start..range.end.min(self.len_bytes()),
            keyframe: self,
            file: None,
        }
    }

    /// The beginning of `wanted`, of the head or of the access unit, whose `file` stays open.
    fn read_piece(&self, wanted: &Range<u64>, file: &mut Option<File>) -> io::Result<Bytes> {
        if let Some(bytes) = of_head(&self.head, wanted) {
            return Ok(bytes);
        }
        let len_bytes = PIECE_BYTES.min(wanted.end - wanted.start);
        let mut piece = vec![0; usize::try_from(len_bytes).unwrap_or(usize::MAX)];
        let open = match file.take() {
            Some(open) => open,
            None => File::open(&self.unit.path)?,
        };
        let within = wanted.start - self.head.len() as u64;
        open.read_exact_at(&mut piece, self.unit.offset + within)?;
        *file = Some(open);
        Ok(piece.into())
    }
}

/// Hands out the bytes of a [`Keyframe`], front to back, some at a time.
///
/// # Errors
/// Those of the disk, of kind `NotFound` where its hour has expired meanwhile. It ends with the first.
#[derive(Debug)]
pub struct KeyframeReader {
    /// What has not been handed out.
    left: Range<u64>,
    keyframe: Keyframe,
    file: Option<File>,
}

impl Iterator for KeyframeReader {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        next_piece(&mut self.left, |wanted| {
            self.keyframe.read_piece(&wanted, &mut self.file)
        })
    }
}

impl CameraArchive {
    /// The keyframe that the segment of video begins with that starts at `start`; `None` if there is no such
    /// segment. Reads the head of its first chunk from the disk.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Mux`] if the recording cannot be read.
    pub fn keyframe(&self, start: MediaTime) -> Result<Option<Keyframe>> {
        let Some((folder, segment)) = self.listed(TrackKind::Video, start)? else {
            return Ok(None);
        };
        let media = folder.media(TrackKind::Video, &segment.bytes);
        let init = {
            let timeline = folder.timeline();
            let inits = timeline.track(TrackKind::Video).inits();
            let init = inits.get(usize::from(segment.init));
            init.map(|init| init.bytes.clone())
        };
        let chunks = read_chunks(TrackKind::Video, &media, start)?;
        let first = chunks.first().and_then(|chunk| chunk.units.first());
        let (Some(init), Some(unit)) = (init, first.filter(|unit| unit.is_keyframe)) else {
            return Err(broken(None));
        };
        Ok(Some(Keyframe {
            head: head(&init, unit, segment.duration_90k)?,
            unit: MediaSlice {
                path: media.path,
                offset: unit.offset,
                len_bytes: unit.len_bytes.into(),
            },
        }))
    }
}

fn broken(source: Option<mp4_atom::Error>) -> Error {
    Error::Mux {
        track: TrackKind::Video,
        what: "keyframe",
        source,
    }
}

/// What comes before `unit`, which is to be shown for `duration_90k` and needs `init`.
fn head(init: &[u8], unit: &UnitPlace, duration_90k: u32) -> Result<Bytes> {
    let moov = find::<Moov>(TrackKind::Video, "init segment", init)?;
    let track_id = moov.trak.first().ok_or_else(|| broken(None))?.tkhd.track_id;
    // Reordered pictures are shown later than they are decoded, and so is this one.
    let late_90k = unit.presentation.ticks().cast_signed() - unit.decode.ticks().cast_signed();
    let sample = TrunEntry {
        duration: Some(duration_90k),
        size: Some(unit.len_bytes),
        flags: Some(KEYFRAME),
        cts: Some(late_90k),
    };
    let fragment = Fragment {
        track_id,
        // They ascend as segments do, which are a second apart.
        number: u32::try_from(unit.decode.ticks() / TICKS_PER_SECOND).unwrap_or(u32::MAX),
        start: unit.decode.ticks(),
        samples: vec![sample],
    };
    // ISO/IEC 23000-19 §7.3.2.3 and ISO/IEC 23009-1 §6.3.4.2: a fragment, and a media segment.
    let styp = Styp {
        major_brand: FourCC::new(b"cmff"),
        minor_version: 0,
        compatible_brands: [b"cmff", b"msdh"].map(FourCC::new).into(),
    };
    let mut head = Vec::new();
    let written = styp
        .encode(&mut head)
        .and_then(|()| fragment.write_head(&mut head));
    written.map_err(|error| broken(Some(error)))?;
    Ok(head.into())
}
