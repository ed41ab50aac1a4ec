//! CMAF pieces made without an encoder: sound boxes, meaningless pictures.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use chrono_tz::Tz;
use dayreel_archive::{CameraArchive, Piece, Store};
use dayreel_core::{ManualClock, MediaTime, TrackKind, WallTime};
use mp4_atom::{
    Audio, Avc1, Avcc, Codec, Encode, Esds, Ftyp, Mdat, Moof, Moov, Mp4a, Mvex, Styp, Tfdt, Tfhd,
    Traf, Trak, Trex, Trun, TrunEntry, TrunSamples, Visual,
    esds::{DecoderSpecific, EsDescriptor},
};

/// A second of 10 pictures.
pub(crate) const CHUNK_90K: u64 = 90_000;

pub(crate) fn wall(rfc3339: &str) -> WallTime {
    chrono::DateTime::parse_from_rfc3339(rfc3339)
        .unwrap()
        .to_utc()
}

pub(crate) fn media(rfc3339: &str) -> u64 {
    MediaTime::wall_to_media(wall(rfc3339)).ticks()
}

/// An init segment whose profile byte tells configurations apart.
pub(crate) fn init(level: u8) -> Bytes {
    init_created(level, 0)
}

/// The same as a muxer writes it that was started then.
pub(crate) fn init_created(level: u8, created: u64) -> Bytes {
    let mut moov = Moov::default();
    moov.mvhd.creation_time = created;
    let mut trak = Trak::default();
    trak.tkhd.track_id = 1;
    trak.tkhd.creation_time = created;
    trak.mdia.mdhd.creation_time = created;
    trak.mdia.mdhd.timescale = 90_000;
    trak.mdia.minf.stbl.stsd.codecs.push(Codec::Avc1(Avc1 {
        visual: Visual {
            width: 1280,
            height: 720,
            ..Visual::default()
        },
        avcc: Avcc {
            configuration_version: 1,
            avc_profile_indication: 0x64,
            profile_compatibility: 0,
            avc_level_indication: level,
            length_size: 4,
            sequence_parameter_sets: vec![vec![0x67, 0x64, 0, level, 1]],
            picture_parameter_sets: vec![vec![0x68, 1]],
            ext: None,
        },
        ..Avc1::default()
    }));
    moov.trak.push(trak);
    moov.mvex = Some(mvex());
    let mut bytes = Vec::new();
    ftyp().encode(&mut bytes).unwrap();
    moov.encode(&mut bytes).unwrap();
    bytes.into()
}

fn mvex() -> Mvex {
    let trex = Trex {
        track_id: 1,
        default_sample_description_index: 1,
        ..Trex::default()
    };
    Mvex {
        mehd: None,
        trex: vec![trex],
    }
}

fn ftyp() -> Ftyp {
    let brand = *b"cmf2";
    Ftyp {
        major_brand: brand.into(),
        minor_version: 0,
        compatible_brands: vec![brand.into()],
    }
}

/// An init segment of AAC sound.
pub(crate) fn sound_init() -> Bytes {
    let mut moov = Moov::default();
    let mut trak = Trak::default();
    trak.tkhd.track_id = 1;
    trak.mdia.mdhd.timescale = 90_000;
    let mut sound = EsDescriptor::default();
    sound.dec_config.object_type_indication = 0x40;
    sound.dec_config.dec_specific = Some(DecoderSpecific {
        profile: 2,
        freq_index: 3,
        chan_conf: 1,
        ..DecoderSpecific::default()
    });
    trak.mdia.minf.stbl.stsd.codecs.push(Codec::Mp4a(Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: 1,
            sample_size: 16,
            sample_rate: 48_000.into(),
        },
        esds: Esds { es_desc: sound },
        btrt: None,
        taic: None,
    }));
    moov.trak.push(trak);
    moov.mvex = Some(mvex());
    let mut bytes = Vec::new();
    ftyp().encode(&mut bytes).unwrap();
    moov.encode(&mut bytes).unwrap();
    bytes.into()
}

/// A chunk of [`CHUNK_90K`] that starts at `start_90k`.
pub(crate) fn chunk(start_90k: u64, begins_segment: bool) -> Piece {
    chunk_of(start_90k, CHUNK_90K, begins_segment)
}

/// A chunk of ten pictures.
pub(crate) fn chunk_of(start_90k: u64, duration_90k: u64, begins_segment: bool) -> Piece {
    let entry = |index: u64| TrunEntry {
        duration: Some(u32::try_from(duration_90k / 10).unwrap()),
        size: Some(20),
        flags: Some(if begins_segment && index == 0 {
            0x0200_0000
        } else {
            0x0101_0000
        }),
        cts: Some(0),
    };
    let moof = Moof {
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: 1,
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt {
                base_media_decode_time: start_90k,
            }),
            trun: vec![Trun {
                data_offset: Some(0),
                samples: TrunSamples::Explicit((0..10).map(entry).collect()),
            }],
            ..Traf::default()
        }],
        ..Moof::default()
    };
    let mut head = Vec::new();
    if begins_segment {
        let brand = *b"msdh";
        Styp {
            major_brand: brand.into(),
            minor_version: 0,
            compatible_brands: vec![],
        }
        .encode(&mut head)
        .unwrap();
    }
    moof.encode(&mut head).unwrap();
    let mut mdat = Vec::new();
    // The start in the payload tells chunks apart.
    Mdat {
        data: start_90k.to_be_bytes().repeat(25),
    }
    .encode(&mut mdat)
    .unwrap();
    let (mdat_head, payload) = mdat.split_at(8);
    head.extend_from_slice(mdat_head);
    Piece::Chunk {
        begins_segment,
        parts: vec![head.into(), payload.to_vec().into()],
    }
}

/// The bytes of a chunk.
pub(crate) fn bytes_of(piece: &Piece) -> Vec<u8> {
    match piece {
        Piece::Init(bytes) => bytes.to_vec(),
        Piece::Chunk { parts, .. } => parts.concat(),
    }
}

pub(crate) struct Camera {
    pub(crate) archive: Arc<CameraArchive>,
    pub(crate) clock: Arc<ManualClock>,
    _store: Store,
}

/// The camera `cam` in the data directory `root`, with a clock that stands at `now`.
pub(crate) fn open(root: &Path, zone: Tz, now: &str) -> Camera {
    open_at(root, zone, wall(now))
}

pub(crate) fn open_at(root: &Path, zone: Tz, now: WallTime) -> Camera {
    let clock = Arc::new(ManualClock::new(now));
    let store = Store::open(root).unwrap();
    let archive = store
        .camera("cam".parse().unwrap(), zone, Arc::clone(&clock) as _)
        .unwrap();
    Camera {
        archive,
        clock,
        _store: store,
    }
}

/// Records video segments of four chunks from `start_90k` on, and returns where the next starts.
pub(crate) fn record(
    recorder: &mut dayreel_archive::Recorder,
    start_90k: u64,
    segments: u64,
) -> u64 {
    for number in 0..segments * 4 {
        let piece = chunk(start_90k + number * CHUNK_90K, number % 4 == 0);
        recorder.append(TrackKind::Video, piece).unwrap();
    }
    start_90k + segments * 4 * CHUNK_90K
}
