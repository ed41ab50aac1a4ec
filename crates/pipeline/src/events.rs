//! What happened to a camera: its last events, in memory.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use dayreel_core::{Clock, GapCause, TrackFormat, WallTime};
use parking_lot::Mutex;

use crate::{CameraState, Error, RecordingError};

/// So many are kept.
const MOST: usize = 100;

/// What an event is about. Its code says what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The camera's state changed, or the reason for it. Code: the state, or the error.
    State,
    /// Recording begins, after a gap or at all. Code: the cause of the gap.
    Span,
    /// A track has another format than before. Code: RFC 6381.
    Format,
    /// Recording got into trouble or out of it. Code: as `recording_error_code`, or `recording`.
    Recording,
    /// Access units were dropped. Code: what was too slow.
    Dropped,
    /// Packets did not arrive: pictures are damaged or missing. Code: `packets`.
    Lost,
}

impl EventKind {
    /// The word of the HTTP API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Span => "span",
            Self::Format => "format",
            Self::Recording => "recording",
            Self::Dropped => "dropped",
            Self::Lost => "lost",
        }
    }
}

/// Something that happened to a camera. Says neither user nor password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraEvent {
    /// When.
    pub time: WallTime,
    /// When it happened last, if it did more often, with nothing else in between.
    pub last: WallTime,
    /// How often it happened. At least 1.
    pub times: u32,
    /// What it is about.
    pub kind: EventKind,
    /// What happened, in one stable word.
    pub code: String,
    /// The same for people.
    pub message: String,
}

/// The last events of one camera. Written by its threads, none of which waits for another longer
/// than it takes to push one.
#[derive(Debug)]
pub(crate) struct Events {
    clock: Arc<dyn Clock>,
    kept: Mutex<VecDeque<CameraEvent>>,
    /// The program ends the camera: what follows from that is no event.
    is_over: AtomicBool,
}

impl Events {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            kept: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// The last [`MOST`], oldest first.
    pub(crate) fn all(&self) -> Vec<CameraEvent> {
        self.kept.lock().iter().cloned().collect()
    }

    /// Puts what was noted of the camera by others before what is noted here.
    pub(crate) fn remember(&self, before: &[CameraEvent]) {
        let mut kept = self.kept.lock();
        let room = MOST.saturating_sub(kept.len());
        for event in before.iter().rev().take(room) {
            kept.push_front(event.clone());
        }
    }

    /// Nothing more is noted.
    pub(crate) fn close(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// The camera is in `state`, because of `error` if there is one.
    pub(crate) fn state(&self, state: CameraState, error: Option<&Error>) {
        let (code, message) = match error {
            Some(error) => (error.code(), format!("{}: {error}", state.name())),
            None => (state.name(), state.name().to_owned()),
        };
        self.push(EventKind::State, code, message);
    }

    /// Recording begins.
    pub(crate) fn span(&self, cause: GapCause) {
        let why = match cause {
            GapCause::Camera => "the camera delivers again",
            GapCause::Network => "the camera can be reached again",
            GapCause::Disk => "the disk takes what is written again",
            GapCause::Restart => "the server has started",
            GapCause::Clock => "the clock was set, the machine slept, or the camera's time jumped",
        };
        let message = format!("a new span begins: {why}");
        self.push(EventKind::Span, cause.name(), message);
    }

    /// A track has another format.
    pub(crate) fn format(&self, format: &TrackFormat) {
        let message = match format {
            TrackFormat::Video(video) => format!("video {} × {}", video.width, video.height),
            TrackFormat::Audio(audio) => format!(
                "audio {} Hz, {} channel(s)",
                audio.sample_rate_hz, audio.channels
            ),
        };
        self.push(EventKind::Format, format.codec(), message);
    }

    /// Nothing is recorded.
    pub(crate) fn trouble(&self, error: &RecordingError) {
        let message = format!("not recorded: {}", error.message);
        self.push(EventKind::Recording, error.code, message);
    }

    /// Recording works again.
    pub(crate) fn recording(&self) {
        let message = "recording goes on".to_owned();
        self.push(EventKind::Recording, "recording", message);
    }

    /// Access units were dropped because `code` was too slow.
    pub(crate) fn dropped(&self, code: &'static str, message: &'static str) {
        self.push(EventKind::Dropped, code, message.to_owned());
    }

    /// So many packets did not arrive, since the start.
    pub(crate) fn lost(&self, packets: u64) {
        let message = format!("{packets} packets did not arrive since the start");
        self.push(EventKind::Lost, "packets", message);
    }

    fn push(&self, kind: EventKind, code: &str, message: String) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let time = self.clock.now();
        let mut kept = self.kept.lock();
        if let Some(newest) = kept.back_mut()
            && (newest.kind, newest.code.as_str()) == (kind, code)
        {
            newest.last = time;
            newest.times = newest.times.saturating_add(1);
            newest.message = message;
            return;
        }
        if kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back(CameraEvent {
            time,
            last: time,
            times: 1,
            kind,
            code: code.to_owned(),
            message,
        });
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use dayreel_core::ManualClock;

    use super::*;

    #[test]
    fn the_last_hundred_are_kept_and_repeats_are_counted() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let events = Events::new(clock.clone());
        for _ in 0..60 {
            for error in [Error::Refused, Error::Refused, Error::Closed] {
                events.state(CameraState::Reconnecting, Some(&error));
                clock.pass(TimeDelta::seconds(1));
            }
        }
        let all = events.all();
        assert_eq!(all.len(), MOST);
        let [.., refused, closed] = &all[..] else {
            panic!("a hundred events");
        };
        assert_eq!(
            (refused.code.as_str(), refused.times),
            ("camera_refused", 2)
        );
        assert_eq!(refused.last - refused.time, TimeDelta::seconds(1));
        assert_eq!((closed.code.as_str(), closed.times), ("camera_closed", 1));
        assert_eq!(closed.time, DateTime::UNIX_EPOCH + TimeDelta::seconds(179));
        assert_eq!(
            closed.message,
            "reconnecting: the camera ended the connection"
        );
        events.close();
        events.state(CameraState::Live, None);
        assert_eq!(events.all(), all);
    }

    #[test]
    fn what_was_before_comes_first_and_no_more_than_is_kept() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let (before, after) = (Events::new(clock.clone()), Events::new(clock.clone()));
        for error in [Error::Refused, Error::Closed].iter().cycle().take(MOST) {
            before.state(CameraState::Reconnecting, Some(error));
            clock.pass(TimeDelta::minutes(10));
        }
        after.state(CameraState::Live, None);
        let before = before.all();
        after.remember(&before);
        let all = after.all();
        assert_eq!(all.len(), MOST);
        assert_eq!(all[..MOST - 1], before[before.len() - (MOST - 1)..]);
        assert_eq!(all[MOST - 1].code, "live");
    }
}
