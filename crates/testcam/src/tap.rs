//! The tap: where the access units of a stream are seen on their way out, and recorded.
//!
//! ```text
//! encoder or file ─ payloader ─ rtpbin ─ (held back until PLAY) ─ network
//!                   └ enter()            └ leave()
//! ```
//! Every access unit of a stream passes `enter`, every RTP packet passes `leave`, and whatever a
//! camera does to either (parameter sets, for one) is done at these two places.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result};
use chrono::Utc;
use gstreamer::{self as gst, prelude::*};
use parking_lot::Mutex;

use crate::{
    Fingerprint, Format, ParameterSets, Record, SentUnit, Track, VideoCodec,
    normal_form::{is_parameter_set, normalise, split_length_prefixed},
    parameter_sets,
    timeline::{tick_to_time, time_to_tick},
};

/// Pictures that may be inside an encoder at a time; far more than any has.
const MAX_EXPECTED: usize = 256;

/// Which picture has which timestamp: from the source to the tap, past the encoder.
#[derive(Clone, Default)]
pub(crate) struct Numbers(Arc<Mutex<VecDeque<(u64, u32)>>>);

impl Numbers {
    /// A picture of this presentation time and number will come.
    pub(crate) fn expect(&self, pts: gst::ClockTime, number: u32) {
        let mut expected = self.0.lock();
        if expected.len() == MAX_EXPECTED {
            expected.pop_front();
        }
        expected.push_back((tick_of(pts), number));
    }

    /// The first that was expected, with its tick.
    fn take_first(&self) -> Option<(u64, u32)> {
        self.0.lock().pop_front()
    }

    fn take(&self, pts: gst::ClockTime) -> Option<u32> {
        let mut expected = self.0.lock();
        let tick = tick_of(pts);
        let at = expected
            .iter()
            .position(|(expected, _)| *expected == tick)?;
        expected.remove(at).map(|(_, number)| number)
    }
}

/// The nearest 90 kHz tick: encoders count in frames and round to nanoseconds as they like.
fn tick_of(pts: gst::ClockTime) -> u64 {
    time_to_tick(pts.nseconds(), 90_000)
}

/// How the access units of a stream are counted.
pub(crate) enum Counting {
    /// By the picture they show.
    Pictures(Numbers),
    /// Likewise, of an encoder that keeps their order and loses their times: `avenc_mpeg4` of
    /// GStreamer 1.22 makes a time base of 0/65535 out of nanoseconds.
    PicturesInOrder(Numbers),
    /// One after the other, each as long as any other.
    Units {
        /// Number of the camera's next access unit.
        next: Arc<AtomicU32>,
        /// Access units of this run so far.
        made: AtomicU64,
        /// Samples of an access unit.
        block: u64,
    },
}

/// The tap of one stream of one run.
pub(crate) struct Tap {
    pub(crate) track: Track,
    pub(crate) run: u32,
    pub(crate) format: Format,
    pub(crate) clock_rate_hz: u32,
    pub(crate) counting: Counting,
    /// Where the parameter sets of a video stream go.
    pub(crate) parameter_sets: ParameterSets,
    pub(crate) record: Option<Record>,
    /// Entered, not left yet. A payloader pushes the packets of an access unit before it returns,
    /// so this is at most one, or what the payloader holds back to fill a packet.
    pub(crate) inside: Mutex<VecDeque<Inside>>,
}

/// An access unit inside the payloader.
pub(crate) struct Inside {
    number: u32,
    is_keyframe: bool,
    normal_form_bytes: usize,
    sha256: Fingerprint,
}

