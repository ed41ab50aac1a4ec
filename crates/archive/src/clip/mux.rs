//! The boxes of a clip's file.

use std::{io::Cursor, ops::Range};

use dayreel_core::{MediaTime, TICKS_PER_SECOND};
use mp4_atom::{
    Any, Atom as _, Audio, Avc1, Avcc, Codec, Colr, Dinf, Dref, DrefEntry, Edts, Elst, ElstEntry,
    Encode as _, Error, Esds, FourCC, Ftyp, Hdlr, Header, Hvc1, Hvcc, Ilst, Mdat, Mdhd, Mdia, Meta,
    Minf, Moov, Mp4a, Mvhd, Pasp, Result, Smhd, Stsd, Tkhd, Trak, Udta, Url, Visual, Vmhd,
    esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig},
};

use super::{
    AudioClip, Clip, Colour, Sample, Tags, VideoClip, VideoCodec,
    tables::{Tables, Timing, small},
};
use crate::cmaf::{EPOCH_S, TIMESCALE};

/// So much of a track lies together in the file.
const CHUNK_90K: u64 = TICKS_PER_SECOND;
/// Sound that is this far from where it is due has a gap before it; less is rounding.
const AUDIO_GAP_90K: u64 = TICKS_PER_SECOND / 50;

/// A clip's tracks, placed.
pub(super) struct Mux<'c> {
    clip: &'c Clip,
    tags: &'c Tags,
    tracks: Vec<Track<'c>>,
    /// Chunks in the order of the file: which track, which of its chunks.
    order: Vec<(usize, usize)>,
}

struct Track<'c> {
    samples: &'c [Sample],
    tables: Tables,
    /// Ticks a second.
    timescale: u32,
    /// Where in the track `clip.start` is, in its ticks.
    edit_start: u64,
    /// How long after `clip.start` the track begins, 1/90000 s.
    late_90k: u64,
    stsd: Stsd,
}

impl<'c> Mux<'c> {
    pub(super) fn new(clip: &'c Clip, tags: &'c Tags) -> Result<Self> {
        let mut tracks = vec![Track::of_video(clip.start, &clip.video)?];
        let audio = clip
            .audio
            .as_ref()
            .filter(|audio| !audio.samples.is_empty());
        if let Some(audio) = audio {
            tracks.push(Track::of_audio(clip.start, audio));
        }
        let bytes: u64 = tracks.iter().map(Track::bytes).sum();
        // Offsets of 32 bits; far more than memory holds.
        if bytes > u64::from(u32::MAX) / 2 {
            return Err(Error::Unsupported("a clip of more than 2 GiB"));
        }
        let mut order: Vec<(usize, usize)> = Vec::new();
        for (number, track) in tracks.iter().enumerate() {
            order.extend((0..track.tables.chunks.len()).map(|chunk| (number, chunk)));
        }
        order.sort_by_key(|(track, chunk)| {
            let samples = &tracks[*track];
            (
                samples.samples[samples.tables.chunks[*chunk].start].dts,
                *track,
            )
        });
        Ok(Self {
            clip,
            tags,
            tracks,
            order,
        })
    }

    /// Everything before the samples: `ftyp`, `moov`, and the header of `mdat`.
    pub(super) fn head(&self) -> Result<Vec<u8>> {
        let mut head = Vec::new();
        ftyp(self.clip.video.codec).encode(&mut head)?;
        let at = head.len();
        // Its length does not depend on the offsets in it.
        self.moov(0).encode(&mut head)?;
        let mut mdat = Vec::new();
        let bytes: u64 = self.tracks.iter().map(Track::bytes).sum();
        Header {
            kind: Mdat::KIND,
            size: usize::try_from(bytes).ok(),
        }
        .encode(&mut mdat)?;
        let begin = head.len() + mdat.len();
        head.truncate(at);
        self.moov(small(begin)).encode(&mut head)?;
        head.extend(mdat);
        Ok(head)
    }

