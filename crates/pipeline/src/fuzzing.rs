//! What holds for any description and any packets of a camera, for the fuzz targets and for the test
//! that reads their corpus: nothing crashes, the pipeline can be ended, and what a camera sends
//! afterwards is recorded.
//!
//! ```text
//! film ─ garbage ─ film ─ packets ─ track ─ tee ─ record ─▶ is the end of the film there?
//! ```

use std::{
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use dayreel_archive::Piece;
use dayreel_config::{OnLoss, Transport, Trust};
use dayreel_core::{ManualClock, MediaTime, TrackKind};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use parking_lot::Mutex;
use rtp_types::RtpPacket;

use crate::{
    CameraSettings, PieceSink, Timing,
    alignment::Alignment,
    events::Events,
    offer::{Offer, Payload, Verdict},
    rtp_clock::RtpClock,
    session::{Entries, Event, Parts, Reporter, prepare},
    shared::Shared,
    source::{Arrival, Description, Packets, Role, Tracks as _},
    supervisor::Input,
    track,
    writer::Writer,
};

/// A wait that only a broken pipeline reaches.
const PATIENCE: Duration = Duration::from_secs(20);
/// For tracks that nothing fits: their muxers may wait for it.
const ODD_PATIENCE: Duration = Duration::from_millis(100);
/// Access units of a film, and how many of them come before the garbage. Those behind are more than
/// 100 packets, which RFC 3550 §A.1 lets be dropped for one of a sequence number that is ahead.
const FILM: usize = 130;
const BEFORE: usize = 12;
/// One of so many at the end has to be recorded: a timestamper may hold back 16.
const END: usize = 30;
/// From one to the next.
const UNIT: TimeDelta = TimeDelta::milliseconds(100);
/// Most packets of garbage: more would only be slower.
const MOST_GARBAGE: usize = 64;

/// Any packets in the midst of real ones. The first byte says whose: of H.264, H.265, AAC, LATM, JPEG or Opus. For each
/// packet a byte says how it differs from the one that is due, another how long it is.
///
/// # Panics
/// If what comes afterwards is not recorded, or the pipeline does not end.
pub fn rtp(bytes: &[u8]) {
    let Some((which, garbage)) = bytes.split_first() else {
        return;
    };
    let film = &films()[usize::from(*which) % films().len()];
    let camera = FuzzedCamera::new();
    let mut session = camera.begin();
    session.add(&film.caps).expect("a real track fits");
    let (before, after) = film.units.split_at(BEFORE);
    session.play(before);
    for packet in garbled(garbage, film) {
        session.take(&packet);
    }
    session.play(after);
    let failed = session.end(PATIENCE);
    match film.end.is_empty() {
        true => camera.is_recorded(&films()[0]),
        // The supervisor would connect again.
        false if failed => camera.is_recorded(film),
        false => camera.has_recorded(film),
    }
}

/// Any bytes as the description of a camera, which then sends what it did not describe.
///
/// # Panics
/// If a camera that is as it should be is not recorded afterwards, or the pipeline does not end.
pub fn description(bytes: &[u8]) {
    let film = &films()[0];
    let camera = FuzzedCamera::new();
    if let Ok(description) = Description::parse(bytes) {
        let mut offer = Offer::new(true);
        let taken = description.tracks.iter().filter(|track| {
            let payload = Payload::of(&track.caps);
            // Encoders take long to start, and see nothing of the description.
            let is_encoded = payload.is_some_and(|payload| payload.converted_from().is_some());
            offer.judge(&track.caps) == Verdict::Take && !is_encoded
        });
        let mut session = camera.begin();
        for track in taken {
            // Why it does not fit is told to the user.
            let _ = session.add(&track.caps);
        }
        session.play(&film.units[..BEFORE]);
        session.end(ODD_PATIENCE);
    }
    camera.is_recorded(film);
}

/// Real media, in packets.
struct Film {
    caps: gst::Caps,
    /// The packets of each access unit.
    units: Vec<Vec<Vec<u8>>>,
    /// What is recorded of the last packets of the last ones; nothing if they are encoded anew.
    end: Vec<Vec<u8>>,
}

fn films() -> &'static [Film] {
    static FILMS: OnceLock<Vec<Film>> = OnceLock::new();
    const PICTURES: &str = "videotestsrc pattern=smpte num-buffers=130 ! \
         video/x-raw,format=I420,width=64,height=64,framerate=10/1";
    const SOUND: &str = "audiotestsrc wave=pink-noise samplesperbuffer=1024 num-buffers=140 ! \
         audio/x-raw,rate=16000,channels=1";
    FILMS.get_or_init(|| {
        crate::init().expect("GStreamer is there");
        let h264 = "x264enc bitrate=200 tune=zerolatency speed-preset=ultrafast threads=1 \
             key-int-max=10 ! rtph264pay config-interval=-1 aggregate-mode=none";
        let h265 = "x265enc bitrate=200 tune=zerolatency speed-preset=ultrafast \
             option-string=keyint=10:min-keyint=10:open-gop=0:pools=1:frame-threads=1:info=0 \
             ! rtph265pay config-interval=-1";
        vec![
            Film::make(&format!("{PICTURES} ! {h264}"), Some(0)),
            Film::make(&format!("{PICTURES} ! {h265}"), Some(0)),
            // RFC 3640 §3.2.1: 4 bytes say how long the access unit is.
            Film::make(&format!("{SOUND} ! avenc_aac ! rtpmp4gpay"), Some(4)),
            // RFC 3016 §4.1: one for each 255 bytes of it, and one more.
            Film::make(&format!("{SOUND} ! avenc_aac ! rtpmp4apay"), Some(8)),
            Film::make(&format!("{PICTURES} ! jpegenc ! rtpjpegpay"), None),
            Film::make(&format!("{SOUND} ! opusenc ! rtpopuspay"), None),
        ]
    })
}

