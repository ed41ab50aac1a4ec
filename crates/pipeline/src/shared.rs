//! What a camera's threads share. Locks are held for arithmetic only, never across a call into
//! GStreamer or the disk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dayreel_core::{Clock, MediaTime, TrackFormat, TrackKind, WallTime};
use parking_lot::{Condvar, Mutex};
use tracing::warn;

use crate::{
    AudioStatus, CameraCounts, CameraSettings, CameraState, CameraStatus, Error, IgnoredTrack,
    Ring, RingSettings, VideoStatus,
    branches::record::Rhythm,
    counts::Arrivals,
    events::Events,
    media_clock::{Arrival, MediaClock, Stamp},
    meter::Meter,
    pace::Pace,
    source::PacketCounts,
    writer::{Throttle, Writer},
};

/// No access unit yet.
const NEVER: u64 = u64::MAX;

/// The shared part of one camera; lives as long as it, across sessions.
pub(crate) struct Shared {
    pub(crate) settings: CameraSettings,
    pub(crate) clock: Arc<dyn Clock>,
    /// The last seconds of the picture.
    pub(crate) ring: Arc<Ring>,
    /// And of the sound.
    pub(crate) sound_ring: Arc<Ring>,
    pub(crate) writer: Writer,
    pub(crate) events: Arc<Events>,
    /// The supervisor has ended by that.
    pub(crate) has_panicked: AtomicBool,
    /// What became of the camera's packets.
    pub(crate) packets: Arc<PacketCounts>,
    /// When the camera was started.
    origin: Instant,
    /// Streaming threads of picture and sound stamp with it, in turn.
    media_clock: Mutex<MediaClock>,
    video: Mutex<Track>,
    audio: Mutex<Track>,
    /// How each track is cut.
    pub(crate) rhythms: [Rhythm; TrackKind::COUNT],
    /// When the last access unit of the picture came, in ms since `origin`.
    last_unit_ms: AtomicU64,
    /// Pictures that were dropped because they could not be encoded in time.
    not_converted: AtomicU64,
    /// Pictures that were left out because packets are missing.
    damaged: AtomicU64,
    arrivals: Arrivals,
    log: Mutex<Throttle>,
    /// The supervisor wants to hear of the next access unit.
    awaited: AtomicBool,
    report: Mutex<Report>,
    /// Notified when `report` has changed.
    changed: Condvar,
}

#[derive(Default)]
struct Track {
    format: Option<TrackFormat>,
    converted_from: Option<&'static str>,
    meter: Meter,
    pace: Pace,
}

/// Written by the supervisor alone.
struct Report {
    state: CameraState,
    since: WallTime,
    last_error: Option<Error>,
    reconnects: u64,
    ignored: Vec<IgnoredTrack>,
    /// The last formats of picture and sound, over all sessions.
    formats: [Option<TrackFormat>; 2],
    /// How often it has changed.
    changes: u64,
}

