//! One track of a camera, from its RTP packets to its tee.
//!
//! ```text
//! video: depay ─ caps(length-prefixed access units) ─ parse ─ [stamp] ─ timestamper ─ tee
//! audio: depay ─ aacparse ─ [stamp] ─ tee
//! other: depay ─ decode ─ convert ─ resample ─ encode(AAC) ─ aacparse ─ [stamp] ─ tee
//!        depay ─ … ─ encode(H.264) ─ h264parse ─ [stamp] ─ timestamper ─ tee    (transcode.rs)
//! ```
//!
//! The stamp is a probe that puts media time into every access unit. It stands before the
//! timestamper, so that decode times are made from good presentation times. The depayloader keeps
//! parameter sets out of the access units: they are in the caps, and change with them.

mod turns;

use std::sync::{Arc, Weak};

use dayreel_config::OnLoss;
use dayreel_core::{AudioFormat, GapCause, MediaTime, TrackFormat, TrackKind, VideoFormat};
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_pbutils as gst_pbutils;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::{
    Error,
    offer::{Payload, Sound},
    panics,
    session::{Event, Parts},
    track::turns::{Turn, Turns},
    transcode::{self, Entries},
};

/// So long before its first access unit the segment of a span starts.
const SEGMENT_EARLY: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// Builds the track for packets of `caps` and hangs its branches on it. Returns where they go in.
///
/// # Errors
/// Elements do not fit or do not start.
pub(crate) fn build(
    pipeline: &gst::Pipeline,
    caps: &gst::CapsRef,
    parts: &Arc<Parts>,
) -> Result<gst::Pad, Error> {
    let Some(payload) = Payload::of(caps) else {
        return Err(Error::UnsupportedVideo(caps.to_string()));
    };
    let kind = payload.kind();
    if let Some(name) = payload.converted_from() {
        parts.shared.note_converted_from(kind, name);
    }
    let tee = gst::ElementFactory::make("tee").build()?;
    let Chain {
        mut elements,
        parser,
        late,
        entries,
    } = chain(payload, caps, parts)?;
    elements.push(tee.clone());
    pipeline.add_many(&elements)?;
    gst::Element::link_many(&elements)?;
    stamp(kind, &parser, late, entries, parts)?;
    renew_recording(kind, &tee, parts)?;
    parts.attach(kind, &tee)?;
    for element in elements.iter().rev() {
        element.sync_state_with_parent()?;
    }
    let depay = elements.first().and_then(|depay| depay.static_pad("sink"));
    depay.ok_or_else(|| glib::bool_error!("the depayloader has no sink pad").into())
}

/// The elements up to the tee.
struct Chain {
    elements: Vec<gst::Element>,
    /// The last of them that gives access units.
    parser: gst::Element,
    /// By how much the content of an access unit is later than its timestamp says.
    late: gst::ClockTime,
    /// When the pictures came that are converted.
    entries: Option<Entries>,
}

fn chain(payload: Payload, caps: &gst::CapsRef, parts: &Arc<Parts>) -> Result<Chain, Error> {
    let video = |depay, caps: gst::Caps, parse, timestamper| {
        let parser = make(parse)?;
        Ok(Chain {
            elements: vec![
                make(depay)?,
                filter(caps)?,
                parser.clone(),
                make(timestamper)?,
            ],
            parser,
            late: gst::ClockTime::ZERO,
            entries: None,
        })
    };
    let audio = |depay| {
        let parser = make("aacparse")?;
        Ok(Chain {
            elements: vec![make(depay)?, parser.clone()],
            parser,
            late: gst::ClockTime::ZERO,
            entries: None,
        })
    };
    let units = |name: &str, format: &str| {
        gst::Caps::builder(name)
            .field("stream-format", format)
            .field("alignment", "au")
            .build()
    };
    match payload {
        Payload::H264 => video(
            "rtph264depay",
            units("video/x-h264", "avc"),
            "h264parse",
            "h264timestamper",
        ),
        Payload::H265 => video(
            "rtph265depay",
            units("video/x-h265", "hvc1"),
            "h265parse",
            "h265timestamper",
        ),
        Payload::AacGeneric => audio("rtpmp4gdepay"),
        Payload::AacLatm => audio("rtpmp4adepay"),
        Payload::OtherVideo(video) => {
            let (mut elements, parser, entries) = transcode::to_h264(video, parts)?;
            elements.push(make("h264timestamper")?);
            Ok(Chain {
                elements,
                parser,
                late: gst::ClockTime::ZERO,
                entries: Some(entries),
            })
        }
        Payload::Sound(sound) => to_aac(sound, caps),
    }
}

