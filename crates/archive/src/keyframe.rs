//! A keyframe by itself: what a segment of video begins with, as a CMAF fragment of one sample, for trick play.
//!
//! ```text
//! styp  moof(tfdt as recorded, one sample as long as the segment)  mdat(its bytes, as recorded)
//! ```

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use bytes::Bytes;
use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackKind};
use mp4_atom::{
    Atom as _, Encode as _, FourCC, Header, Mdat, Mfhd, Moof, Moov, Styp, Tfdt, Tfhd, Traf, Trun,
    TrunEntry, TrunSamples,
};

use crate::{
    CameraArchive, Error, MediaSlice, Result,
    chunks::read_chunks,
    cmaf::{BOX_HEADER_BYTES, UnitPlace, find},
};

/// Read at once: all the memory that a reader holds.
const PIECE_BYTES: u64 = 256 * 1024;

/// ISO/IEC 14496-12 §8.8.3.1: depends on no other picture.
const SYNC_SAMPLE: u32 = 0x0200_0000;

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
            at: range.start,
            end: range.end.min(self.len_bytes()),
            keyframe: self,
            file: None,
        }
    }
}

/// Hands out the bytes of a [`Keyframe`], front to back, some at a time.
///
/// # Errors
/// Those of the disk, of kind `NotFound` where its hour has expired meanwhile. It ends with the first.
#[derive(Debug)]
pub struct KeyframeReader {
    keyframe: Keyframe,
    /// The next byte to hand out, and the one behind the last.
    at: u64,
    end: u64,
    file: Option<File>,
}

impl KeyframeReader {
    fn read(&mut self) -> io::Result<Bytes> {
        let Keyframe { head, unit } = &self.keyframe;
        let end = self.end.min(self.at + PIECE_BYTES);
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let mut piece = vec![0; index(end - self.at)];
        let from_head = head.get(index(self.at)..).unwrap_or_default();
        let from_head = &from_head[..from_head.len().min(piece.len())];
        let (begin, rest) = piece.split_at_mut(from_head.len());
        begin.copy_from_slice(from_head);
        if !rest.is_empty() {
            let within = self.at + from_head.len() as u64 - head.len() as u64;
            let file = match self.file.take() {
                Some(file) => file,
                None => File::open(&unit.path)?,
            };
            file.read_exact_at(rest, unit.offset + within)?;
            self.file = Some(file);
        }
        Ok(piece.into())
    }
}

impl Iterator for KeyframeReader {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let read = self.read();
        match &read {
            Ok(bytes) => self.at += bytes.len() as u64,
            Err(_) => self.end = self.at,
        }
        Some(read)
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
        flags: Some(SYNC_SAMPLE),
        cts: Some(late_90k),
    };
    let moof = |data_offset| Moof {
        mfhd: Mfhd {
            // They ascend as segments do, which are a second apart.
            sequence_number: u32::try_from(unit.decode.ticks() / TICKS_PER_SECOND)
                .unwrap_or(u32::MAX),
        },
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id,
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt {
                base_media_decode_time: unit.decode.ticks(),
            }),
            trun: vec![Trun {
                data_offset: Some(data_offset),
                samples: TrunSamples::from(vec![sample]),
            }],
            ..Traf::default()
        }],
    };
    // Its length does not depend on the offset in it.
    let mut measured = Vec::new();
    let mut head = Vec::new();
    let written = moof(0).encode(&mut measured).and_then(|()| {
        let data_offset = i32::try_from(measured.len() + BOX_HEADER_BYTES).unwrap_or(i32::MAX);
        // ISO/IEC 23000-19 §7.3.2.3 and ISO/IEC 23009-1 §6.3.4.2: a fragment, and a media segment.
        Styp {
            major_brand: FourCC::new(b"cmff"),
            minor_version: 0,
            compatible_brands: [b"cmff", b"msdh"].map(FourCC::new).into(),
        }
        .encode(&mut head)?;
        moof(data_offset).encode(&mut head)?;
        Header {
            kind: Mdat::KIND,
            size: usize::try_from(unit.len_bytes).ok(),
        }
        .encode(&mut head)
    });
    written.map_err(|error| broken(Some(error)))?;
    Ok(head.into())
}