impl Film {
    /// Of the packets that this pipeline makes, whose payloads have `head` bytes of their own; `None`
    /// if they are encoded anew.
    fn make(launch: &str, head: Option<usize>) -> Self {
        let launch = format!("{launch} seqnum-offset=0 ssrc=1 ! appsink name=sink sync=false");
        let pipeline = gst::parse::launch(&launch).expect("elements of this crate");
        let bin = pipeline.clone().downcast::<gst::Bin>().expect("a pipeline");
        let sink = bin.by_name("sink").and_downcast::<gst_app::AppSink>();
        let sink = sink.expect("a sink");
        pipeline.set_state(gst::State::Playing).expect("it starts");
        let mut film = Self {
            caps: gst::Caps::new_empty(),
            units: vec![vec![]],
            end: vec![],
        };
        while let Ok(sample) = sink.pull_sample() {
            film.caps = sample.caps_owned().expect("packets have caps");
            let packet = sample.buffer().expect("a sample has bytes");
            let packet = packet.map_readable().expect("memory").to_vec();
            // The marker of sound may mean that somebody begins to speak (RFC 3551 §4.1).
            let is_sound = launch.starts_with("audio");
            let ends = is_sound || RtpPacket::parse(&packet).expect("RTP").marker_bit();
            film.units.last_mut().expect("one at least").push(packet);
            if ends {
                film.units.push(vec![]);
            }
        }
        pipeline.set_state(gst::State::Null).expect("it ends");
        film.units.truncate(FILM);
        let first = film.units.len().saturating_sub(END);
        let last = film.units[first..].iter().zip(head.iter().cycle());
        let last = last.filter_map(|(unit, head)| {
            let packet = RtpPacket::parse(unit.last()?).expect("RTP");
            packet.payload().get(*head..).map(<[u8]>::to_vec)
        });
        film.end = last.collect();
        film
    }
}

/// What garbage differs in from the packet that is due, by bit.
const MARKER: u8 = 1;
const OTHER_SOURCE: u8 = 1 << 1;
const OTHER_TIME: u8 = 1 << 2;
const OTHER_SEQUENCE: u8 = 1 << 3;
const OTHER_HEAD: u8 = 1 << 4;
const NEXT_UNIT: u8 = 1 << 5;