/// Samples of an AAC access unit, ISO/IEC 14496-3 §4.5.2.1.1; the encoder's first one comes before
/// the sound.
const AAC_SAMPLES: u64 = 1024;
/// Sound up to this rate is speech: G.711, G.726.
const SPEECH_HZ: u64 = 16_000;

/// Sound that players do not know, as AAC: speech with 16 kHz and 32 kbit/s, anything else with
/// 48 kHz and 64 kbit/s a channel.
fn to_aac(sound: Sound, caps: &gst::CapsRef) -> Result<Chain, Error> {
    let (depay, decode) = match sound {
        Sound::Mulaw => ("rtppcmudepay", Some("mulawdec")),
        Sound::Alaw => ("rtppcmadepay", Some("alawdec")),
        Sound::G726 => ("rtpg726depay", Some("avdec_g726")),
        Sound::L16 => ("rtpL16depay", None),
        Sound::Opus => ("rtpopusdepay", Some("opusdec")),
    };
    let field = |name| {
        caps.structure(0)
            .and_then(|fields| fields.get::<i32>(name).ok())
    };
    let rate_hz = field("clock-rate").and_then(|rate| u64::try_from(rate).ok());
    let is_speech = rate_hz.is_none_or(|rate| rate <= SPEECH_HZ);
    let (rate_hz, bitrate_bps): (i32, i32) = match is_speech {
        true => (16_000, 32_000),
        false => (48_000, 64_000),
    };
    let raw = gst::Caps::builder("audio/x-raw")
        .field("rate", rate_hz)
        .field("channels", gst::IntRange::new(1, 2))
        .build();
    let encoder = gst::ElementFactory::make("avenc_aac")
        .property("bitrate", bitrate_bps)
        // Half the work of the default and no difference to be heard in a camera's sound.
        .property_from_str("aac-coder", "fast")
        .build()?;
    let parser = make("aacparse")?;
    let mut elements = vec![make(depay)?];
    elements.extend(decode.map(make).transpose()?);
    elements.extend([
        make("audioconvert")?,
        make("audioresample")?,
        filter(raw)?,
        encoder,
        parser.clone(),
    ]);
    let late = gst::ClockTime::SECOND
        .mul_div_floor(AAC_SAMPLES, rate_hz.unsigned_abs().into())
        .unwrap_or(gst::ClockTime::ZERO);
    Ok(Chain {
        elements,
        parser,
        late,
        entries: None,
    })
}

fn make(name: &str) -> Result<gst::Element, glib::BoolError> {
    gst::ElementFactory::make(name).build()
}

/// Lets the timestampers of a pipeline give what they hold until later pictures have come, where none come any more.
/// Their tracks end.
pub(crate) fn drain(pipeline: &gst::Pipeline) {
    // By its type: `cmafmux`, which is linked in, crashes who asks it for its factory (gstreamer 0.24.5).
    let is_timestamper = |element: &&gst::Element| element.type_().name().ends_with("Timestamper");
    for element in pipeline.children().iter().filter(is_timestamper) {
        if let Some(entry) = element.static_pad("sink") {
            // Refused where nothing has come yet.
            entry.send_event(gst::event::Eos::new());
        }
    }
}

fn filter(caps: gst::Caps) -> Result<gst::Element, glib::BoolError> {
    gst::ElementFactory::make("capsfilter")
        .property("caps", caps)
        .build()
}

/// Puts the probe on the parser's source pad. Access units are `late` against their timestamps.
fn stamp(
    kind: TrackKind,
    parser: &gst::Element,
    late: gst::ClockTime,
    entries: Option<Entries>,
    parts: &Arc<Parts>,
) -> Result<(), Error> {
    let pad = parser
        .static_pad("src")
        .ok_or_else(|| glib::bool_error!("the parser has no source pad"))?;
    // One streaming thread calls it: the lock is never waited for.
    let stamper = Mutex::new(Stamper {
        kind,
        late,
        entries,
        on_loss: parts.shared.settings.on_loss,
        is_hurt: false,
        arriving: gst::FormattedSegment::new(),
        parts: Arc::downgrade(parts),
        span: None,
        segment: gst::FormattedSegment::new(),
    });
    panics::add_probe(
        &pad,
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
        Arc::downgrade(parts),
        move |pad, info| {
            let (verdict, begins_span) = stamper.lock().step(info);
            if begins_span {
                // This probe makes it the right one. It goes before the access unit.
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                pad.push_event(gst::event::Segment::new(&segment));
            }
            verdict
        },
    );
    Ok(())
}

