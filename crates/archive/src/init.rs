//! Reads an init segment: how to play what needs it.

use dayreel_core::{AudioFormat, TICKS_PER_SECOND, TrackFormat, TrackKind, VideoFormat};
use mp4_atom::{Codec, Hvcc, Moov, Visual};

use bytes::Bytes;

use crate::{
    Error, Result,
    cmaf::{BOX_HEADER_BYTES, find, next_box},
};

/// Reads an init segment (`ftyp` + `moov`) of one track.
///
/// # Errors
/// [`Error::Mux`] if it has no such track, another timescale than 1/90000 s, or a codec we do not
/// record.
pub fn read_init(track: TrackKind, bytes: &[u8]) -> Result<TrackFormat> {
    let unreadable = |source| Error::Mux {
        track,
        what: "init segment",
        source,
    };
    let moov = find::<Moov>(track, "init segment", bytes)?;
    let media = moov
        .trak
        .first()
        .map(|trak| &trak.mdia)
        .ok_or_else(|| unreadable(None))?;
    if u64::from(media.mdhd.timescale) != TICKS_PER_SECOND {
        return Err(Error::Mux {
            track,
            what: "timescale",
            source: None,
        });
    }
    media
        .minf
        .stbl
        .stsd
        .codecs
        .first()
        .and_then(format)
        .filter(|format| format.fits(track))
        .ok_or(Error::Mux {
            track,
            what: "codec",
            source: None,
        })
}

/// What a decoder has to know before the first access unit of an init segment's video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoConfig {
    /// H.264: the `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1).
    H264(Bytes),
    /// H.265: the `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §8.3.3.1).
    H265(Bytes),
}

/// The decoder configuration in an init segment of the video track.
///
/// # Errors
/// [`Error::Mux`] if it is unreadable or has neither H.264 nor H.265.
pub fn video_config(init: &Bytes) -> Result<VideoConfig> {
    let moov = find::<Moov>(TrackKind::Video, "init segment", init)?;
    let codec = moov
        .trak
        .first()
        .and_then(|trak| trak.mdia.minf.stbl.stsd.codecs.first());
    let record = |kind| {
        // The record as the camera's parameter sets gave it, not as it was understood.
        let begin = init.windows(4).position(|word| word == kind)?;
        let (_, len_bytes) = next_box(init.get(begin.checked_sub(4)?..)?)?;
        let end = begin.checked_add(usize::try_from(len_bytes).ok()?)?;
        (end - 4 <= init.len()).then(|| init.slice(begin + 4..end - 4))
    };
    match codec {
        Some(Codec::Avc1(_) | Codec::Avc3(_)) => record(b"avcC").map(VideoConfig::H264),
        Some(Codec::Hvc1(_) | Codec::Hev1(_)) => record(b"hvcC").map(VideoConfig::H265),
        _ => None,
    }
    .ok_or(Error::Mux {
        track: TrackKind::Video,
        what: "codec",
        source: None,
    })
}

/// The init segment without its creation and modification times, which say when the muxer started:
/// the same configuration has the same bytes, so that a restart needs no new map.
pub(crate) fn without_times(bytes: &Bytes) -> Bytes {
    let mut copy = bytes.to_vec();
    clear_times(&mut copy);
    copy.into()
}

/// Walks the boxes in `bytes` and clears the times of `mvhd`, `tkhd` and `mdhd`
/// (ISO/IEC 14496-12 §8.2.2, §8.3.2, §8.4.2: they follow version and flags, in 32 or 64 bits).
fn clear_times(mut bytes: &mut [u8]) {
    while let Some((kind, len_bytes)) = next_box(bytes) {
        let len_bytes = usize::try_from(len_bytes).unwrap_or(usize::MAX);
        let Some((whole, rest)) = bytes.split_at_mut_checked(len_bytes) else {
            return;
        };
        match &<[u8; 4]>::from(kind) {
            b"moov" | b"trak" | b"mdia" => clear_times(&mut whole[BOX_HEADER_BYTES..]),
            b"mvhd" | b"tkhd" | b"mdhd" => {
                let times = if whole.get(BOX_HEADER_BYTES) == Some(&1) {
                    12..28
                } else {
                    12..20
                };
                if let Some(times) = whole.get_mut(times) {
                    times.fill(0);
                }
            }
            _ => {}
        }
        bytes = rest;
    }
}

fn format(codec: &Codec) -> Option<TrackFormat> {
    match codec {
        Codec::Avc1(avc) => Some(picture(avc_string("avc1", &avc.avcc), &avc.visual)),
        Codec::Avc3(avc) => Some(picture(avc_string("avc3", &avc.avcc), &avc.visual)),
        Codec::Hvc1(hevc) => Some(picture(hevc_string("hvc1", &hevc.hvcc), &hevc.visual)),
        Codec::Hev1(hevc) => Some(picture(hevc_string("hev1", &hevc.hvcc), &hevc.visual)),
        Codec::Mp4a(aac) => {
            let config = &aac.esds.es_desc.dec_config;
            let object_type = config.dec_specific.as_ref()?.profile;
            Some(TrackFormat::Audio(AudioFormat {
                // RFC 6381 §3.3: object type indication in hexadecimal, audio object type in decimal.
                codec: format!("mp4a.{:x}.{object_type}", config.object_type_indication),
                sample_rate_hz: aac.audio.sample_rate.integer().into(),
                channels: aac.audio.channel_count.into(),
            }))
        }
        _ => None,
    }
}

fn picture(codec: String, visual: &Visual) -> TrackFormat {
    TrackFormat::Video(VideoFormat {
        codec,
        width: visual.width.into(),
        height: visual.height.into(),
    })
}

/// RFC 6381 §3.3: profile, compatibility and level, as they stand in the parameter set.
fn avc_string(entry: &str, avcc: &mp4_atom::Avcc) -> String {
    format!(
        "{entry}.{:02x}{:02x}{:02x}",
        avcc.avc_profile_indication, avcc.profile_compatibility, avcc.avc_level_indication
    )
}

/// ISO/IEC 14496-15 annex E.3: profile space and idc, compatibility flags in reverse bit order,
/// tier and level, constraint bytes without trailing zeros.
fn hevc_string(entry: &str, hvcc: &Hvcc) -> String {
    let space = ["", "A", "B", "C"][usize::from(hvcc.general_profile_space & 3)];
    let compatibility = u32::from_be_bytes(hvcc.general_profile_compatibility_flags).reverse_bits();
    let tier = if hvcc.general_tier_flag { 'H' } else { 'L' };
    let mut text = format!(
        "{entry}.{space}{}.{compatibility:x}.{tier}{}",
        hvcc.general_profile_idc, hvcc.general_level_idc
    );
    let constraints = &hvcc.general_constraint_indicator_flags;
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        text.push_str(&format!(".{byte:x}"));
    }
    text
}
