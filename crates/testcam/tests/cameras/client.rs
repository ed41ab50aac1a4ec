//! A client of test cameras: rtspsrc ─ depay ─ parse ─ appsink, and what comes out of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use dayreel_testcam::{
    AudioCodec, Fingerprint, Format, PictureSettings, SentUnit, Settings, Source, Track,
    VideoCodec, fingerprint,
};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use parking_lot::{Condvar, Mutex};

/// For anything that has to happen on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// One access unit as a client got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) track: Track,
    /// Presentation time, ns.
    pub(crate) pts_ns: u64,
    pub(crate) is_keyframe: bool,
    pub(crate) sha256: Fingerprint,
}

/// A client that is connected until it is dropped.
pub(crate) struct Client {
    pipeline: gst::Pipeline,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    added: Condvar,
}

impl Client {
    /// Connects by `protocols` (`tcp`, `udp`).
    pub(crate) fn connect(url: &str, protocols: &str) -> Self {
        gst::init().unwrap();
        let source = gst::ElementFactory::make("rtspsrc")
            .property("location", url)
            .property("latency", 200_u32)
            .property_from_str("protocols", protocols)
            .property_from_str("buffer-mode", "none");
        Self::play(&source.build().unwrap())
    }

    /// Connects over TCP with a user and a password that are not in the URL.
    pub(crate) fn connect_as(url: &str, user: &str, password: &str) -> Self {
        gst::init().unwrap();
        let source = gst::ElementFactory::make("rtspsrc")
            .property("location", url)
            .property("user-id", user)
            .property("user-pw", password)
            .property_from_str("protocols", "tcp");
        Self::play(&source.build().unwrap())
    }

    fn play(source: &gst::Element) -> Self {
        let pipeline = gst::Pipeline::new();
        pipeline.add(source).unwrap();
        let shared = Arc::new(Shared::default());
        let (weak, collector) = (pipeline.downgrade(), Arc::clone(&shared));
        source.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = weak.upgrade() {
                attach(&pipeline, pad, &collector);
            }
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, shared }
    }

    /// What has come so far of one stream, in order.
    pub(crate) fn received(&self, track: Track) -> Vec<Received> {
        let received = self.shared.received.lock();
        let of_track = received.iter().filter(|unit| unit.track == track);
        of_track.cloned().collect()
    }

    /// Waits for at least `count` access units of one stream.
    ///
    /// # Errors
    /// The client's error, if it has one; or that it took too long.
    pub(crate) fn wait_for(&self, track: Track, count: usize) -> Result<Vec<Received>> {
        let deadline = Instant::now() + DEADLINE;
        let bus = self.pipeline.bus().context("no bus")?;
        let mut received = self.shared.received.lock();
        loop {
            if received.iter().filter(|unit| unit.track == track).count() >= count {
                drop(received);
                return Ok(self.received(track));
            }
            if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
                bail!("{message:?}");
            }
            if Instant::now() > deadline {
                bail!("{} of {count} access units of {track:?}", received.len());
            }
            let step = Duration::from_millis(50);
            self.shared.added.wait_for(&mut received, step);
        }
    }

    /// Waits for the client to notice that its camera is gone: an error or the end of the stream.
    pub(crate) fn wait_for_end(&self) -> bool {
        let bus = self.pipeline.bus().unwrap();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let deadline = gst::ClockTime::from_seconds(DEADLINE.as_secs());
        bus.timed_pop_filtered(deadline, &kinds).is_some()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}