/// The state of a track's probe. Used by its streaming thread.
struct Stamper {
    kind: TrackKind,
    late: gst::ClockTime,
    /// Of pictures that are converted.
    entries: Option<Entries>,
    on_loss: OnLoss,
    /// Packets are missing since the last keyframe.
    is_hurt: bool,
    /// What the timestamps mean that arrive: x264enc shifts them by up to 1000 h, and the segment
    /// with them.
    arriving: gst::FormattedSegment<gst::ClockTime>,
    parts: Weak<Parts>,
    span: Option<u32>,
    /// Running time is media time in every segment, but each span has another one: it makes a
    /// timestamper let go of what it holds, and tells the tee that a span begins.
    segment: gst::FormattedSegment<gst::ClockTime>,
}

impl Stamper {
    /// What becomes of the buffer or event (`Handled`: nothing; of what is dropped GStreamer 1.22
    /// complains that the bindings have let go of it already), and whether a new segment has to go before it.
    fn step(&mut self, info: &mut gst::PadProbeInfo) -> (gst::PadProbeReturn, bool) {
        let Some(parts) = self.parts.upgrade().filter(|parts| !parts.is_over()) else {
            return (gst::PadProbeReturn::Handled, false);
        };
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(unit)) => self.unit(unit, &parts),
            // Its times are not media time: a muxer would wait for what is between.
            Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::Gap => {
                (gst::PadProbeReturn::Handled, false)
            }
            Some(gst::PadProbeData::Event(event)) => {
                self.event(event, &parts);
                (gst::PadProbeReturn::Ok, false)
            }
            _ => (gst::PadProbeReturn::Ok, false),
        }
    }

    fn unit(&mut self, unit: &mut gst::Buffer, parts: &Parts) -> (gst::PadProbeReturn, bool) {
        if self.is_damaged(unit.flags()) {
            parts.shared.note_damaged();
            return (gst::PadProbeReturn::Handled, false);
        }
        let pts = unit.pts().map(|pts| self.running_time(pts));
        let pts_90k = pts.map(pts_to_90k);
        let now = parts.shared.arrival();
        let arrival = self
            .entries
            .as_ref()
            .zip(pts)
            .and_then(|(entries, pts)| entries.take(pts))
            .map_or(now, |steady_90k| now.at(steady_90k));
        let Some(stamp) = parts.shared.stamp(self.kind, pts_90k, arrival) else {
            return (gst::PadProbeReturn::Handled, false);
        };
        let pts = media_to_pts(stamp.media);
        let before = self.span.replace(stamp.span);
        let begins_span = before.is_some_and(|span| span != stamp.span);
        if begins_span {
            // Decode times may be a little before the first presentation time.
            let start = pts.saturating_sub(SEGMENT_EARLY);
            self.segment.set_start(start);
            self.segment.set_base(start);
            self.segment.set_time(start);
        }
        let is_keyframe = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if parts
            .shared
            .note(self.kind, stamp.media, unit.size(), is_keyframe)
        {
            parts.reporter.report(Event::Unit);
        }
        let unit = unit.make_mut();
        unit.set_pts(pts);
        // A parser's guess would contradict the new time.
        unit.set_dts(gst::ClockTime::NONE);
        // The muxer ends a segment where its last access unit does or the next begins, whichever is
        // later: that has to be the next, however much the media clock slews.
        // A parser takes the length from a frame rate, which may be made up.
        let usual = media_to_pts(MediaTime::from_ticks(stamp.step_90k));
        unit.set_duration(unit.duration().unwrap_or(usual).min(usual) * 63 / 64);
        (gst::PadProbeReturn::Ok, begins_span)
    }

    /// Whether an access unit is to be left out because packets are missing for it, or for one before
    /// that it may refer to. Depayloaders mark the first unit behind a hole as discontinuous, also
    /// behind a jitter buffer.
    fn is_damaged(&mut self, flags: gst::BufferFlags) -> bool {
        if self.on_loss == OnLoss::Keep || self.kind == TrackKind::Audio {
            return false;
        }
        let is_first = self.span.is_none();
        if flags.contains(gst::BufferFlags::DISCONT) {
            self.is_hurt = !is_first;
        } else if !flags.contains(gst::BufferFlags::DELTA_UNIT) {
            self.is_hurt = false;
        }
        self.is_hurt
    }

    /// When the content of an access unit with this timestamp was captured, in running time.
    fn running_time(&self, pts: gst::ClockTime) -> gst::ClockTime {
        let base = self.arriving.base().unwrap_or(gst::ClockTime::ZERO);
        let start = self.arriving.start().unwrap_or(gst::ClockTime::ZERO);
        (pts + base).saturating_sub(start + self.late)
    }

    fn event(&mut self, event: &mut gst::Event, parts: &Parts) {
        match event.view() {
            // Media time is absolute: running time has to be the same as the timestamps.
            gst::EventView::Segment(segment) => {
                if let Some(arriving) = segment.segment().downcast_ref() {
                    self.arriving = arriving.clone();
                }
                *event = gst::event::Segment::new(&self.segment);
            }
            gst::EventView::Caps(caps) => match format_of(self.kind, caps.caps()) {
                Some(format) => parts.shared.note_format(format),
                None => warn!(camera = %parts.shared.settings.id, "unclear format {}", caps.caps()),
            },
            _ => {}
        }
    }
}

