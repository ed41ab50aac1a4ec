//! Open GOP ─▶ newest picture.
//!
//! The decoder is made for each request and driven from the calling thread. Measured on two cores
//! with 25 access units of 1080p, 3 Mbit/s, half a GOP of 2 s: 160 ms with one thread or with slice
//! threads, 109 ms with two frame threads, 103 with three, 109 with four, 133 with eight. Making
//! and starting the decoder is 2 ms of that, too little to keep one waiting.

use std::{collections::HashSet, time::Instant};

use chrono::DateTime;
use dayreel_core::WallTime;
use gstreamer as gst;
use gstreamer_video as gst_video;

use super::{
    FrameError,
    driven::{Driven, Output},
};
use crate::Gop;

/// A decoded picture as the decoder made it.
pub(crate) struct Picture {
    pub(crate) info: gst_video::VideoInfo,
    pub(crate) buffer: gst::Buffer,
    /// Its presentation time.
    pub(crate) taken: WallTime,
}

/// Decodes `gop` with `threads` threads and returns its newest picture: the last in presentation
/// order that is not after `gop.newest`.
///
/// Where an access unit cannot be decoded, all after it refer to something that is not there: the
/// answer is then the last good picture before. At `deadline` decoding stops, with the last picture
/// so far.
///
/// # Errors
/// No decoder for the codec, or not one good picture.
pub(super) fn newest_picture(
    gop: &Gop,
    threads: u32,
    deadline: Instant,
) -> Result<Picture, FrameError> {
    let (mut output, pushed) = decode(gop, &gop.access_units, threads, deadline)?;
    if let Some(lost) = first_lost(gop, pushed, &output) {
        tracing::debug!(unit = lost, "undecodable: the frame is the picture before");
        // Once more, up to there: no picture but the newest was kept.
        (output, _) = decode(gop, &gop.access_units[..lost], threads, deadline)?;
    }
    let (caps, buffer) = output.newest.ok_or(FrameError::Undecodable)?;
    picture(&caps, buffer, gop.newest.pts)
}

/// What a decoder of `caps` put out, taken at `pts` if it does not say.
pub(super) fn picture(
    caps: &gst::Caps,
    buffer: gst::Buffer,
    pts: gst::ClockTime,
) -> Result<Picture, FrameError> {
    Ok(Picture {
        info: gst_video::VideoInfo::from_caps(caps).map_err(FrameError::Element)?,
        taken: pts_to_wall(buffer.pts().unwrap_or(pts)),
        buffer,
    })
}

/// Decodes `units`, the beginning of `gop`. Returns what came out, and how many went in.
fn decode(
    gop: &Gop,
    units: &[gst::Buffer],
    threads: u32,
    deadline: Instant,
) -> Result<(Output, usize), FrameError> {
    let decoder = decoder_for(&gop.caps, threads)?;
    let decoder =
        Driven::start(decoder, &gop.caps, keep_until(gop)).map_err(FrameError::Element)?;
    let mut pushed = 0;
    for unit in units {
        if Instant::now() >= deadline {
            tracing::warn!(
                units = units.len(),
                pushed,
                "the open GOP takes too long to decode"
            );
            break;
        }
        if let Err(error) = decoder.push(unit.clone()) {
            tracing::debug!(%error, unit = pushed, "the decoder gives up");
            break;
        }
        pushed += 1;
    }
    Ok((decoder.finish(), pushed))
}

/// The presentation time of the last picture that is of use. Without times: every picture is.
fn keep_until(gop: &Gop) -> gst::ClockTime {
    match gop.newest.pts {
        gst::ClockTime::ZERO => gst::ClockTime::MAX,
        newest => newest,
    }
}

