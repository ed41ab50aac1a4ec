//! Recordings of encoded streams for tests, made by the muxer and the writer of a camera.

use std::{
    path::Path,
    sync::{Arc, mpsc::channel},
    time::{Duration, Instant},
};

use chrono_tz::Tz;
use dayreel_archive::{CameraArchive, Store};
use dayreel_core::{ManualClock, TrackKind, WallTime};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::{
    branches::record::{self, RecordSettings, RecordSink},
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

    /// Records one session: access units of one stream in decode order, in segments of `segment`.
    pub(crate) fn record(&self, caps: &gst::Caps, units: &[gst::Buffer], segment: Duration) {
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
        let writer = Writer::start(self.archive.id(), self.archive.recorder()).unwrap();
        let (ended, done) = channel();
        let sink = RecordSink {
            feed: writer.feed(TrackKind::Video),
            ended,
        };
        let _branch = record::attach(&tee, &RecordSettings { segment }, sink).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        for unit in units {
            source.push_buffer(unit.clone()).unwrap();
        }
        source.end_of_stream().unwrap();
        done.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(writer.stop(Instant::now() + Duration::from_secs(60)));
        assert_eq!(writer.dropped_units(), 0);
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