/// Lets the recording of a track begin anew where it has to; see [`Turn`]. The probe stands on the tee,
/// behind whatever the timestamper still held of the span before.
fn renew_recording(kind: TrackKind, tee: &gst::Element, parts: &Arc<Parts>) -> Result<(), Error> {
    let pad = tee
        .static_pad("sink")
        .ok_or_else(|| glib::bool_error!("the tee has no sink pad"))?;
    let parts = Arc::downgrade(parts);
    let tee = tee.downgrade();
    let turns = Mutex::new(Turns::default());
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    panics::add_probe(&pad, kinds, parts.clone(), move |_, info| {
        let Some((parts, tee)) = parts.upgrade().zip(tee.upgrade()) else {
            return gst::PadProbeReturn::Ok;
        };
        let Some(turn) = turns.lock().step(info, parts.made(kind)) else {
            return gst::PadProbeReturn::Ok;
        };
        let camera = &parts.shared.settings.id;
        match turn {
            Turn::Span => {
                info!(%camera, track = %kind, "a new span begins");
                parts.shared.writer.interrupted(GapCause::Clock);
                if kind == TrackKind::Video {
                    parts.shared.events.span(GapCause::Clock);
                }
            }
            Turn::Format => info!(%camera, track = %kind, "the format changes"),
            Turn::Stuck => {
                warn!(%camera, track = %kind, "the muxer makes nothing any more: another takes its place");
            }
        }
        if let Err(error) = parts.renew(kind, &tee) {
            parts.reporter.report(Event::Failed(error));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Nanoseconds to the nearest tick: exact for what once was a 90 kHz RTP time.
pub(crate) fn pts_to_90k(pts: gst::ClockTime) -> u64 {
    let ticks_90k = u128::from(pts.nseconds()) * 9 + 50_000;
    u64::try_from(ticks_90k / 100_000).unwrap_or(u64::MAX)
}

/// Ticks to the nanosecond above, which a muxer that rounds down turns into the same tick.
pub(crate) fn media_to_pts(media: MediaTime) -> gst::ClockTime {
    let ns = (u128::from(media.ticks()) * 100_000).div_ceil(9);
    gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(u64::MAX - 1))
}

fn format_of(kind: TrackKind, caps: &gst::CapsRef) -> Option<TrackFormat> {
    let codec = gst_pbutils::functions::codec_utils_caps_get_mime_codec(caps).ok()?;
    let fields = caps.structure(0)?;
    let number = |name| {
        fields
            .get::<i32>(name)
            .ok()
            .and_then(|n| u32::try_from(n).ok())
    };
    Some(match kind {
        TrackKind::Video | TrackKind::Preview => TrackFormat::Video(VideoFormat {
            codec: codec.into(),
            width: number("width")?,
            height: number("height")?,
        }),
        TrackKind::Audio => TrackFormat::Audio(AudioFormat {
            codec: codec.into(),
            sample_rate_hz: number("rate")?,
            channels: number("channels")?,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_survive_the_way_through_nanoseconds() {
        for ticks_90k in (161_582_704_650_017..161_582_704_650_117).chain(0..100) {
            let pts = media_to_pts(MediaTime::from_ticks(ticks_90k));
            assert_eq!(pts_to_90k(pts), ticks_90k);
            let muxed = pts.nseconds().mul_div_floor(90_000, 1_000_000_000).unwrap();
            assert_eq!(muxed, ticks_90k);
        }
    }
}
