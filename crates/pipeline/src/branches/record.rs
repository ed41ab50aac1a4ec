//! The record branch: CMAF chunks of one track, on their way to the archive.
//!
//! ```text
//! tee ─ cmafmux(chunks) ─ appsink ─ cutter(segments) ─▶ feed of the writer
//! ```
//!
//! The muxer queues and has a thread of its own, so no queue element stands before or after it.
//!
//! It makes a fragment of each GOP, and [`Cutter`] makes segments of these. Told the length of a
//! segment, the muxer (0.14.5) stops for ever where a chunk that is due before the end of the segment
//! reaches over it, because its last picture lasts until then, and a keyframe follows: at the first
//! segment with a picture every 2 s, after some hours with keyframes at any time, and after a loss
//! just before a keyframe. Where no fragment has to be longer than a chunk there is no such place.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

use bytes::Bytes;
use dayreel_core::TICKS_PER_SECOND;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use parking_lot::Mutex;

use super::Branch;
use crate::{Error, writer::Feed};

#[cfg(test)]
mod tests;

/// Length of a chunk: what a crash can lose, and how far live playback is behind at least.
const CHUNK: gst::ClockTime = gst::ClockTime::from_mseconds(500);
/// So much before its target a segment may end: a slewed or rounded clock must not make it miss
/// the keyframe it was meant to end at.
const EARLY: Duration = Duration::from_millis(230);

/// How a track is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordSettings {
    /// Target length of a segment.
    pub(crate) segment: Duration,
}

/// Where the chunks go, and what is told when the last of them has been fed.
pub(crate) struct RecordSink {
    pub(crate) feed: Feed,
    /// Counts them.
    pub(crate) made: Arc<AtomicU64>,
    pub(crate) ended: Sender<()>,
}

/// Adds the branch behind `tee`, which carries parsed access units of one track with DTS and PTS in
/// nanoseconds since the Unix epoch.
///
/// # Errors
/// An element is missing, or the pads do not fit.
pub(crate) fn attach(
    tee: &gst::Element,
    settings: &RecordSettings,
    sink: RecordSink,
) -> Result<Branch, Error> {
    let mux = gst::ElementFactory::make("cmafmux")
        .property("chunk-duration", CHUNK.nseconds())
        .property("fragment-duration", CHUNK.nseconds())
        .property_from_str("header-update-mode", "caps")
        // Cameras cannot be asked for keyframes this way.
        .property("send-force-keyunit", false)
        .build()?;
    let entry = mux
        .static_pad("sink")
        .ok_or_else(|| gst::glib::bool_error!("cmafmux has no sink pad"))?;
    entry.set_property(
        "trak-timescale",
        u32::try_from(TICKS_PER_SECOND).unwrap_or(u32::MAX),
    );
    never_time_out(&entry);
    close_last_fragment(&entry);

    let appsink = gst_app::AppSink::builder()
        .sync(false)
        .async_(false)
        .qos(false)
        .wait_on_eos(false)
        .enable_last_sample(false)
        .buffer_list(true)
        .build();
    appsink.set_callbacks(callbacks(sink, Cutter::new(settings.segment)));
    let elements = vec![mux, appsink.upcast()];
    let pipeline = tee
        .parent()
        .and_downcast::<gst::Bin>()
        .ok_or_else(|| gst::glib::bool_error!("the tee is in no pipeline"))?;
    pipeline.add_many(&elements)?;
    gst::Element::link_many(&elements)?;
    Branch::link(tee, elements, entry)
}

