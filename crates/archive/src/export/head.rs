//! What comes before the segments: `ftyp` and `moov`.

use dayreel_core::{TICKS_PER_SECOND, TrackKind};
use mp4_atom::{
    Edts, Elst, ElstEntry, Encode as _, Error, FourCC, Ftyp, Header, Mehd, Moov, Mvex, Mvhd,
    Result, Trex,
};

use super::pieces::{Placed, Stretch};
use crate::cmaf::{find, next_box};

/// Of the movie and of all tracks: 1/90000 s.
#[expect(clippy::cast_possible_truncation, reason = "90000")]
const TIMESCALE: u32 = TICKS_PER_SECOND as u32;
/// Seconds from 1904, where the format's time begins (ISO/IEC 14496-12 §8.2.2.3), to 1970.
const EPOCH_S: u64 = 2_082_844_800;
/// Size and kind of a box.
const HEADER_BYTES: usize = 8;
/// The number of a track in the file.
pub(super) const fn track_id(track: TrackKind) -> u32 {
    track as u32 + 1
}

pub(super) fn write(stretch: &Stretch, placed: &Placed) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"isom", b"mp41", b"mp42"].map(FourCC::new).into(),
    }
    .encode(&mut head)?;
    head.extend(moov(stretch, placed)?);
    Ok(head)
}

fn moov(stretch: &Stretch, placed: &Placed) -> Result<Vec<u8>> {
    let first = stretch.pieces.first();
    let created = EPOCH_S + first.map_or(0, |first| first.start.ticks() / TICKS_PER_SECOND);
    let duration = placed.shown_90k.end - placed.shown_90k.start;
    let mut body = Vec::new();
    Mvhd {
        creation_time: created,
        modification_time: created,
        timescale: TIMESCALE,
        // Of the samples in `moov`: there are none. The fragments' is in `mehd`.
        duration: 0,
        rate: 1.into(),
        volume: 1.into(),
        matrix: mp4_atom::Matrix::default(),
        next_track_id: 3,
    }
    .encode(&mut body)?;
    let edts = Edts {
        elst: Some(Elst {
            entries: vec![ElstEntry {
                segment_duration: duration,
                media_time: Some(placed.shown_90k.start),
                media_rate: 1.into(),
            }],
        }),
    };
    let mut mvex = Mvex {
        mehd: Some(Mehd {
            fragment_duration: duration,
        }),
        trex: Vec::new(),
    };
    // The picture as it is recorded, not its preview.
    for kind in [TrackKind::Video, TrackKind::Audio] {
        let Some(init) = &stretch.inits[kind as usize] else {
            continue;
        };
        let recorded = find::<Moov>(kind, "init segment", init).map_err(|_| UNREADABLE)?;
        let trex = recorded.mvex.and_then(|mvex| mvex.trex.first().cloned());
        mvex.trex.push(Trex {
            track_id: track_id(kind),
            ..trex.ok_or(UNREADABLE)?
        });
        body.extend(trak(init, track_id(kind), &edts)?);
    }
    mvex.encode(&mut body)?;
    let mut moov = Vec::new();
    Header {
        kind: FourCC::new(b"moov"),
        size: Some(body.len()),
    }
    .encode(&mut moov)?;
    moov.extend(body);
    Ok(moov)
}

const UNREADABLE: Error = Error::MissingBox(FourCC::new(b"trak"));

/// The `trak` of a recorded init segment, as it is but for its number and `edts`.
fn trak(init: &[u8], track_id: u32, edts: &Edts) -> Result<Vec<u8>> {
    let moov = child(init, b"moov").ok_or(UNREADABLE)?;
    let recorded = child(moov, b"trak").ok_or(UNREADABLE)?;
    let mut body = Vec::new();
    let mut rest = recorded;
    while let Some((kind, len_bytes)) = next_box(rest) {
        let len_bytes = usize::try_from(len_bytes).unwrap_or(usize::MAX);
        let (whole, behind) = rest.split_at_checked(len_bytes).ok_or(UNREADABLE)?;
        rest = behind;
        if &<[u8; 4]>::from(kind) == b"edts" {
            continue;
        }
        let begin = body.len();
        body.extend(whole);
        if &<[u8; 4]>::from(kind) == b"tkhd" {
            set_track_id(&mut body[begin..], track_id).ok_or(UNREADABLE)?;
            edts.encode(&mut body)?;
        }
    }
    let mut trak = Vec::new();
    Header {
        kind: FourCC::new(b"trak"),
        size: Some(body.len()),
    }
    .encode(&mut trak)?;
    trak.extend(body);
    Ok(trak)
}

/// ISO/IEC 14496-12 §8.3.2: behind version, flags and two times of 32 or 64 bits.
fn set_track_id(tkhd: &mut [u8], track_id: u32) -> Option<()> {
    let at = match tkhd.get(HEADER_BYTES)? {
        0 => HEADER_BYTES + 4 + 8,
        _ => HEADER_BYTES + 4 + 16,
    };
    let field = tkhd.get_mut(at..at + 4)?;
    field.copy_from_slice(&track_id.to_be_bytes());
    Some(())
}

/// The body of the first box of that kind.
fn child<'b>(mut boxes: &'b [u8], wanted: &[u8; 4]) -> Option<&'b [u8]> {
    while let Some((kind, len_bytes)) = next_box(boxes) {
        let len_bytes = usize::try_from(len_bytes).ok()?;
        let (whole, rest) = boxes.split_at_checked(len_bytes)?;
        if &<[u8; 4]>::from(kind) == wanted {
            return whole.get(HEADER_BYTES..);
        }
        boxes = rest;
    }
    None
}