/// The first of the `pushed` access units that gave no picture.
///
/// Pictures shown before the keyframe do not count: after an open GOP's start they refer to the GOP
/// before and are skipped by design (ITU-T H.265 §8.1.3, RASL). Neither do those of interlaced
/// video, where two access units may be the fields of one picture.
fn first_lost(gop: &Gop, pushed: usize, output: &Output) -> Option<usize> {
    let is_interlaced = |caps: &gst::Caps| {
        let mode = caps
            .structure(0)
            .and_then(|caps| caps.get::<&str>("interlace-mode").ok());
        mode.is_some_and(|mode| mode != "progressive")
    };
    let decoded = output.newest.as_ref().map(|(caps, _)| caps);
    // Recordings do not say it; the decoder does.
    let interlaced = is_interlaced(&gop.caps) || decoded.is_some_and(is_interlaced);
    let shown = &output.times;
    if interlaced || shown.len() >= pushed {
        return None;
    }
    let units = &gop.access_units[..pushed];
    let keyframe = units.first()?.pts()?;
    let shown: HashSet<_> = shown.iter().collect();
    let lost = |unit: &gst::Buffer| {
        unit.pts()
            .is_some_and(|pts| pts >= keyframe && !shown.contains(&pts))
    };
    units.iter().position(lost)
}

/// Presentation time, nanoseconds since the Unix epoch, as an instant. What chrono cannot name is
/// its last instant.
pub(super) fn pts_to_wall(pts: gst::ClockTime) -> WallTime {
    i64::try_from(pts.nseconds()).map_or(WallTime::MAX_UTC, DateTime::from_timestamp_nanos)
}