impl Tap {
    /// Watches what enters the payloader.
    ///
    /// # Errors
    /// If it is no payloader.
    pub(crate) fn watch_entry(self: &Arc<Self>, payloader: &gst::Element) -> Result<()> {
        let pad = payloader
            .static_pad("sink")
            .context("payloader without sink")?;
        let tap = Arc::clone(self);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer_mut() else {
                return gst::PadProbeReturn::Ok;
            };
            match tap.enter(pad, buffer) {
                Ok(()) => gst::PadProbeReturn::Ok,
                Err(error) => {
                    if let Some(element) = pad.parent_element() {
                        gst::element_error!(element, gst::StreamError::Format, ("{error:#}"));
                    }
                    gst::PadProbeReturn::Drop
                }
            }
        });
        Ok(())
    }

    /// Watches what leaves for the network: probes run after a blocked pad has been let go, so
    /// nothing counts as sent before a client plays.
    pub(crate) fn watch_exit(self: &Arc<Self>, rtp_src: &gst::Pad) {
        let tap = Arc::clone(self);
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        rtp_src.add_probe(kinds, move |_, info| {
            let first = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => Some(buffer.as_ref()),
                Some(gst::PadProbeData::BufferList(list)) => list.get(0),
                _ => None,
            };
            if let Some(rtp_timestamp) = first.and_then(rtp_timestamp) {
                tap.leave(rtp_timestamp);
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn enter(&self, pad: &gst::Pad, buffer: &mut gst::Buffer) -> Result<()> {
        if let Format::LengthPrefixed(codec) = self.format {
            place_parameter_sets(pad, buffer, codec, self.parameter_sets)?;
        }
        // Counted with or without a record, so that switching it on changes no number.
        let number = match &self.counting {
            Counting::Units { next, made, block } => {
                // Encoders round, and shorten the first access unit by their delay; cameras don't.
                let sample = made.fetch_add(1, Ordering::Relaxed) * block;
                let writable = buffer.make_mut();
                writable.set_pts(tick_to_time(sample, self.clock_rate_hz.into()));
                next.fetch_add(1, Ordering::Relaxed)
            }
            Counting::Pictures(numbers) => running_time(pad, buffer)
                .and_then(|at| numbers.take(at))
                .context("an access unit that belongs to no picture")?,
            Counting::PicturesInOrder(numbers) => {
                let next = numbers.take_first();
                let (tick, number) = next.context("an access unit that belongs to no picture")?;
                let event = pad.sticky_event::<gst::event::Segment>(0);
                let segment = event
                    .as_ref()
                    .and_then(|event| event.segment().downcast_ref());
                let at = tick_to_time(tick, 90_000);
                let pts = segment.and_then(|s: &gst::FormattedSegment<gst::ClockTime>| {
                    s.position_from_running_time(at)
                });
                let writable = buffer.make_mut();
                writable.set_pts(pts);
                writable.set_dts(None);
                number
            }
        };
        if self.record.is_some() {
            let normal_form = normalise(&buffer.map_readable()?, self.format)?;
            self.inside.lock().push_back(Inside {
                number,
                is_keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
                normal_form_bytes: normal_form.len(),
                sha256: Fingerprint::of_normal_form(&normal_form),
            });
        }
        Ok(())
    }

    fn leave(&self, rtp_timestamp: u32) {
        let Some(record) = &self.record else { return };
        // The first packet of an access unit takes it along; the others find nothing.
        let Some(unit) = self.inside.lock().pop_front() else {
            return;
        };
        record.add(SentUnit {
            track: self.track,
            run: self.run,
            number: unit.number,
            is_keyframe: unit.is_keyframe,
            rtp_timestamp,
            clock_rate_hz: self.clock_rate_hz,
            sent_us: Utc::now().timestamp_micros(),
            normal_form_bytes: unit.normal_form_bytes,
            sha256: unit.sha256,
        });
    }
}

/// Takes parameter sets out of an access unit, and puts those of the caps where they belong.
fn place_parameter_sets(
    pad: &gst::Pad,
    buffer: &mut gst::Buffer,
    codec: VideoCodec,
    placement: ParameterSets,
) -> Result<()> {
    let is_keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let caps = pad.current_caps().context("a stream without format")?;
    let structure = caps.structure(0).context("a stream without format")?;
    let map = buffer.map_readable()?;
    let nals = split_length_prefixed(&map)?;
    let placed = if is_keyframe && placement == ParameterSets::EveryKeyframe {
        let codec_data = structure.get::<gst::Buffer>("codec_data")?;
        let codec_data = codec_data.map_readable()?;
        let sets = parameter_sets::of_codec_data(&codec_data, codec)?;
        parameter_sets::place(&nals, &sets, codec)?
    } else if nals.iter().any(|nal| is_parameter_set(nal, codec)) {
        parameter_sets::place(&nals, &[], codec)?
    } else {
        return Ok(());
    };
    drop(map);
    let mut replaced = gst::Buffer::from_mut_slice(placed);
    let writable = replaced.get_mut().context("a new buffer is shared")?;
    buffer.copy_into(writable, gst::BUFFER_COPY_METADATA, ..)?;
    *buffer = replaced;
    Ok(())
}

/// Encoders may shift timestamps and segment alike (x264enc: by 1000 h); running time stays.
fn running_time(pad: &gst::Pad, buffer: &gst::Buffer) -> Option<gst::ClockTime> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(buffer.pts()?)
}

/// RFC 3550 §5.1: bytes 4 to 7 of the header.
fn rtp_timestamp(packet: &gst::BufferRef) -> Option<u32> {
    let mut header = [0; 8];
    packet.copy_to_slice(0, &mut header).ok()?;
    header.last_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
