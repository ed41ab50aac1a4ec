//! The record branch: CMAF chunks of one track, on their way to the archive.
//!
//! ```text
//! tee ─ cutter ─ cmafmux ─ appsink ─▶ feed of the writer
//! ```
//!
//! The muxer queues and has a thread of its own, so no queue element stands before or after it.
//!
//! What it makes of which access units is decided before it, by [`Cutter`], and told it by events (`manual-split`).
//! Left to itself (0.14.5), it stops for ever where a chunk that is due before the end of a segment reaches over it,
//! because its last picture lasts until then, and a keyframe follows: at the first segment with a picture
//! every 2 s, after some hours with keyframes at any time, and after a loss just before a keyframe. And its chunks are
//! of any length at the end of a GOP.

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
use crate::{Error, panics, writer::Feed};

mod cuts;
#[cfg(test)]
mod tests;

pub(crate) use cuts::Rhythm;
use cuts::{CHUNK, Cut, Cutter, Unit};

/// How a track is recorded.
#[derive(Clone, Debug)]
pub(crate) struct RecordSettings {
    /// Target length of a segment.
    pub(crate) segment: Duration,
    /// Of the track, as it was last recorded.
    pub(crate) rhythm: Rhythm,
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
    settings: RecordSettings,
    sink: RecordSink,
) -> Result<Branch, Error> {
    let mux = gst::ElementFactory::make("cmafmux")
        .property("manual-split", true)
        // It takes these for its latency only.
        .property("chunk-duration", CHUNK.nseconds())
        .property("fragment-duration", CHUNK.nseconds())
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
    cut(&entry, Cutter::new(settings.segment, settings.rhythm));

    let appsink = gst_app::AppSink::builder()
        .sync(false)
        .async_(false)
        .qos(false)
        .wait_on_eos(false)
        .enable_last_sample(false)
        .buffer_list(true)
        .build();
    appsink.set_callbacks(callbacks(sink));
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

/// Tells the muxer behind `entry` what begins with each access unit.
fn cut(entry: &gst::Pad, cutter: Cutter) {
    let state = Mutex::new((cutter, gst::ClockTime::ZERO));
    entry.add_probe(gst::PadProbeType::BUFFER, move |entry, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let cut = panics::caught(|| {
            let (cutter, decoded) = &mut *state.lock();
            *decoded = buffer.dts().map_or(*decoded, |dts| dts.max(*decoded));
            if buffer.dts().is_some_and(|dts| dts < *decoded) {
                goes_on_at(buffer.make_mut(), *decoded);
            }
            cutter.unit(Unit::of(buffer)?)
        });
        match (cut, entry.parent_element()) {
            (Ok(None), _) | (Err(_), None) => {}
            (Ok(Some(cut)), _) => {
                entry.send_event(split_now(cut));
            }
            // As the binding does for callbacks of an appsink: the session ends of it.
            (Err(error), Some(mux)) => {
                gst::element_error!(mux, gst::LibraryError::Failed, ["{error}"]);
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// Decode times that went back, at the end of a stream, would be the muxer's end (0.14.5, an assertion).
fn goes_on_at(unit: &mut gst::BufferRef, dts: gst::ClockTime) {
    unit.set_dts(dts);
    let pts = unit.pts().map(|pts| pts.max(dts));
    unit.set_pts(pts);
}

/// What tells `cmafmux` that something begins with the next access unit.
fn split_now(cut: Cut) -> gst::Event {
    let what = gst::Structure::builder("FMP4MuxSplitNow")
        .field("chunk", cut == Cut::Chunk)
        .build();
    gst::event::CustomDownstream::new(what)
}

fn callbacks(sink: RecordSink) -> gst_app::AppSinkCallbacks {
    let RecordSink {
        mut feed,
        made,
        ended,
    } = sink;
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |appsink| {
            let sample = appsink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let list = sample.buffer_list_owned().ok_or(gst::FlowError::Error)?;
            feed_list(&mut feed, &list).ok_or(gst::FlowError::Error)?;
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
fn feed_list(feed: &mut Feed, list: &gst::BufferList) -> Option<()> {
    let mut buffers = list.iter_owned();
    let mut head = buffers.next()?;
    if head.flags().contains(gst::BufferFlags::DISCONT) {
        feed.init(bytes_of(head)?);
        head = buffers.next()?;
    }
    if !head.flags().contains(gst::BufferFlags::HEADER) {
        return None;
    }
    let begins_segment = !head.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let mut parts = Vec::with_capacity(list.len());
    parts.push(bytes_of(head)?);
    for unit in buffers {
        parts.push(bytes_of(unit)?);
    }
    feed.chunk(begins_segment, parts);
    Some(())
}

/// The bytes of a buffer, shared with it.
fn bytes_of(buffer: gst::Buffer) -> Option<Bytes> {
    Some(Bytes::from_owner(
        buffer.into_mapped_buffer_readable().ok()?,
    ))
}
