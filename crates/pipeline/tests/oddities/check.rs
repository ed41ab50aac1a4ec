//! A scripted camera that is recorded, and what has to be true of that.

use std::time::Duration;

use dayreel_config::Transport;
use dayreel_core::{TICKS_PER_SECOND, TrackKind};
use dayreel_pipeline::{CameraSettings, CameraState, CameraStatus};
use dayreel_testcam::{
    AudioCodec, Fingerprint, Format, SentUnit, Track, VideoCodec, fingerprint,
    scripted::{FPS, Oddity, Script, ScriptedCamera},
};
use mp4_atom::{Atom as _, Header, Moof, ReadFrom as _};

use crate::common::{Chunk, Given, Recorded, deadline, settings};

/// Ticks of a picture of the scripted camera.
pub(crate) const PICTURE_90K: u64 = TICKS_PER_SECOND / FPS as u64;
/// Samples in an access unit of AAC-LC.
const AAC_BLOCK: u64 = 1024;
/// Pictures that most tests look at: 2 s.
pub(crate) const ENOUGH: u32 = 40;

pub(crate) fn h264() -> Script {
    Script::new(VideoCodec::H264, None).unwrap()
}

pub(crate) fn h264_with_aac() -> Script {
    Script::new(VideoCodec::H264, Some(AudioCodec::Aac)).unwrap()
}

/// A camera with sound that is odd so.
pub(crate) fn oddly(oddity: Oddity) -> Script {
    let mut script = h264_with_aac();
    script.make(oddity);
    script
}

/// A camera under test.
pub(crate) struct Odd {
    pub(crate) camera: ScriptedCamera,
    pub(crate) recorded: Recorded,
}

/// One access unit as it was recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordedUnit {
    /// Decode time.
    pub(crate) start_90k: u64,
    pub(crate) duration_90k: u64,
    pub(crate) sha256: Fingerprint,
}

/// What was recorded of one track.
#[derive(Debug)]
pub(crate) struct Film {
    pub(crate) units: Vec<RecordedUnit>,
    /// Where there is an init segment, by the number of units before it.
    pub(crate) inits: Vec<usize>,
}

impl Odd {
    pub(crate) fn start(script: Script) -> Self {
        Self::start_with(script, |_| {})
    }

    pub(crate) fn start_with(script: Script, change: impl FnOnce(&mut CameraSettings)) -> Self {
        let camera = ScriptedCamera::start(script).unwrap();
        let mut settings = settings(&camera.url());
        change(&mut settings);
        let recorded = Recorded::start(settings);
        Self { camera, recorded }
    }

    pub(crate) fn start_udp(script: Script) -> Self {
        Self::start_with(script, |settings| settings.transport = Transport::Udp)
    }

    /// Waits for a state.
    pub(crate) fn wait_for(&self, state: CameraState) -> CameraStatus {
        let status = self
            .recorded
            .camera
            .wait_until(deadline(), |status| status.state == state);
        status.unwrap_or_else(|| panic!("not {state:?}: {}", self.story()))
    }

    /// Waits for an error.
    pub(crate) fn fails_with(&self, code: &str) -> CameraStatus {
        let has = |status: &CameraStatus| {
            let error = status.last_error.as_ref();
            error.is_some_and(|error| error.code() == code)
        };
        let status = self.recorded.camera.wait_until(deadline(), has);
        status.unwrap_or_else(|| panic!("no {code}: {}", self.story()))
    }

    /// What is recorded until there are at least so many pictures.
    pub(crate) fn record(&self, pictures: u32) -> Vec<Given> {
        let mut seen = 0;
        self.recorded.until(|given| {
            if let Given::Chunk(TrackKind::Video, chunk) = given {
                seen += chunk.info.access_units;
            }
            seen >= pictures
        })
    }

    /// The camera becomes live, and its pictures are recorded as they were sent: all from the first
    /// recorded on, in order, each as long as it was.
    pub(crate) fn is_recorded_as_sent(&self) -> Vec<Given> {
        let given = self.record(ENOUGH);
        assert_eq!(self.wait_for(CameraState::Live).reconnects, 0);
        let pairs = self.pairs(&given, TrackKind::Video);
        assert_consecutive(&pairs);
        assert_lengths(&pairs, PICTURE_90K);
        given
    }

    /// Each recorded access unit of a track with the one sent. Fails if one was never sent or they
    /// are out of order.
    pub(crate) fn pairs(&self, given: &[Given], kind: TrackKind) -> Vec<(SentUnit, RecordedUnit)> {
        let track = match kind {
            TrackKind::Video | TrackKind::Preview => Track::Video,
            TrackKind::Audio => Track::Audio,
        };
        let sent = self.camera.record().units(track);
        let mut rest = sent.into_iter();
        let units = film(given, kind).units.into_iter().enumerate();
        let pairs = units.map(|(index, unit)| {
            let same = rest.find(|sent| sent.sha256 == unit.sha256);
            let same = same.unwrap_or_else(|| panic!("{kind} {index} was not sent, or not then"));
            (same, unit)
        });
        pairs.collect()
    }

    /// Sound and picture stand to each other as they were sent, to 80 ms.
    pub(crate) fn assert_in_sync(&self, given: &[Given]) {
        let apart_ms = self.apart_ms(given);
        assert!(apart_ms.abs() <= 80, "{apart_ms} ms apart");
    }