/// In a live pipeline the muxer would wake up to make chunks of nothing. It has one track: there is
/// nothing it could wait for in vain.
fn never_time_out(entry: &gst::Pad) {
    entry.add_probe(gst::PadProbeType::QUERY_UPSTREAM, |_, info| {
        match info.query_mut().map(|query| query.view_mut()) {
            Some(gst::QueryViewMut::Latency(latency)) => {
                latency.set(false, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// Lets the muxer end its fragments before the stream ends. At the end (0.14.5) it takes the end of a
/// fragment for that of a chunk, and loses a GOP that begins just there. Empty access units that begin
/// another GOP come before the end; the muxer records none of these. The second tells it that there
/// is nothing to be shown before the first.
fn close_last_fragment(entry: &gst::Pad) {
    let end = Mutex::new(None::<End>);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    entry.add_probe(kinds, move |entry, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(unit)) => {
                let mut end = end.lock();
                let of_unit = End::of(unit);
                *end = Some(End {
                    pts: end.and_then(|end| end.pts).max(of_unit.pts),
                    ..of_unit
                });
            }
            Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::Eos => {
                let Some(end) = end.lock().take() else {
                    return gst::PadProbeReturn::Ok;
                };
                for _ in 0..2 {
                    // Refused where the pipeline is stopped already: then nothing is made any more.
                    let _ = entry.chain(nothing_at(end));
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Where access units end, as they are shown and as they are decoded: earlier, where pictures refer to later ones.
#[derive(Clone, Copy)]
struct End {
    pts: Option<gst::ClockTime>,
    dts: Option<gst::ClockTime>,
}

impl End {
    fn of(unit: &gst::BufferRef) -> Self {
        let end = |start: Option<gst::ClockTime>| start.opt_add(unit.duration()).or(start);
        Self {
            pts: end(unit.pts()),
            dts: end(unit.dts()),
        }
    }
}

/// An access unit of nothing.
fn nothing_at(end: End) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    let gap = buffer.make_mut();
    gap.set_pts(end.pts);
    gap.set_dts(end.dts);
    gap.set_flags(gst::BufferFlags::GAP | gst::BufferFlags::DROPPABLE);
    buffer
}

fn callbacks(sink: RecordSink, mut cutter: Cutter) -> gst_app::AppSinkCallbacks {
    let RecordSink {
        mut feed,
        made,
        ended,
    } = sink;
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |appsink| {
            let sample = appsink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let list = sample.buffer_list_owned().ok_or(gst::FlowError::Error)?;
            feed_list(&mut feed, &mut cutter, &list).ok_or(gst::FlowError::Error)?;
            made.fetch_add(1, Ordering::Relaxed);
            Ok(gst::FlowSuccess::Ok)
        })
        .eos(move |_| {
            // Nobody waits any more if this fails.
            let _ = ended.send(());
        })
        .build()
}

/// Feeds one buffer list of the muxer: `[ftyp moov]`, `[styp] moof` and the head of `mdat`, access
/// units. `None` if it is no such list.
fn feed_list(feed: &mut Feed, cutter: &mut Cutter, list: &gst::BufferList) -> Option<()> {
    let mut buffers = list.iter_owned();
    let mut head = buffers.next()?;
    if head.flags().contains(gst::BufferFlags::DISCONT) {
        cutter.cut();
        feed.init(bytes_of(head)?);
        head = buffers.next()?;
    }
    if !head.flags().contains(gst::BufferFlags::HEADER) {
        return None;
    }
    let begins_fragment = !head.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let begins_segment = begins_fragment && cutter.begins_segment(head.pts()?);
    let mut parts = Vec::with_capacity(list.len());
    let head = bytes_of(head)?;
    parts.push(match begins_fragment && !begins_segment {
        true => without_styp(head),
        false => head,
    });
    for unit in buffers {
        parts.push(bytes_of(unit)?);
    }
    feed.chunk(begins_segment, parts);
    Some(())
}

/// Which fragments of the muxer begin a segment: the first at or after the target length.
struct Cutter {
    /// Length from which on a segment ends with its GOP.
    least: gst::ClockTime,
    /// Presentation time of the segment's first access unit; `None`: the next fragment begins one.
    start: Option<gst::ClockTime>,
}

impl Cutter {
    fn new(target: Duration) -> Self {
        let least = target.saturating_sub(EARLY).as_nanos();
        Self {
            least: gst::ClockTime::from_nseconds(u64::try_from(least).unwrap_or(u64::MAX - 1)),
            start: None,
        }
    }

    /// The next fragment begins a segment, whatever its time.
    fn cut(&mut self) {
        self.start = None;
    }

    fn begins_segment(&mut self, pts: gst::ClockTime) -> bool {
        let goes_on = self
            .start
            .is_some_and(|start| start <= pts && pts - start < self.least);
        if !goes_on {
            self.start = Some(pts);
        }
        !goes_on
    }
}

/// A chunk's head without the box that says that a segment begins (ISO/IEC 14496-12 §8.16.2).
fn without_styp(head: Bytes) -> Bytes {
    match head.first_chunk() {
        Some([a, b, c, d, b's', b't', b'y', b'p']) => {
            let styp_bytes = u32::from_be_bytes([*a, *b, *c, *d]);
            let rest = usize::try_from(styp_bytes).unwrap_or(usize::MAX);
            head.slice(rest.min(head.len())..)
        }
        _ => head,
    }
}

/// The bytes of a buffer, shared with it.
fn bytes_of(buffer: gst::Buffer) -> Option<Bytes> {
    Some(Bytes::from_owner(
        buffer.into_mapped_buffer_readable().ok()?,
    ))
}
