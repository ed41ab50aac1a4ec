//! The boxes of a timelapse: of the file that grows, and of the one that is finished.

use std::io::Cursor;

use bytes::Bytes;
use dayreel_core::TrackKind;
use mp4_atom::{
    Atom as _, Avc1, Avcc, Co64, Codec, Colr, Dinf, Dref, DrefEntry, FourCC, Ftyp, Hdlr, Mdhd,
    Mdia, Minf, Moov, Mvex, Mvhd, Stbl, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts,
    SttsEntry, Tkhd, Trak, Trex, TrunEntry, Url, Visual, Vmhd,
};

use super::FilmFormat;
use crate::{
    Error, Result,
    cmaf::EPOCH_S,
    fragment::{Fragment, KEYFRAME, NOT_KEYFRAME, mdat_header},
};

/// Ticks a picture: frame rates are whole numbers.
pub(super) const TICKS_PER_PICTURE: u32 = 1000;

fn unwritable(source: mp4_atom::Error) -> Error {
    Error::Mux {
        track: TrackKind::Video,
        what: "timelapse",
        source: Some(source),
    }
}

fn encoded(atom: &impl mp4_atom::Encode, into: &mut Vec<u8>) -> Result<()> {
    atom.encode(into).map_err(unwritable)
}

/// `ftyp` and `moov` of the file that grows: a fragmented MP4.
pub(super) fn growing_head(format: &FilmFormat, fps: u32) -> Result<Vec<u8>> {
    let brand = |name: &[u8; 4]| FourCC::new(name);
    let mut head = Vec::new();
    let ftyp = Ftyp {
        major_brand: brand(b"iso6"),
        minor_version: 0,
        compatible_brands: vec![brand(b"iso6"), brand(b"mp41")],
    };
    encoded(&ftyp, &mut head)?;
    let mut moov = moov(format, fps, 0, 0)?;
    moov.mvex = Some(Mvex {
        mehd: None,
        trex: vec![Trex {
            track_id: 1,
            default_sample_description_index: 1,
            default_sample_duration: TICKS_PER_PICTURE,
            default_sample_size: 0,
            default_sample_flags: NOT_KEYFRAME,
        }],
    });
    encoded(&moov, &mut head)?;
    Ok(head)
}

/// `moof` and the head of `mdat` of pictures that follow `before` others; the first is a keyframe.
pub(super) fn fragment_head(pictures: &[Bytes], before: u32, number: u32) -> Result<Vec<u8>> {
    let entry = |(index, picture): (usize, &Bytes)| {
        Some(TrunEntry {
            duration: Some(TICKS_PER_PICTURE),
            size: Some(u32::try_from(picture.len()).ok()?),
            flags: Some(if index == 0 { KEYFRAME } else { NOT_KEYFRAME }),
            cts: None,
        })
    };
    let entries: Option<Vec<_>> = pictures.iter().enumerate().map(entry).collect();
    let entries = entries.ok_or(Error::Mux {
        track: TrackKind::Video,
        what: "timelapse",
        source: None,
    })?;
    let fragment = Fragment {
        track_id: 1,
        number,
        start: u64::from(before) * u64::from(TICKS_PER_PICTURE),
        samples: entries,
    };
    let mut head = Vec::new();
    fragment.write_head(&mut head).map_err(unwritable)?;
    Ok(head)
}

/// Everything before the pictures of a finished timelapse: `ftyp`, `moov` and the head of `mdat`.
/// `groups` has the lengths of the pictures; the first of each group is a keyframe, and the bytes
/// of all follow each other. `created_s`: seconds since the Unix epoch.
pub(super) fn finished_head(
    format: &FilmFormat,
    fps: u32,
    created_s: u64,
    groups: &[Vec<u32>],
) -> Result<Vec<u8>> {
    let pictures: usize = groups.iter().map(Vec::len).sum();
    let pictures = u32::try_from(pictures).unwrap_or(u32::MAX);
    let len_bytes: u64 = groups.iter().flatten().map(|len| u64::from(*len)).sum();
    let mut moov = moov(format, fps, created_s, pictures)?;
    let keyframes = groups.iter().scan(1_u32, |at, group| {
        let first = *at;
        *at = at.saturating_add(u32::try_from(group.len()).unwrap_or(u32::MAX));
        Some(first)
    });
    let mut runs: Vec<StscEntry> = Vec::new();
    for (group, first_chunk) in groups.iter().zip(1_u32..) {
        let samples_per_chunk = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let same = |run: &StscEntry| run.samples_per_chunk == samples_per_chunk;
        if !runs.last().is_some_and(same) {
            runs.push(StscEntry {
                first_chunk,
                samples_per_chunk,
                sample_description_index: 1,
            });
        }
    }
    let sizes = groups.iter().flatten().copied().collect();
    let stbl = &mut moov.trak[0].mdia.minf.stbl;
    stbl.stts = Stts {
        entries: vec![SttsEntry {
            sample_count: pictures,
            sample_delta: TICKS_PER_PICTURE,
        }],
    };
    stbl.stss = Some(Stss {
        entries: keyframes.collect(),
    });
    stbl.stsc = Stsc { entries: runs };
    stbl.stsz = Stsz {
        samples: StszSamples::Different { sizes },
    };
    let mut head = Vec::new();
    let brand = |name: &[u8; 4]| FourCC::new(name);
    let ftyp = Ftyp {
        major_brand: brand(b"isom"),
        minor_version: 0x200,
        compatible_brands: vec![
            brand(b"isom"),
            brand(b"iso2"),
            brand(b"avc1"),
            brand(b"mp41"),
        ],
    };
    encoded(&ftyp, &mut head)?;
    let moov_at = head.len();
    let mut mdat = Vec::new();
    encoded(
        &mdat_header(usize::try_from(len_bytes).unwrap_or(usize::MAX)),
        &mut mdat,
    )?;
    // Once to learn its length, once with the offsets that follow from it.
    for begin in [0, 1] {
        let begin = begin * (head.len() + mdat.len()) as u64;
        let offsets = groups.iter().scan(begin, |at, group| {
            let first = *at;
            *at += group.iter().map(|len| u64::from(*len)).sum::<u64>();
            Some(first)
        });
        moov.trak[0].mdia.minf.stbl.co64 = Some(Co64 {
            entries: offsets.collect(),
        });
        head.truncate(moov_at);
        encoded(&moov, &mut head)?;
    }
    head.extend(mdat);
    Ok(head)
}

