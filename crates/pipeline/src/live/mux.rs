//! One span of the live view: access units in, MPEG-TS segments out.
//!
//! ```text
//! appsrc(video) ─ h264parse ─ caps(byte-stream) ─ hlssink3 ─▶ segments
//! appsrc(audio) ───────────────────────────────────┘
//! ```
//!
//! A pipeline of its own: whatever happens in it, the camera's pipeline does not notice.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use bytes::Bytes;
use dayreel_core::MediaTime;
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_app as gst_app;
use parking_lot::Mutex;
use tracing::warn;

use super::{
    parameter_sets::ParameterSets,
    split::split_early,
    window::{Fragment, TARGET_S},
};
use crate::{Error, track::pts_to_90k};

/// A segment that becomes larger ends the span: 10 s at 25 Mbit/s.
const MOST_SEGMENT_BYTES: usize = 32 << 20;

/// More that waits for the muxer ends the span.
const MOST_QUEUED_BYTES: u64 = 32 << 20;

/// A span may end with a keyframe alone in its segment, for which hlssink3 says 0. How long that picture is shown nobody
/// knows, since none follows it: as long as most cameras show theirs.
const ALONE: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// What is left comes out within that.
const FINISH: Duration = Duration::from_secs(2);

/// Decode times lie before the first presentation time by less than that. Times begin here: a
/// span's are as small as hlssink3 and players expect them, whose 33 bits hold 26 hours
/// (ISO/IEC 13818-1 §2.4.3.7).
const LEAD: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// A running muxer.
pub(super) struct Mux {
    pipeline: gst::Pipeline,
    video: gst_app::AppSrc,
    parameter_sets: Option<ParameterSets>,
    sound: Option<gst_app::AppSrc>,
    /// Subtracted from all times.
    origin: gst::ClockTime,
    failed: Arc<AtomicBool>,
    ended: Receiver<()>,
}

/// The segment that is being written: its location and bytes.
type Open = Arc<Mutex<Vec<(String, Part)>>>;