fn attach(pipeline: &gst::Pipeline, pad: &gst::Pad, shared: &Arc<Shared>) {
    let caps = pad.current_caps().unwrap();
    let encoding = caps
        .structure(0)
        .unwrap()
        .get::<String>("encoding-name")
        .unwrap();
    let (chain, track, format) = match encoding.as_str() {
        "H264" => (
            "rtph264depay ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au",
            Track::Video,
            Format::AnnexB(VideoCodec::H264),
        ),
        "H265" => (
            "rtph265depay ! h265parse ! video/x-h265,stream-format=byte-stream,alignment=au",
            Track::Video,
            Format::AnnexB(VideoCodec::H265),
        ),
        "MPEG4-GENERIC" => (
            "rtpmp4gdepay ! aacparse ! audio/mpeg,stream-format=adts",
            Track::Audio,
            Format::Adts,
        ),
        "PCMA" => ("rtppcmadepay", Track::Audio, Format::Raw),
        "PCMU" => ("rtppcmudepay", Track::Audio, Format::Raw),
        "OPUS" => ("rtpopusdepay", Track::Audio, Format::Raw),
        "G726-32" => ("rtpg726depay", Track::Audio, Format::Raw),
        "L16" => ("rtpL16depay", Track::Audio, Format::Raw),
        other => panic!("a stream of {other}"),
    };
    let chain = format!("{chain} ! appsink name=sink sync=false async=false");
    let bin = gst::parse::bin_from_description(&chain, true).unwrap();
    let sink = bin
        .by_name("sink")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    let shared = Arc::clone(shared);
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let buffer = sample.buffer().unwrap();
        let received = Received {
            track,
            pts_ns: buffer.pts().unwrap().nseconds(),
            is_keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            sha256: fingerprint(&buffer.map_readable().unwrap(), format).unwrap(),
        };
        shared.received.lock().push(received);
        shared.added.notify_all();
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
    pipeline.add(&bin).unwrap();
    bin.sync_state_with_parent().unwrap();
    pad.link(&bin.static_pad("sink").unwrap()).unwrap();
}

/// A small camera: cheap enough for many tests at a time.
pub(crate) fn small(change: impl FnOnce(&mut PictureSettings)) -> Settings {
    let mut picture = PictureSettings {
        width: 320,
        height: 180,
        bitrate_kbps: 300,
        gop: dayreel_testcam::Gop::Seconds(1.0),
        ..PictureSettings::default()
    };
    change(&mut picture);
    Settings {
        source: Source::Picture(picture),
        ..Settings::default()
    }
}

/// A small camera with sound.
pub(crate) fn small_with(codec: VideoCodec, audio: Option<AudioCodec>) -> Settings {
    small(|picture| {
        picture.codec = codec;
        picture.audio = audio;
    })
}

/// Asserts that what was received is an unbroken piece of what was sent: same bytes, same order,
/// none missing, the distances in time those of the RTP timestamps to a tick. Returns the sent units.
pub(crate) fn assert_same(sent: &[SentUnit], received: &[Received]) -> Vec<SentUnit> {
    let first = received.first().expect("nothing received").sha256;
    let start = sent.iter().position(|unit| unit.sha256 == first);
    let start = start.expect("received what was not sent");
    let sent = sent[start..].to_vec();
    assert!(sent.len() >= received.len(), "received more than was sent");
    let sent = sent[..received.len()].to_vec();
    for (sent_pair, received_pair) in sent.windows(2).zip(received.windows(2)) {
        let number = sent_pair[1].number;
        assert_eq!(
            sent_pair[1].sha256, received_pair[1].sha256,
            "unit {number}"
        );
        let ticks = sent_pair[1]
            .rtp_timestamp
            .wrapping_sub(sent_pair[0].rtp_timestamp);
        let ticks = i64::from(ticks.cast_signed());
        let ns = received_pair[1].pts_ns.cast_signed() - received_pair[0].pts_ns.cast_signed();
        let rate = i64::from(sent_pair[0].clock_rate_hz);
        let difference_ns = (ns - ticks * 1_000_000_000 / rate).abs();
        assert!(
            difference_ns <= 1_000_000_000 / rate + 1,
            "unit {number}: {ns} ns"
        );
    }
    for (sent, received) in sent.iter().zip(received) {
        assert_eq!(
            sent.is_keyframe, received.is_keyframe,
            "unit {}",
            sent.number
        );
    }
    sent
}
