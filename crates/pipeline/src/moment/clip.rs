//! What the rings hold ─▶ what the archive writes. Bytes are shared, not copied.

use bytes::Bytes;
use dayreel_archive::{AudioClip, Clip, Colour, Sample, VideoClip, VideoCodec};
use dayreel_core::{MediaTime, TICKS_PER_SECOND};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;

use super::MomentError;
use crate::{Cut, Ring, Window, track::pts_to_90k};

/// Sound samples of an access unit of AAC (ISO/IEC 14496-3): of AAC-LC, and as long as a rule.
const AAC_BLOCK: u32 = 1024;
/// The others there are: 960 of digital radio, and twice as many where half the band is made up
/// (SBR).
const AAC_BLOCKS: [u32; 4] = [AAC_BLOCK, 960, 2048, 1920];

/// The clip of `cut`, with what `sound` holds of that time.
///
/// # Errors
/// The codec or its configuration does not go into an MP4, or memory cannot be mapped.
pub(super) fn clip(cut: &Cut, sound: &Ring) -> Result<Clip, MomentError> {
    let video = video_clip(cut)?;
    // From the first decode time on: the tracks begin together also for those who ignore edit lists.
    let first = cut.access_units.first();
    let begin = first.and_then(|unit| unit.dts().or(unit.pts()));
    let heard = Window {
        start: begin.unwrap_or(cut.shown.start).min(cut.shown.start),
        end: cut.shown.end,
    };
    let audio = match sound.units_in(heard) {
        Some((caps, units)) => audio_clip(&caps, &units, heard)?,
        None => None,
    };
    Ok(Clip {
        start: media(cut.shown.start),
        end: media(cut.shown.end),
        video,
        audio,
    })
}

/// To the nearest tick.
pub(super) fn media(pts: gst::ClockTime) -> MediaTime {
    MediaTime::from_ticks(pts_to_90k(pts))
}

fn video_clip(cut: &Cut) -> Result<VideoClip, MomentError> {
    let unfit = || MomentError::Format(cut.caps.clone());
    let caps = cut.caps.structure(0).ok_or_else(unfit)?;
    let codec = match caps.name().as_str() {
        "video/x-h264" => VideoCodec::Avc,
        "video/x-h265" => VideoCodec::Hevc,
        _ => return Err(unfit()),
    };
    let number = |name| {
        caps.get::<i32>(name)
            .ok()
            .and_then(|n| u16::try_from(n).ok())
    };
    let (width, height) = number("width").zip(number("height")).ok_or_else(unfit)?;
    let aspect = caps.get::<gst::Fraction>("pixel-aspect-ratio").ok();
    let pixel_aspect = aspect.and_then(|aspect| {
        let numer = u32::try_from(aspect.numer()).ok()?;
        let denom = u32::try_from(aspect.denom()).ok()?;
        (numer > 0 && denom > 0).then_some((numer, denom))
    });
    Ok(VideoClip {
        codec,
        config: codec_data(caps).ok_or_else(unfit)?,
        width,
        height,
        pixel_aspect: pixel_aspect.unwrap_or((1, 1)),
        colour: caps.get::<&str>("colorimetry").ok().and_then(colour),
        samples: samples(&cut.access_units)?,
    })
}

fn colour(colorimetry: &str) -> Option<Colour> {
    let colours: gst_video::VideoColorimetry = colorimetry.parse().ok()?;
    let code = |iso: u32| u16::try_from(iso).unwrap_or(2);
    Some(Colour {
        primaries: code(colours.primaries().to_iso()),
        transfer: code(colours.transfer().to_iso()),
        matrix: code(colours.matrix().to_iso()),
        full_range: colours.range() == gst_video::VideoColorRange::Range0_255,
    })
}

/// `None`: sound that an MP4 has no place for.
fn audio_clip(
    caps: &gst::Caps,
    units: &[gst::Buffer],
    heard: Window,
) -> Result<Option<AudioClip>, MomentError> {
    let of_caps = || {
        let caps = caps.structure(0)?;
        let is_raw_aac = caps.name() == "audio/mpeg"
            && caps.get::<i32>("mpegversion").ok()? == 4
            && caps.get::<&str>("stream-format").ok()? == "raw";
        let number = |name| {
            caps.get::<i32>(name)
                .ok()
                .and_then(|n| u32::try_from(n).ok())
        };
        is_raw_aac.then_some(())?;
        Some((codec_data(caps)?, number("rate")?, number("channels")?))
    };
    let Some((config, sample_rate_hz, channels)) = of_caps() else {
        tracing::debug!(%caps, "a moment is made without this sound");
        return Ok(None);
    };
    let mut samples = samples(units)?;
    let block = block(&samples, sample_rate_hz);
    let long_90k = u64::from(block) * TICKS_PER_SECOND / u64::from(sample_rate_hz.max(1));
    // A ring keeps the last that a camera sent before it had no sound any more.
    samples.retain(|sample| {
        sample.pts < media(heard.end) && sample.pts.ticks() + long_90k > media(heard.start).ticks()
    });
    Ok((!samples.is_empty()).then(|| AudioClip {
        config,
        sample_rate_hz,
        channels: u16::try_from(channels).unwrap_or(1),
        block,
        samples,
    }))
}

/// How long access units are, from their distances.
fn block(samples: &[Sample], rate_hz: u32) -> u32 {
    let mut steps: Vec<u64> = samples
        .windows(2)
        .map(|pair| pair[1].pts.saturating_since(pair[0].pts))
        .collect();
    steps.sort_unstable();
    let Some(step_90k) = steps.get(steps.len() / 2) else {
        return AAC_BLOCK;
    };
    let measured = step_90k * u64::from(rate_hz) / TICKS_PER_SECOND;
    let nearest = |block: &u32| u64::from(*block).abs_diff(measured);
    AAC_BLOCKS
        .into_iter()
        .min_by_key(nearest)
        .unwrap_or(AAC_BLOCK)
}

fn samples(units: &[gst::Buffer]) -> Result<Vec<Sample>, MomentError> {
    let sample = |unit: &gst::Buffer| {
        let pts = unit.pts().unwrap_or_default();
        Ok(Sample {
            pts: media(pts),
            dts: media(unit.dts().unwrap_or(pts)),
            is_keyframe: !unit.flags().contains(gst::BufferFlags::DELTA_UNIT),
            bytes: bytes_of(unit.clone()).map_err(MomentError::Memory)?,
        })
    };
    units.iter().map(sample).collect()
}

fn codec_data(caps: &gst::StructureRef) -> Option<Bytes> {
    bytes_of(caps.get::<gst::Buffer>("codec_data").ok()?).ok()
}

fn bytes_of(buffer: gst::Buffer) -> Result<Bytes, glib::BoolError> {
    let mapped = buffer.into_mapped_buffer_readable();
    let mapped = mapped.map_err(|_| glib::bool_error!("the buffer cannot be mapped"))?;
    Ok(Bytes::from_owner(mapped))
}