/// Packets made of any bytes.
fn garbled(mut bytes: &[u8], film: &Film) -> Vec<Vec<u8>> {
    let due = film.units[BEFORE][0].first_chunk::<12>().expect("a header");
    let mut header = *due;
    let mut packets = vec![];
    while let Some(([how, length], rest)) = bytes.split_first_chunk()
        && packets.len() < MOST_GARBAGE
    {
        let (payload, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        let is = |bit| how & bit != 0;
        let mut own = header;
        if is(MARKER) {
            own[1] |= 0x80;
        }
        // RFC 3550 §5.1: fields of the header, from the same place of the payload.
        let fields = [
            (OTHER_HEAD, 0..2),
            (OTHER_SEQUENCE, 2..4),
            (OTHER_TIME, 4..8),
            (OTHER_SOURCE, 8..12),
        ];
        for (bit, field) in fields {
            if let Some(given) = payload.get(field.clone())
                && is(bit)
            {
                own[field].copy_from_slice(given);
            }
        }
        packets.push([&own, payload].concat());
        let sequence = u16::from_be_bytes([header[2], header[3]]).wrapping_add(1);
        [header[2], header[3]] = sequence.to_be_bytes();
        if is(NEXT_UNIT) {
            let time = [header[4], header[5], header[6], header[7]];
            let time = u32::from_be_bytes(time).wrapping_add(9_000);
            header[4..8].copy_from_slice(&time.to_be_bytes());
        }
    }
    packets
}

/// A camera without a network.
struct FuzzedCamera {
    shared: Arc<Shared>,
    clock: Arc<ManualClock>,
    recorded: Arc<Mutex<Vec<Bytes>>>,
}

struct Keeper(Arc<Mutex<Vec<Bytes>>>);

impl PieceSink for Keeper {
    fn append(&mut self, _: TrackKind, piece: Piece) -> Result<(), dayreel_archive::Error> {
        if let Piece::Chunk { parts, .. } = piece {
            self.0.lock().extend(parts);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), dayreel_archive::Error> {
        Ok(())
    }
}

impl FuzzedCamera {
    fn new() -> Self {
        let settings = CameraSettings {
            id: "fuzzed".parse().expect("an id"),
            url: "rtsp://127.0.0.1/".parse().expect("an address"),
            transport: Transport::Tcp,
            trust: Trust::Roots,
            on_loss: OnLoss::Keep,
            audio: true,
            segment: Duration::from_secs(1),
            timing: Timing::default(),
        };
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let clock = Arc::new(ManualClock::new(now));
        let recorded = Arc::<Mutex<Vec<Bytes>>>::default();
        let events = Arc::new(Events::new(clock.clone()));
        let keeper = Keeper(Arc::clone(&recorded));
        let writer = Writer::start(&settings.id, keeper, Arc::clone(&events)).expect("a thread");
        let from = MediaTime::default();
        let shared = Arc::new(Shared::new(settings, clock.clone(), writer, events, from));
        Self {
            shared,
            clock,
            recorded,
        }
    }

    fn begin(&self) -> FuzzedSession {
        self.shared.begin_session(false);
        let (events, heard) = channel();
        let reporter = Reporter { session: 1, events };
        let (pipeline, parts) = prepare(Arc::clone(&self.shared), reporter).expect("it starts");
        FuzzedSession {
            entries: Entries::of(&pipeline, &parts),
            pipeline,
            parts,
            heard,
            clock: Arc::clone(&self.clock),
            alignment: Alignment::default(),
            tracks: vec![],
            has_failed: false,
        }
    }

    /// Records a film from its beginning to its end.
    fn is_recorded(&self, film: &Film) {
        let mut session = self.begin();
        session.add(&film.caps).expect("a real track fits");
        session.play(&film.units);
        assert!(!session.end(PATIENCE), "a real film is refused");
        self.has_recorded(film);
    }

    fn has_recorded(&self, film: &Film) {
        assert!(self.shared.writer.stop(Instant::now() + PATIENCE));
        let recorded = self.recorded.lock();
        let is_of_end = |unit: &Bytes| film.end.iter().any(|last| unit.ends_with(last));
        assert!(recorded.iter().any(is_of_end), "recording has not gone on");
    }
}

/// One connection.
struct FuzzedSession {
    entries: Entries,
    pipeline: gst::Pipeline,
    parts: Arc<Parts>,
    heard: Receiver<Input>,
    clock: Arc<ManualClock>,
    alignment: Alignment,
    tracks: Vec<Packets>,
    has_failed: bool,
}

impl FuzzedSession {
    fn add(&mut self, caps: &gst::Caps) -> Result<(), crate::Error> {
        let entry = self.entries.add(caps, false)?;
        let clock = RtpClock::of(caps).unwrap_or_else(|| RtpClock::new(90_000));
        let (arrival, counts) = (Arrival::Exact, Arc::default());
        let alignment = self.alignment.clone();
        let packets = Packets::new(entry.pad, arrival, clock, Role::Leads, alignment, counts);
        self.tracks.push(packets);
        Ok(())
    }

    /// Plays access units in their time.
    fn play(&mut self, units: &[Vec<Vec<u8>>]) {
        for unit in units {
            self.clock.pass(UNIT);
            for packet in unit {
                self.take(packet);
            }
        }
    }

    /// Gives a packet to every track.
    fn take(&mut self, packet: &[u8]) {
        for track in &mut self.tracks {
            track.take(packet);
            self.has_failed |= track.flush().is_err();
        }
    }

    /// Ends it, as a session ends. Whether the supervisor would have connected again.
    fn end(self, patience: Duration) -> bool {
        let mut heard = self.heard.try_iter();
        let is_failure = |input| matches!(input, Input::Session(_, Event::Failed(_)));
        let has_failed = self.has_failed || heard.any(is_failure);
        // Its tracks end, which nobody waits for any more.
        track::drain(&self.pipeline);
        self.parts.complete(Instant::now() + patience);
        self.pipeline.set_state(gst::State::Null).expect("it ends");
        let left = self.pipeline.downgrade();
        drop(self);
        assert!(left.upgrade().is_none(), "something holds the pipeline");
        has_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_garbage_the_films_are_recorded() {
        for film in films().iter().filter(|film| !film.end.is_empty()) {
            FuzzedCamera::new().is_recorded(film);
        }
    }
}