impl Mux {
    /// Starts a span of these formats, whose first picture is shown at `start`, after GOPs that were no longer than
    /// `longest`. `sink` is called by a streaming thread for each complete segment.
    ///
    /// # Errors
    /// An element is missing or does not fit.
    pub(super) fn start(
        video: &gst::Caps,
        sound: Option<&gst::Caps>,
        start: gst::ClockTime,
        longest: gst::ClockTime,
        sink: impl Fn(Fragment) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let pipeline = gst::Pipeline::new();
        let (parser, stream) = match video.structure(0).map(|caps| caps.name().as_str()) {
            Some("video/x-h265") => ("h265parse", "video/x-h265"),
            _ => ("h264parse", "video/x-h264"),
        };
        let parser = gst::ElementFactory::make(parser)
            // Parameter sets before every keyframe: players begin at any. Before which of them it puts none, we do.
            .property("config-interval", -1)
            .build()?;
        let stream = gst::Caps::builder(stream)
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .build();
        let filter = gst::ElementFactory::make("capsfilter")
            .property("caps", stream)
            .build()?;
        let hls = gst::ElementFactory::make("hlssink3")
            .property("target-duration", u32::try_from(TARGET_S).unwrap_or(1))
            // Cameras cannot be asked for keyframes this way.
            .property("send-keyframe-requests", false)
            .build()?;
        let source = source(video);
        pipeline.add_many([source.upcast_ref(), &parser, &filter, &hls])?;
        gst::Element::link_many([source.upcast_ref(), &parser, &filter])?;
        filter.link_pads(Some("src"), &hls, Some("video"))?;
        let sound = sound.map(self::source);
        if let Some(sound) = &sound {
            pipeline.add(sound)?;
            sound.link_pads(Some("src"), &hls, Some("audio"))?;
        }
        split_early(&hls, longest)?;
        let origin = start.saturating_sub(LEAD);
        let open = Open::default();
        lend_streams(&hls, &open);
        let failed = Arc::new(AtomicBool::new(false));
        let ended = watch(&pipeline, &failed, origin, open, sink)?;
        let mux = Self {
            pipeline,
            video: source,
            parameter_sets: ParameterSets::of(video),
            sound,
            origin,
            failed,
            ended,
        };
        if mux.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(glib::bool_error!("the pipeline of the live view does not start").into());
        }
        Ok(mux)
    }

    pub(super) const fn has_sound(&self) -> bool {
        self.sound.is_some()
    }

    pub(super) fn push_picture(&self, unit: &gst::Buffer) {
        let with = self.parameter_sets.as_ref().map(|sets| sets.with(unit));
        match with.unwrap_or_else(|| Ok(unit.copy())) {
            Ok(unit) => self.push(&self.video, unit),
            Err(_) => self.failed.store(true, Ordering::Relaxed),
        }
    }

    pub(super) fn push_sound(&self, unit: &gst::Buffer) {
        if let Some(sound) = &self.sound {
            self.push(sound, unit.copy());
        }
    }

    /// Pushes a copy, which shares the bytes; its times are its own.
    fn push(&self, source: &gst_app::AppSrc, mut unit: gst::Buffer) {
        let times = unit.make_mut();
        times.set_pts(times.pts().map(|pts| pts.saturating_sub(self.origin)));
        times.set_dts(times.dts().map(|dts| dts.saturating_sub(self.origin)));
        if source.push_buffer(unit).is_err() || source.current_level_bytes() > MOST_QUEUED_BYTES {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it still makes segments.
    pub(super) fn is_well(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
    }

    /// Completes the last segment and waits for it.
    pub(super) fn finish(self) {
        if !self.is_well() {
            return;
        }
        let sources = [Some(&self.video), self.sound.as_ref()];
        for source in sources.into_iter().flatten() {
            // It has failed: then nothing more comes.
            let _ = source.end_of_stream();
        }
        if self.ended.recv_timeout(FINISH).is_err() {
            warn!("the muxer of a live view did not complete its last segment");
        }
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        // It does not matter any more.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn source(caps: &gst::Caps) -> gst_app::AppSrc {
    gst_app::AppSrc::builder()
        .caps(caps)
        .format(gst::Format::Time)
        // Bounded by the sender, which must not wait.
        .max_bytes(0)
        .build()
}

/// Gives hlssink3 memory to write to, where it would open files.
fn lend_streams(hls: &gst::Element, open: &Open) {
    let open = Arc::clone(open);
    hls.connect("get-fragment-stream", false, move |values| {
        let location = values.get(1)?.get::<String>().ok()?;
        let part = Part::default();
        open.lock().push((location, part.clone()));
        let stream = gio::WriteOutputStream::new(part);
        Some(stream.upcast::<gio::OutputStream>().to_value())
    });
    // Its playlist begins at 0 with every span, says 1 s whatever there is, and knows no
    // discontinuity: ours is made of the window.
    hls.connect("get-playlist-stream", false, |_| {
        let stream = gio::WriteOutputStream::new(io::sink());
        Some(stream.upcast::<gio::OutputStream>().to_value())
    });
    // The window has its own bound.
    hls.connect("delete-fragment", false, |_| Some(true.to_value()));
}

/// Passes on complete segments, notes errors, tells the end.
fn watch(
    pipeline: &gst::Pipeline,
    failed: &Arc<AtomicBool>,
    origin: gst::ClockTime,
    open: Open,
    sink: impl Fn(Fragment) + Send + Sync + 'static,
) -> Result<Receiver<()>, Error> {
    let (ended_sender, ended) = channel();
    let failed = Arc::clone(failed);
    let is_first = AtomicBool::new(true);
    let bus = pipeline
        .bus()
        .ok_or_else(|| glib::bool_error!("a pipeline without a bus"))?;
    bus.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Error(error) => {
                warn!(error = %error.error(), debug = ?error.debug(), "the muxer of a live view fails");
                failed.store(true, Ordering::Relaxed);
                // Nobody waits any more if this fails.
                let _ = ended_sender.send(());
            }
            gst::MessageView::Eos(_) => {
                let _ = ended_sender.send(());
            }
            gst::MessageView::Element(element) => {
                if let Some(added) = element.structure().and_then(Added::of)
                    && let Some(bytes) = take(&open, &added.location)
                {
                    let end = origin + added.running_time + added.shown_for();
                    let start_90k = pts_to_90k(origin + added.running_time);
                    let duration_90k = pts_to_90k(end).saturating_sub(start_90k);
                    sink(Fragment {
                        bytes,
                        start: MediaTime::from_ticks(start_90k),
                        duration_90k: u32::try_from(duration_90k).unwrap_or(u32::MAX),
                        discontinuity: is_first.swap(false, Ordering::Relaxed),
                    });
                }
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
    Ok(ended)
}

/// What hlssink3 says of a complete segment.
struct Added {
    location: String,
    running_time: gst::ClockTime,
    duration: gst::ClockTime,
}

impl Added {
    fn of(message: &gst::StructureRef) -> Option<Self> {
        if message.name() != "hls-segment-added" {
            return None;
        }
        Some(Self {
            location: message.get("location").ok()?,
            running_time: message.get("running-time").ok()?,
            duration: message.get("duration").ok()?,
        })
    }

    fn shown_for(&self) -> gst::ClockTime {
        match self.duration {
            gst::ClockTime::ZERO => ALONE,
            duration => duration,
        }
    }
}

/// The bytes of the segment at `location`; those before it are given up.
fn take(open: &Open, location: &str) -> Option<Bytes> {
    let mut open = open.lock();
    let at = open.iter().position(|(one, _)| one == location)?;
    let (_, part) = open.drain(..=at).next_back()?;
    Some(std::mem::take(&mut *part.0.lock()).into())
}

/// The bytes of a segment while they are written.
#[derive(Clone, Default)]
struct Part(Arc<Mutex<Vec<u8>>>);

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut part = self.0.lock();
        if part.len() + bytes.len() > MOST_SEGMENT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        part.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_a_segment_of_a_keyframe_alone_lasted_0_s() {
        let added = |ms| Added {
            location: String::new(),
            running_time: LEAD,
            duration: gst::ClockTime::from_mseconds(ms),
        };
        assert_eq!(added(0).shown_for(), ALONE);
        assert_eq!(added(1).shown_for().mseconds(), 1);
    }
}
