//! What comes before the segments: `ftyp` and `moov`.

use dayreel_core::{TICKS_PER_SECOND, TrackKind};
use mp4_atom::{
    Edts, Elst, ElstEntry, Encode as _, Error, FourCC, Ftyp, Header, Mehd, Moov, Mvex, Mvhd,
    Result, Trex,
};

use super::pieces::{Placed, Stretch};
use crate::cmaf::{BOX_HEADER_BYTES, EPOCH_S, TIMESCALE, child, find, next_box};

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
    whole(b"moov", &body)
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
        let (next, behind) = rest.split_at_checked(len_bytes).ok_or(UNREADABLE)?;
        rest = behind;
        if &<[u8; 4]>::from(kind) == b"edts" {
            continue;
        }
        let begin = body.len();
        body.extend(next);
        if &<[u8; 4]>::from(kind) == b"tkhd" {
            set_track_id(&mut body[begin..], track_id).ok_or(UNREADABLE)?;
            edts.encode(&mut body)?;
        }
    }
    whole(b"trak", &body)
}

/// The box of that kind with this content.
fn whole(kind: &[u8; 4], content: &[u8]) -> Result<Vec<u8>> {
    let mut whole = Vec::with_capacity(BOX_HEADER_BYTES + content.len());
    Header {
        kind: FourCC::new(kind),
        size: Some(content.len()),
    }
    .encode(&mut whole)?;
    whole.extend_from_slice(content);
    Ok(whole)
}

/// ISO/IEC 14496-12 §8.3.2: behind version, flags and two times of 32 or 64 bits.
fn set_track_id(tkhd: &mut [u8], track_id: u32) -> Option<()> {
    let at = match tkhd.get(BOX_HEADER_BYTES)? {
        0 => BOX_HEADER_BYTES + 4 + 8,
        _ => BOX_HEADER_BYTES + 4 + 16,
    };
    let field = tkhd.get_mut(at..at + 4)?;
    field.copy_from_slice(&track_id.to_be_bytes());
    Some(())
}