impl Shared {
    pub(crate) fn new(
        settings: CameraSettings,
        clock: Arc<dyn Clock>,
        writer: Writer,
        events: Arc<Events>,
        recorded_until: MediaTime,
    ) -> Self {
        let since = clock.now();
        Self {
            settings,
            clock,
            ring: Arc::new(Ring::new(RingSettings::VIDEO)),
            sound_ring: Arc::new(Ring::new(RingSettings::AUDIO)),
            writer,
            events,
            has_panicked: AtomicBool::new(false),
            packets: Arc::default(),
            origin: Instant::now(),
            media_clock: Mutex::new(MediaClock::after(recorded_until)),
            video: Mutex::default(),
            audio: Mutex::default(),
            rhythms: Default::default(),
            last_unit_ms: AtomicU64::new(NEVER),
            not_converted: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            arrivals: Arrivals::default(),
            log: Mutex::default(),
            awaited: AtomicBool::new(true),
            report: Mutex::new(Report {
                state: CameraState::Connecting,
                since,
                last_error: None,
                reconnects: 0,
                ignored: vec![],
                formats: [None, None],
                changes: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// What arrives now.
    pub(crate) fn arrival(&self) -> Arrival {
        Arrival {
            wall: MediaTime::wall_to_media(self.clock.now()),
            steady_90k: ticks(self.clock.steady()),
        }
    }

    /// Stamps an access unit that arrived then; see [`MediaClock::stamp`].
    pub(crate) fn stamp(
        &self,
        track: TrackKind,
        pts_90k: Option<u64>,
        arrival: Arrival,
    ) -> Option<Stamp> {
        let mut media_clock = self.media_clock.lock();
        let stamp = media_clock.stamp(track, pts_90k, arrival);
        if stamp.is_none() && track == TrackKind::Video {
            // It is dropped, but the camera is not silent.
            self.last_unit_ms.store(self.now_ms(), Ordering::Relaxed);
        }
        stamp
    }

    /// RTP time begins anew.
    pub(crate) fn restart_media_clock(&self) {
        self.media_clock.lock().restart();
    }

    /// Notes an access unit. Says whether the supervisor waits to hear of it.
    pub(crate) fn note(
        &self,
        track: TrackKind,
        at: MediaTime,
        bytes: usize,
        is_keyframe: bool,
    ) -> bool {
        let now_ms = self.now_ms();
        let mut state = self.track(track).lock();
        state.meter.push(at, bytes, is_keyframe);
        state.pace.push(now_ms);
        drop(state);
        self.arrivals.push(track, bytes);
        if track == TrackKind::Audio {
            return false;
        }
        self.last_unit_ms.store(now_ms, Ordering::Relaxed);
        self.awaited.load(Ordering::Relaxed) && self.awaited.swap(false, Ordering::Relaxed)
    }

    /// Asks for the next access unit to be reported.
    pub(crate) fn await_unit(&self) {
        self.awaited.store(true, Ordering::Relaxed);
    }

    /// Notes the format of a track.
    pub(crate) fn note_format(&self, format: TrackFormat) {
        let kind = format.kind();
        self.track(kind).lock().format = Some(format.clone());
        let mut report = self.report.lock();
        if report.formats[kind as usize].as_ref() != Some(&format) {
            self.events.format(&format);
            report.formats[kind as usize] = Some(format);
        }
    }

    /// Notes that a track is encoded here, and from what.
    pub(crate) fn note_converted_from(&self, track: TrackKind, name: &'static str) {
        self.track(track).lock().converted_from = Some(name);
    }

    /// Notes a picture that was dropped because this machine is too slow to encode it.
    pub(crate) fn note_not_converted(&self) {
        let dropped = self.not_converted.fetch_add(1, Ordering::Relaxed) + 1;
        self.events
            .dropped("cpu", "this machine is too slow to encode the pictures");
        if self.log.lock().may_speak() {
            warn!(camera = %self.settings.id, dropped, "this machine is too slow to encode the camera's pictures: some are dropped");
        }
    }

    /// Notes a picture that is left out because packets are missing. The camera is not silent.
    pub(crate) fn note_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        self.last_unit_ms.store(self.now_ms(), Ordering::Relaxed);
        self.events.dropped(
            "loss",
            "pictures are left out because packets did not arrive",
        );
    }

    /// Since the last access unit of the picture.
    pub(crate) fn last_unit_age(&self) -> Option<Duration> {
        let last_ms = self.last_unit_ms.load(Ordering::Relaxed);
        (last_ms != NEVER).then(|| Duration::from_millis(self.now_ms().saturating_sub(last_ms)))
    }

    /// How long until the camera counts as silent, if nothing more comes. A picture is not missed while
    /// the camera is heard otherwise and its pictures are [far apart](Pace).
    pub(crate) fn silent_in(&self) -> Duration {
        let timing = &self.settings.timing;
        let age = self.last_unit_age().unwrap_or_default();
        let patience = self.video.lock().pace.patience(timing);
        let heard = timing.silence.saturating_sub(self.packets.heard_age());
        let waits = patience.saturating_sub(age).min(heard);
        timing.silence.saturating_sub(age).max(waits)
    }

    /// Whether the camera has been heard in this session, and not long ago.
    pub(crate) fn is_heard(&self) -> bool {
        self.packets.heard_age() < self.settings.timing.silence
    }

    /// A new session: what was measured of the last is forgotten.
    pub(crate) fn begin_session(&self, is_first: bool) {
        self.restart_media_clock();
        self.packets.forget_heard();
        *self.video.lock() = Track::default();
        *self.audio.lock() = Track::default();
        let mut report = self.report.lock();
        report.ignored.clear();
        if !is_first {
            report.reconnects += 1;
        }
    }

    /// A track that is not recorded.
    pub(crate) fn note_ignored(&self, track: IgnoredTrack) {
        let mut report = self.report.lock();
        if !report.ignored.contains(&track) {
            report.ignored.push(track);
        }
    }

    /// The camera is in `state` from now on; `error` is why, `None` keeps the last.
    pub(crate) fn enter(&self, state: CameraState, error: Option<Error>) {
        let now = self.clock.now();
        let mut report = self.report.lock();
        let code = |error: &Option<Error>| error.as_ref().map(Error::code);
        if report.state != state || error.is_some() && code(&error) != code(&report.last_error) {
            self.events.state(state, error.as_ref());
        }
        if report.state != state {
            report.state = state;
            report.since = now;
        }
        if state == CameraState::Live {
            report.last_error = None;
        } else if error.is_some() {
            report.last_error = error;
        }
        report.changes += 1;
        drop(report);
        self.changed.notify_all();
    }

    /// Waits until a snapshot pleases `wanted`; asks at each change of state, until `deadline`.
    pub(crate) fn wait_until(
        &self,
        deadline: Instant,
        mut wanted: impl FnMut(&CameraStatus) -> bool,
    ) -> Option<CameraStatus> {
        loop {
            let changes = self.report.lock().changes;
            let status = self.status();
            if wanted(&status) {
                return Some(status);
            }
            let mut report = self.report.lock();
            while report.changes == changes {
                if self.changed.wait_until(&mut report, deadline).timed_out() {
                    return None;
                }
            }
        }
    }

    /// What is counted since the start.
    pub(crate) fn counts(&self) -> CameraCounts {
        let (access_units, bytes) = self.arrivals.all();
        let writes = self.writer.writes();
        CameraCounts {
            access_units,
            bytes,
            not_recorded: self.writer.dropped_units(),
            not_converted: self.not_converted.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            recording_errors: writes.errors(),
            segment_writes: writes.segments(),
        }
    }

    /// A snapshot.
    pub(crate) fn status(&self) -> CameraStatus {
        let clock_error_90k = self.media_clock.lock().error_90k();
        let (video, audio) = (self.video_status(), self.audio_status());
        let report = self.report.lock();
        CameraStatus {
            id: self.settings.id.clone(),
            state: report.state,
            since: report.since,
            last_error: report.last_error.clone(),
            reconnects: report.reconnects,
            video,
            audio,
            ignored_tracks: report.ignored.clone(),
            last_frame_age: self.last_unit_age(),
            dropped_frames: self.writer.dropped_units()
                + self.not_converted.load(Ordering::Relaxed)
                + self.damaged.load(Ordering::Relaxed),
            lost_packets: self.packets.lost.load(Ordering::Relaxed),
            unusable_packets: self.packets.unusable.load(Ordering::Relaxed),
            recording_error: self.writer.trouble(),
            clock_error_s: i32::try_from(clock_error_90k).map_or(f64::NAN, f64::from) / 90_000.0,
        }
    }

    fn video_status(&self) -> Option<VideoStatus> {
        let track = self.video.lock();
        let rates = track.meter.rates().unwrap_or_default();
        match track.format.clone()? {
            TrackFormat::Video(format) => Some(VideoStatus {
                format,
                converted_from: track.converted_from,
                fps: rates.units_per_s,
                bitrate_bps: rates.bits_per_s,
                gop_s: rates.gop_s,
            }),
            TrackFormat::Audio(_) => None,
        }
    }

    fn audio_status(&self) -> Option<AudioStatus> {
        let track = self.audio.lock();
        let rates = track.meter.rates().unwrap_or_default();
        match track.format.clone()? {
            TrackFormat::Audio(format) => Some(AudioStatus {
                format,
                converted_from: track.converted_from,
                bitrate_bps: rates.bits_per_s,
            }),
            TrackFormat::Video(_) => None,
        }
    }

    fn track(&self, kind: TrackKind) -> &Mutex<Track> {
        match kind {
            TrackKind::Video | TrackKind::Preview => &self.video,
            TrackKind::Audio => &self.audio,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

fn ticks(duration: Duration) -> u64 {
    duration.as_secs() * 90_000 + u64::from(duration.subsec_nanos()) * 9 / 100_000
}
