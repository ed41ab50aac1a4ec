//! Recordings for benches: a moving picture with the noise of a sensor, recorded by the muxer that
//! records cameras.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use bytes::Bytes;
use dayreel_archive::{CameraArchive, Piece, Store};
use dayreel_core::{ManualClock, TrackKind, WallTime};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

/// What is recorded: H.264 with a keyframe every 2 s, 25 pictures a second.
#[derive(Clone, Copy)]
pub(crate) struct Recording {
    /// Pixels.
    pub(crate) size: (u32, u32),
    /// Of the video.
    pub(crate) bitrate_kbps: u32,
    /// Length.
    pub(crate) seconds: u32,
}

/// Records into `folder` from `start` on, in UTC; the clock stands at `now`.
pub(crate) fn record(
    recording: Recording,
    folder: &Path,
    start: WallTime,
    now: WallTime,
) -> Result<Arc<CameraArchive>> {
    dayreel_pipeline::init()?;
    let Recording {
        size: (width, height),
        bitrate_kbps,
        seconds,
    } = recording;
    let raw = format!("video/x-raw,width={width},height={height},framerate=25/1");
    let pictures = seconds * 25;
    let pipeline = gst::parse::launch(&format!(
        "compositor name=mix sink_1::alpha=0.06 \
         ! video/x-raw,format=I420,width={width},height={height},framerate=25/1 \
         ! x264enc key-int-max=50 bitrate={bitrate_kbps} speed-preset=veryfast tune=zerolatency \
           option-string=scenecut=0 \
         ! h264parse ! video/x-h264,stream-format=avc,alignment=au ! h264timestamper \
         ! cmafmux name=mux chunk-duration=333333333 fragment-duration=3770000000 \
         ! appsink name=sink sync=false buffer-list=true \
         videotestsrc num-buffers={pictures} pattern=smpte horizontal-speed=3 ! {raw} ! mix. \
         videotestsrc num-buffers={pictures} pattern=snow ! {raw} ! mix."
    ))?;
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .ok()
        .context("no pipeline")?;
    let entry = pipeline
        .by_name("mux")
        .and_then(|mux| mux.static_pad("sink"))
        .context("no muxer")?;
    entry.set_property("trak-timescale", 90_000_u32);
    entry.set_offset(start.timestamp_nanos_opt().context("a year of ours")?);
    let sink = pipeline.by_name("sink").context("no sink")?;
    let sink = sink
        .downcast::<gst_app::AppSink>()
        .ok()
        .context("no appsink")?;
    let clock = Arc::new(ManualClock::new(now));
    let store = Store::open(folder)?;
    let archive = store.camera("cam".parse()?, chrono_tz::Tz::UTC, clock)?;
    let mut recorder = archive.recorder();
    pipeline.set_state(gst::State::Playing)?;
    while let Ok(sample) = sink.pull_sample() {
        let list = sample.buffer_list_owned().context("no list")?;
        let mut buffers = list.iter();
        let mut head = buffers.next().context("an empty list")?;
        if head.flags().contains(gst::BufferFlags::DISCONT) {
            recorder.append(TrackKind::Video, Piece::Init(bytes(head)?))?;
            head = buffers.next().context("no chunk")?;
        }
        let begins_segment = !head.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let parts = std::iter::once(head).chain(buffers).map(bytes);
        let chunk = Piece::Chunk {
            begins_segment,
            parts: parts.collect::<Result<_>>()?,
        };
        recorder.append(TrackKind::Video, chunk)?;
    }
    recorder.finish()?;
    pipeline.set_state(gst::State::Null)?;
    Ok(archive)
}

fn bytes(buffer: &gst::BufferRef) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(&buffer.map_readable()?))
}