    /// By how many ms the picture stands later to the sound than it was sent.
    pub(crate) fn apart_ms(&self, given: &[Given]) -> i64 {
        // Where the first access unit of the session belongs, by each recorded one.
        let zero_90k = |kind| {
            let (sent, unit) = self.pairs(given, kind).swap_remove(0);
            let ticks = match kind {
                TrackKind::Video | TrackKind::Preview => u64::from(sent.number) * PICTURE_90K,
                TrackKind::Audio => {
                    u64::from(sent.number) * AAC_BLOCK * TICKS_PER_SECOND
                        / u64::from(sent.clock_rate_hz)
                }
            };
            unit.start_90k - ticks
        };
        let (picture, sound) = (zero_90k(TrackKind::Video), zero_90k(TrackKind::Audio));
        (picture.cast_signed() - sound.cast_signed()) / 90
    }

    /// What the client has asked for, and how the camera is.
    pub(crate) fn story(&self) -> String {
        let asked: String = self
            .camera
            .heard()
            .iter()
            .map(|request| format!("\n  {} {}", request.method, request.uri))
            .collect();
        format!("{:?}{asked}", self.recorded.camera.status())
    }
}

/// A script is recorded as if nothing were odd about it.
pub(crate) fn is_recorded(script: Script) -> Odd {
    let odd = Odd::start(script);
    odd.is_recorded_as_sent();
    odd
}

/// What was sent, without gaps and repetitions.
pub(crate) fn assert_consecutive(pairs: &[(SentUnit, RecordedUnit)]) {
    for pair in pairs.windows(2) {
        assert_eq!(pair[0].0.number + 1, pair[1].0.number);
        assert_eq!(pair[0].0.run, pair[1].0.run);
    }
}

/// Each as long as any other, to a millisecond; the last one of a recording may not be.
pub(crate) fn assert_lengths(pairs: &[(SentUnit, RecordedUnit)], expected_90k: u64) {
    for (index, (_, unit)) in pairs[..pairs.len() - 1].iter().enumerate() {
        let off = unit.duration_90k.abs_diff(expected_90k);
        assert!(off <= TICKS_PER_SECOND / 1_000, "{index}: {unit:?}");
    }
}

/// One timeline that never goes back and has no hole longer than `most_90k`.
pub(crate) fn assert_timeline(units: &[RecordedUnit], most_90k: u64) {
    assert_pace(units, most_90k);
    for (index, pair) in units.windows(2).enumerate() {
        let end = pair[0].start_90k + pair[0].duration_90k;
        assert!(pair[1].start_90k >= end, "{index}: {pair:?}");
    }
}

/// Each begins after the one before, by at most `most_90k`.
pub(crate) fn assert_pace(units: &[RecordedUnit], most_90k: u64) {
    for (index, pair) in units.windows(2).enumerate() {
        let distance = pair[1].start_90k.saturating_sub(pair[0].start_90k);
        assert!(distance > 0 && distance <= most_90k, "{index}: {pair:?}");
    }
}

/// The access units of one track.
pub(crate) fn film(given: &[Given], kind: TrackKind) -> Film {
    let format = match kind {
        TrackKind::Video | TrackKind::Preview => Format::LengthPrefixed(VideoCodec::H264),
        TrackKind::Audio => Format::Raw,
    };
    film_of(given, kind, format)
}

/// The access units of one track in this format.
pub(crate) fn film_of(given: &[Given], kind: TrackKind, format: Format) -> Film {
    let mut film = Film {
        units: vec![],
        inits: vec![],
    };
    for given in given {
        match given {
            Given::Init(track, _) if *track == kind => film.inits.push(film.units.len()),
            Given::Chunk(track, chunk) if *track == kind => film.units.extend(units(chunk, format)),
            _ => {}
        }
    }
    film
}

fn units(chunk: &Chunk, format: Format) -> Vec<RecordedUnit> {
    let mut start_90k = chunk.start_90k();
    let durations = durations(&chunk.parts[0]);
    assert_eq!(durations.len(), chunk.parts.len() - 1);
    let units = chunk.parts[1..].iter().zip(durations);
    let units = units.map(|(bytes, duration_90k)| {
        let unit = RecordedUnit {
            start_90k,
            duration_90k,
            sha256: fingerprint(bytes, format).unwrap(),
        };
        start_90k += duration_90k;
        unit
    });
    units.collect()
}

/// Of the access units in the `moof` that `head` holds.
fn durations(head: &[u8]) -> Vec<u64> {
    let mut head = head;
    loop {
        let header = Header::read_from(&mut head).unwrap();
        let size = header.size.unwrap();
        if header.kind == Moof::KIND {
            let moof = Moof::decode_body(&mut &head[..size]).unwrap();
            let traf = &moof.traf[0];
            let usual = traf.tfhd.default_sample_duration;
            let samples = traf.trun.iter().flat_map(|trun| trun.samples.iter());
            let duration = |sample: mp4_atom::TrunEntry| sample.duration.or(usual).unwrap().into();
            return samples.map(duration).collect();
        }
        head = &head[size..];
    }
}

/// A wait that only a broken test reaches.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