    /// All samples, in the order of the file.
    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.order.iter().flat_map(|(track, chunk)| {
            let track = &self.tracks[*track];
            &track.samples[track.tables.chunks[*chunk].clone()]
        })
    }

    fn moov(&self, begin: u32) -> Moov {
        let mut offsets: Vec<Vec<u32>> = vec![Vec::new(); self.tracks.len()];
        let mut at = begin;
        for (track, chunk) in &self.order {
            offsets[*track].push(at);
            at = at.saturating_add(small(self.tracks[*track].chunk_bytes(*chunk)));
        }
        let created = EPOCH_S + self.clip.start.ticks() / TICKS_PER_SECOND;
        let duration = self.clip.end.saturating_since(self.clip.start);
        let traks = self.tracks.iter().zip(offsets).zip(1..);
        Moov {
            mvhd: Mvhd {
                creation_time: created,
                modification_time: created,
                timescale: TIMESCALE,
                duration,
                rate: 1.into(),
                volume: 1.into(),
                next_track_id: small(self.tracks.len() + 1),
                ..Mvhd::default()
            },
            trak: traks
                .map(|((track, offsets), id)| self.trak(track, offsets, id, created, duration))
                .collect(),
            udta: Some(self.udta()),
            ..Moov::default()
        }
    }

    fn trak(
        &self,
        track: &Track<'_>,
        offsets: Vec<u32>,
        track_id: u32,
        created: u64,
        duration: u64,
    ) -> Trak {
        let is_video = track_id == 1;
        let (width, height) = if is_video {
            shown_size(&self.clip.video)
        } else {
            (0, 0)
        };
        let late_90k = track.late_90k.min(duration);
        let edit = |segment_duration, media_time| ElstEntry {
            segment_duration,
            media_time,
            media_rate: 1.into(),
        };
        // Nothing first, where the track begins later (ISO/IEC 14496-12 §8.6.6.3).
        let nothing = (late_90k > 0).then(|| edit(late_90k, None));
        let all = edit(duration - late_90k, Some(track.edit_start));
        let (handler, name) = if is_video {
            (b"vide", "Picture")
        } else {
            (b"soun", "Sound")
        };
        Trak {
            tkhd: Tkhd {
                creation_time: created,
                modification_time: created,
                track_id,
                duration,
                enabled: true,
                in_movie: true,
                volume: u8::from(!is_video).into(),
                width: width.into(),
                height: height.into(),
                ..Tkhd::default()
            },
            edts: Some(Edts {
                elst: Some(Elst {
                    entries: nothing.into_iter().chain([all]).collect(),
                }),
            }),
            mdia: Mdia {
                mdhd: Mdhd {
                    creation_time: created,
                    modification_time: created,
                    timescale: track.timescale,
                    duration: track.tables.duration,
                    language: "und".into(),
                },
                hdlr: Hdlr {
                    handler: FourCC::new(handler),
                    name: name.into(),
                },
                minf: Minf {
                    vmhd: is_video.then(Vmhd::default),
                    smhd: (!is_video).then(Smhd::default),
                    dinf: Dinf {
                        dref: Dref {
                            // In this file (ISO/IEC 14496-12 §8.7.2).
                            entries: vec![DrefEntry::Url(Url::default())],
                        },
                    },
                    stbl: track
                        .tables
                        .boxes(track.stsd.clone(), track.samples, offsets),
                    ..Minf::default()
                },
            },
            ..Trak::default()
        }
    }

    /// As iTunes does it, which is what players and ffmpeg read.
    fn udta(&self) -> Udta {
        let mut items = Vec::new();
        let texts = [
            (b"\xa9nam", self.tags.title.as_deref()),
            (b"\xa9day", Some(self.tags.date.as_str())),
            (b"desc", Some(self.tags.description.as_str())),
            (b"\xa9too", Some("Dayreel")),
        ];
        for (kind, text) in texts {
            items.extend(text.map(|text| tag(kind, text)).unwrap_or_default());
        }
        Udta {
            meta: Some(Meta {
                hdlr: Hdlr {
                    handler: FourCC::new(b"mdir"),
                    name: String::new(),
                },
                // The crate knows some of these under other names than players do.
                items: vec![Any::Unknown(Ilst::KIND, items)],
            }),
            ..Udta::default()
        }
    }
}

/// A text among the tags: a box with a `data` box in it, UTF-8.
fn tag(kind: &[u8; 4], text: &str) -> Vec<u8> {
    const UTF_8: u32 = 1;
    let mut data = vec![];
    data.extend(small(16 + text.len()).to_be_bytes());
    data.extend(b"data");
    data.extend(UTF_8.to_be_bytes());
    // Of no country and no language.
    data.extend([0; 4]);
    data.extend(text.as_bytes());
    let mut item = small(8 + data.len()).to_be_bytes().to_vec();
    item.extend(kind);
    item.extend(data);
    item
}

impl<'c> Track<'c> {
    fn of_video(start: MediaTime, video: &'c VideoClip) -> Result<Self> {
        let samples = &video.samples;
        let first = samples.first().map_or(start, |sample| sample.dts);
        let mut timings: Vec<Timing> = Vec::with_capacity(samples.len());
        for sample in samples {
            let dts = sample.dts.saturating_since(first);
            // Two samples at once would have no duration.
            let dts = timings.last().map_or(dts, |before| dts.max(before.dts + 1));
            let pts = signed(sample.pts.ticks()) - signed(first.ticks());
            let offset = pts - signed(dts);
            timings.push(Timing { dts, offset });
        }
        let last_duration = match timings.as_slice() {
            [.., before, last] => last.dts - before.dts,
            _ => TICKS_PER_SECOND / 25,
        };
        let chunks = chunks(samples);
        Ok(Self {
            samples,
            tables: Tables::new(timings, last_duration, chunks),
            timescale: TIMESCALE,
            edit_start: start.saturating_since(first),
            // Its first keyframe is shown at the start or before.
            late_90k: 0,
            stsd: Stsd {
                codecs: vec![video_entry(video)?],
            },
        })
    }