/// A decoder for access units of `caps` that shows several pictures at once to `threads` threads.
///
/// # Errors
/// No decoder for the codec, or it is not installed.
pub(crate) fn decoder_for(caps: &gst::Caps, threads: u32) -> Result<gst::Element, FrameError> {
    let codec = caps.structure(0).map(|structure| structure.name().as_str());
    let factory = match codec {
        Some("video/x-h264") => "avdec_h264",
        Some("video/x-h265") => "avdec_h265",
        _ => return Err(FrameError::Codec(caps.clone())),
    };
    let threads = i32::try_from(threads).unwrap_or(1);
    gst::ElementFactory::make(factory)
        .property("max-threads", threads)
        // Pictures depend on each other, so more threads means several pictures at once.
        .property_from_str("thread-type", if threads > 1 { "frame" } else { "slice" })
        .property("output-corrupt", false)
        // Direct rendering copies all the same where a picture is still referred to, and every time
        // into new memory: 2160p takes a third longer. Without, copies go to a pool.
        .property("direct-rendering", false)
        .build()
        .map_err(FrameError::Element)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gstreamer::prelude::*;

    use super::*;
    use crate::{
        Ring, RingSettings,
        frame::{jpeg, streams},
    };

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn ring_of(caps: &gst::Caps, units: &[gst::Buffer]) -> Ring {
        let ring = Ring::new(RingSettings::default());
        for unit in units {
            ring.push(caps, unit.clone());
        }
        ring
    }

    /// The number read from the frame of what `units` leave in a ring, and its time as a number.
    fn newest(caps: &gst::Caps, units: &[gst::Buffer]) -> (Option<u32>, u32) {
        let gop = ring_of(caps, units).open_gop().unwrap();
        let picture = newest_picture(&gop, 2, in_a_minute()).unwrap();
        let taken = gst::ClockTime::from_nseconds(
            picture
                .taken
                .timestamp_nanos_opt()
                .unwrap()
                .try_into()
                .unwrap(),
        );
        let since = (taken - streams::START).nseconds() / streams::INTERVAL.nseconds();
        let size = jpeg::frame_size(&picture.info, None);
        let frame = jpeg::encode(&picture, size, 85, 2).unwrap();
        (streams::decode(&frame).number(), since.try_into().unwrap())
    }

    #[test]
    fn the_newest_picture_comes_out_at_every_point_of_short_and_long_gops() {
        for (codec, gop, b_frames) in [
            ("h264", 13, 0),
            ("h264", 50, 0),
            ("h264", 250, 0),
            ("h264", 50, 3),
            ("h265", 13, 0),
            ("h265", 50, 3),
            ("h265", 250, 0),
        ] {
            let stream = streams::Stream {
                codec,
                gop,
                b_frames,
                pictures: gop + 20,
                ..streams::Stream::default()
            };
            let (caps, units) = stream.encode();
            let gop = gop as usize;
            for count in [1, 2, 3, 4, 5, 11, gop - 1, gop, gop + 1, gop + 2, gop + 19] {
                let number = streams::newest_number(&units[..count]);
                let got = newest(&caps, &units[..count]);
                assert_eq!(
                    got,
                    (Some(number), number),
                    "{stream:?} after {count} units"
                );
            }
        }
    }

    #[test]
    fn damage_leaves_the_last_good_picture() {
        for codec in ["h264", "h265"] {
            let (caps, units) = streams::Stream {
                codec,
                ..streams::Stream::default()
            }
            .encode();
            for (at, cut) in [(9, 0), (5, 0), (1, 0), (5, 8)] {
                let mut damaged = units.clone();
                let unit = damaged[at].copy_deep().unwrap();
                damaged[at] = unit;
                let unit = damaged[at].get_mut().unwrap();
                if cut == 0 {
                    unit.map_writable().unwrap().fill(0x5a);
                } else {
                    unit.set_size(cut);
                }
                let last_good = u32::try_from(at - 1).unwrap();
                let expected = (Some(last_good), last_good);
                assert_eq!(newest(&caps, &damaged), expected, "{codec} {at} {cut}");
            }
        }
    }

    #[test]
    fn what_follows_a_loss_is_not_shown() {
        let (caps, mut units) = streams::Stream::default().encode();
        units.remove(5);
        units[5]
            .make_mut()
            .set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::DELTA_UNIT);
        assert_eq!(newest(&caps, &units), (Some(4), 4));
    }

    #[test]
    fn a_gop_without_one_good_picture_is_an_error() {
        let (caps, units) = streams::Stream::default().encode();
        let mut broken = gst::Buffer::from_slice(vec![0x5a_u8; 4000]);
        broken.get_mut().unwrap().set_pts(units[0].pts());
        let gop = ring_of(&caps, &[broken]).open_gop().unwrap();
        let outcome = newest_picture(&gop, 2, in_a_minute());
        assert!(matches!(outcome, Err(FrameError::Undecodable)));
    }

    #[test]
    fn a_deadline_ends_a_decode_with_what_there_is() {
        let (caps, units) = streams::Stream::default().encode();
        let gop = ring_of(&caps, &units).open_gop().unwrap();
        let outcome = newest_picture(&gop, 2, Instant::now());
        assert!(matches!(outcome, Err(FrameError::Undecodable)));
    }

    #[test]
    fn a_codec_without_decoder_is_named() {
        gst::init().unwrap();
        let caps = gst::Caps::builder("video/x-vp9").build();
        let gop = ring_of(&caps, &[gst::Buffer::new()]).open_gop().unwrap();
        let Err(error) = newest_picture(&gop, 2, in_a_minute()) else {
            panic!("VP9 was decoded");
        };
        assert!(error.to_string().contains("video/x-vp9"), "{error}");
    }

    #[test]
    fn nothing_is_left_of_a_decode() {
        let (caps, units) = streams::Stream::default().encode();
        let decoder = decoder_for(&caps, 2).unwrap();
        let weak = decoder.downgrade();
        let driven = Driven::start(decoder, &caps, gst::ClockTime::MAX).unwrap();
        driven.push(units[0].clone()).unwrap();
        drop(driven);
        assert!(weak.upgrade().is_none(), "the decoder lives on");
        assert!(
            units[0].is_writable(),
            "somebody still holds the access unit"
        );
    }
}