/// A movie of one picture track, without tables.
fn moov(format: &FilmFormat, fps: u32, created_s: u64, pictures: u32) -> Result<Moov> {
    let timescale = fps.saturating_mul(TICKS_PER_PICTURE);
    let duration = u64::from(pictures) * u64::from(TICKS_PER_PICTURE);
    // Fragments of no certain day.
    let created = if created_s == 0 {
        0
    } else {
        EPOCH_S + created_s
    };
    let avcc = Avcc::decode_body(&mut Cursor::new(&format.config)).map_err(unwritable)?;
    let entry = Codec::Avc1(Avc1 {
        visual: Visual {
            data_reference_index: 1,
            width: format.width,
            height: format.height,
            ..Visual::default()
        },
        avcc,
        // BT.709, limited range (ISO/IEC 23091-2).
        colr: Some(Colr::new(1, 1, 1, false).map_err(unwritable)?),
        ..Avc1::default()
    });
    Ok(Moov {
        mvhd: Mvhd {
            creation_time: created,
            modification_time: created,
            timescale,
            duration,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: 2,
            ..Mvhd::default()
        },
        trak: vec![Trak {
            tkhd: Tkhd {
                creation_time: created,
                modification_time: created,
                track_id: 1,
                duration,
                enabled: true,
                in_movie: true,
                width: format.width.into(),
                height: format.height.into(),
                ..Tkhd::default()
            },
            mdia: Mdia {
                mdhd: Mdhd {
                    creation_time: created,
                    modification_time: created,
                    timescale,
                    duration,
                    language: "und".into(),
                },
                hdlr: Hdlr {
                    handler: FourCC::new(b"vide"),
                    name: "Timelapse".into(),
                },
                minf: Minf {
                    vmhd: Some(Vmhd::default()),
                    dinf: Dinf {
                        dref: Dref {
                            // In this file (ISO/IEC 14496-12 §8.7.2).
                            entries: vec![DrefEntry::Url(Url::default())],
                        },
                    },
                    stbl: Stbl {
                        stsd: Stsd {
                            codecs: vec![entry],
                        },
                        ..Stbl::default()
                    },
                    ..Minf::default()
                },
            },
            ..Trak::default()
        }],
        ..Moov::default()
    })
}

/// What [`growing_head`] wrote: the format and the frame rate.
pub(super) fn read_head(moov: &Moov) -> Option<(FilmFormat, u32)> {
    let media = &moov.trak.first()?.mdia;
    let Codec::Avc1(avc) = media.minf.stbl.stsd.codecs.first()? else {
        return None;
    };
    let mut config = Vec::new();
    avc.avcc.encode_body(&mut config).ok()?;
    let format = FilmFormat {
        config: config.into(),
        width: avc.visual.width,
        height: avc.visual.height,
    };
    Some((format, media.mdhd.timescale / TICKS_PER_PICTURE))
}

/// The length of a film in seconds, from its `mvhd`.
pub(super) fn duration_s(mvhd: &Mvhd) -> f64 {
    // In thousandths, so that it is as exact as it is shown.
    let thousandths = mvhd.duration.saturating_mul(1000) / u64::from(mvhd.timescale.max(1));
    #[expect(clippy::cast_precision_loss, reason = "exact up to 285 000 years")]
    let seconds = thousandths as f64 / 1000.0;
    seconds
}