    /// Counts in sound samples, so that an access unit is as long as the decoder makes it.
    fn of_audio(start: MediaTime, audio: &'c AudioClip) -> Self {
        let samples = &audio.samples;
        let rate = u64::from(audio.sample_rate_hz.max(1));
        let first = samples.first().map_or(start, |sample| sample.dts);
        let ticks = |since_90k: u64| since_90k.saturating_mul(rate) / TICKS_PER_SECOND;
        let gap = ticks(AUDIO_GAP_90K);
        let mut timings: Vec<Timing> = Vec::with_capacity(samples.len());
        for sample in samples {
            let at = ticks(sample.dts.saturating_since(first));
            let due = timings
                .last()
                .map_or(0, |before| before.dts + u64::from(audio.block));
            // One that comes too early is moved: it cannot sound before the other has ended.
            let dts = if at > due + gap { at } else { due };
            timings.push(Timing { dts, offset: 0 });
        }
        Self {
            samples,
            tables: Tables::new(timings, audio.block.into(), chunks(samples)),
            timescale: audio.sample_rate_hz.max(1),
            edit_start: ticks(start.saturating_since(first)),
            late_90k: first.saturating_since(start),
            stsd: Stsd {
                codecs: vec![audio_entry(audio)],
            },
        }
    }

    fn bytes(&self) -> u64 {
        self.samples
            .iter()
            .map(|sample| sample.bytes.len() as u64)
            .sum()
    }

    fn chunk_bytes(&self, chunk: usize) -> usize {
        let samples = &self.samples[self.tables.chunks[chunk].clone()];
        samples.iter().map(|sample| sample.bytes.len()).sum()
    }
}

/// Groups of neighbours that are decoded within [`CHUNK_90K`].
fn chunks(samples: &[Sample]) -> Vec<Range<usize>> {
    let mut chunks: Vec<Range<usize>> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        match chunks.last_mut() {
            Some(chunk) if sample.dts.saturating_since(samples[chunk.start].dts) < CHUNK_90K => {
                chunk.end = at + 1;
            }
            _ => chunks.push(at..at + 1),
        }
    }
    chunks
}

/// ISO/IEC 14496-12 annex E and QuickTime: `isom` with edit lists and negative offsets.
fn ftyp(codec: VideoCodec) -> Ftyp {
    let codec = match codec {
        VideoCodec::Avc => b"avc1",
        VideoCodec::Hevc => b"hvc1",
    };
    Ftyp {
        major_brand: FourCC::new(b"isom"),
        minor_version: 0x200,
        compatible_brands: [b"isom", b"iso4", codec, b"mp41", b"mp42"]
            .map(FourCC::new)
            .into(),
    }
}

fn video_entry(video: &VideoClip) -> Result<Codec> {
    let visual = Visual {
        data_reference_index: 1,
        width: video.width,
        height: video.height,
        ..Visual::default()
    };
    let (h_spacing, v_spacing) = video.pixel_aspect;
    let pasp = (h_spacing != v_spacing).then_some(Pasp {
        h_spacing,
        v_spacing,
    });
    let colr = video.colour.map(nclx);
    let mut config = Cursor::new(&video.config[..]);
    Ok(match video.codec {
        VideoCodec::Avc => Codec::Avc1(Avc1 {
            visual,
            avcc: Avcc::decode_body(&mut config)?,
            colr,
            pasp,
            ..Avc1::default()
        }),
        VideoCodec::Hevc => Codec::Hvc1(Hvc1 {
            visual,
            hvcc: Hvcc::decode_body(&mut config)?,
            colr,
            pasp,
            ..Hvc1::default()
        }),
    })
}

const fn nclx(colour: Colour) -> Colr {
    Colr::Nclx {
        colour_primaries: colour.primaries,
        transfer_characteristics: colour.transfer,
        matrix_coefficients: colour.matrix,
        full_range_flag: colour.full_range,
    }
}

fn audio_entry(audio: &AudioClip) -> Codec {
    // 16.16 bits hold no more; the configuration says the real rate.
    let rate = u16::try_from(audio.sample_rate_hz).unwrap_or(0);
    Codec::Mp4a(Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: audio.channels,
            sample_size: 16,
            sample_rate: rate.into(),
        },
        esds: Esds {
            es_desc: EsDescriptor {
                dec_config: DecoderConfig {
                    // MPEG-4 audio, an audio stream (ISO/IEC 14496-1 tables 5 and 6).
                    object_type_indication: 0x40,
                    stream_type: 5,
                    dec_specific: Some(DecoderSpecific {
                        raw: audio.config.to_vec(),
                        profile: 0,
                        freq_index: 0,
                        chan_conf: 0,
                    }),
                    ..DecoderConfig::default()
                },
                sl_config: SLConfig {},
                ..EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    })
}

/// In square pixels, as players show it.
fn shown_size(video: &VideoClip) -> (u16, u16) {
    let (numer, denom) = video.pixel_aspect;
    let wide = u64::from(video.width) * u64::from(numer) / u64::from(denom.max(1));
    (u16::try_from(wide).unwrap_or(video.width), video.height)
}

fn signed(ticks: u64) -> i64 {
    i64::try_from(ticks).unwrap_or(i64::MAX)
}
