//! Recordings of encoded streams for tests, made by the muxer and the writer of a camera.

use std::{
    path::Path,
    sync::{Arc, mpsc::channel},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono_tz::Tz;
use dayreel_archive::{CameraArchive, Piece, Store};
use dayreel_core::{ManualClock, TrackKind, WallTime};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::{
    branches::record::{self, RecordSettings, RecordSink, Rhythm},
    events::Events,
    writer::Writer,
};

/// A data directory with one camera, whose clock stands still.
pub(crate) struct Recorded {
    pub(crate) archive: Arc<CameraArchive>,
    pub(crate) clock: Arc<ManualClock>,
    _store: Store,
}

impl Recorded {
    pub(crate) fn open(root: &Path, zone: Tz, now: WallTime) -> Self {
        crate::init().unwrap();
        let clock = Arc::new(ManualClock::new(now));
        let store = Store::open(root).unwrap();
        let archive = store
            .camera("cam".parse().unwrap(), zone, clock.clone())
            .unwrap();
        Self {
            archive,
            clock,
            _store: store,
        }
    }

    /// Records one session as a camera is recorded: access units of one stream in decode order, in
    /// segments of `segment`.
    pub(crate) fn record(&self, caps: &gst::Caps, units: &[gst::Buffer], segment: Duration) {
        let writer = Writer::start(
            self.archive.id(),
            self.archive.recorder(),
            Arc::new(Events::new(Arc::new(dayreel_core::SystemClock))),
        )
        .unwrap();
        let (ended, done) = channel();
        let feed = writer.feed(TrackKind::Video);
        let mux = |tee: &gst::Element| {
            record::attach(
                tee,
                RecordSettings {
                    segment,
                    rhythm: Rhythm::default(),
                },
                RecordSink {
                    feed,
                    made: Arc::default(),
                    ended,
                },
            )
            .unwrap();
        };
        let pipeline = run(caps, units, mux);
        done.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(writer.stop(Instant::now() + Duration::from_secs(60)));
        assert_eq!(writer.dropped_units(), 0);
        pipeline.set_state(gst::State::Null).unwrap();
    }

    /// Records keyframes, each a segment of its own: more, and faster, than a camera's writer takes.
    pub(crate) fn record_keyframes(&self, caps: &gst::Caps, units: &[gst::Buffer]) {
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .buffer_list(true)
            .build();
        let pipeline = run(caps, units, |tee| {
            let mux = gst::ElementFactory::make("cmafmux")
                .property("fragment-duration", 1_u64)
                .property_from_str("header-update-mode", "caps")
                .build()
                .unwrap();
            let entry = mux.static_pad("sink").unwrap();
            entry.set_property("trak-timescale", 90_000_u32);
            let pipeline = tee.parent().and_downcast::<gst::Pipeline>().unwrap();
            pipeline.add_many([&mux, sink.upcast_ref()]).unwrap();
            gst::Element::link_many([tee, &mux, sink.upcast_ref()]).unwrap();
        });
        let mut recorder = self.archive.recorder();
        let mut append = |piece| recorder.append(TrackKind::Video, piece).unwrap();
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(60)) {
            let list = sample.buffer_list_owned().unwrap();
            let bytes =
                |buffer: &gst::BufferRef| Bytes::copy_from_slice(&buffer.map_readable().unwrap());
            let is_init =
                |buffer: &&gst::BufferRef| buffer.flags().contains(gst::BufferFlags::DISCONT);
            let init = list.iter().next().filter(is_init);
            let parts = list.iter().skip(usize::from(init.is_some())).map(bytes);
            let chunk = Piece::Chunk {
                begins_segment: true,
                parts: parts.collect(),
            };
            if let Some(init) = init {
                append(Piece::Init(bytes(init)));
            }
            append(chunk);
        }
        recorder.finish().unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// Starts a pipeline that pushes `units` through a timestamper into what `attach` hangs on a tee.
fn run(
    caps: &gst::Caps,
    units: &[gst::Buffer],
    attach: impl FnOnce(&gst::Element),
) -> gst::Pipeline {
    let pipeline = gst::Pipeline::new();
    let source = gst_app::AppSrc::builder()
        .caps(caps)
        .format(gst::Format::Time)
        .max_bytes(u64::MAX)
        .build();
    let codec = match caps.structure(0).unwrap().name().as_str() {
        "video/x-h264" => "h264timestamper",
        _ => "h265timestamper",
    };
    let stamper = gst::ElementFactory::make(codec).build().unwrap();
    let tee = gst::ElementFactory::make("tee").build().unwrap();
    pipeline
        .add_many([source.upcast_ref(), &stamper, &tee])
        .unwrap();
    gst::Element::link_many([source.upcast_ref(), &stamper, &tee]).unwrap();
    attach(&tee);
    pipeline.set_state(gst::State::Playing).unwrap();
    for unit in units {
        source.push_buffer(unit.clone()).unwrap();
    }
    source.end_of_stream().unwrap();
    pipeline
}
