//! The one thread that owns a camera: begins sessions, watches them, ends them, tries again.
//!
//! ```text
//!            ┌────────────── unit ◀────────────┐
//!            ▼                                 │
//! Connecting ─unit▶ Live ─silence▶ Stalled ────┘
//!     │              │               │
//!     └───── failed, closed, silent ─┴─▶ Ending ─gone, or too late▶ Waiting ─time▶ Connecting
//! ```
//!
//! It sleeps until something is reported or the next deadline comes; nothing is polled.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use dayreel_core::GapCause;
use tracing::{info, warn};

use crate::{
    CameraState, Error,
    retry::Retry,
    session::{Event, Reporter, Session},
    shared::Shared,
};

/// How many pipelines that do not end may be left behind before no new one is begun.
const MOST_ABANDONED: u64 = 3;

/// What wakes the supervisor.
#[derive(Debug)]
pub(crate) enum Input {
    /// From the session of that number.
    Session(u64, Event),
    /// End everything.
    Stop,
}

/// Where the camera is, with what belongs to it there.
enum Phase {
    Connecting {
        session: Session,
        until: Instant,
        /// If it is heard: its first picture may be a minute away.
        at_most: Instant,
    },
    Live {
        session: Session,
        since: Instant,
    },
    /// Connected, but silent.
    Stalled {
        session: Session,
        since: Instant,
        until: Instant,
    },
    /// The session's pipeline is being stopped by a thread of its own.
    Ending {
        until: Instant,
        then_wait: Duration,
    },
    Waiting {
        until: Instant,
    },
    Stopped,
}

/// Why nothing is recorded: what ended it, and of that the first that is not vague. A camera that
/// reboots ends the connection and then cannot be reached; a pulled cable is silent at first.
#[derive(Debug, Default, PartialEq, Eq)]
enum Interruption {
    #[default]
    None,
    Vague,
    Certain,
}

impl Interruption {
    /// The cause, if `error` tells more than what was known.
    fn of(&mut self, error: &Error) -> Option<GapCause> {
        let known = match error.is_vague() {
            true => Self::Vague,
            false => Self::Certain,
        };
        match (&*self, &known) {
            (Self::Certain, _) | (Self::Vague, Self::Vague) => None,
            _ => {
                *self = known;
                Some(error.gap_cause())
            }
        }
    }
}

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    inputs: Receiver<Input>,
    events: Sender<Input>,
    retry: Retry,
    /// What ended the session that delivered last, or why none has delivered since.
    interruption: Interruption,
    /// Why nothing is recorded before the next session delivers; up to the first it is the restart.
    cause: GapCause,
    /// Number of the running session, or of the last.
    session: u64,
    /// Pipelines that have not ended in time.
    abandoned: u64,
    stopping: bool,
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>, inputs: Receiver<Input>, events: Sender<Input>) -> Self {
        Self {
            shared,
            inputs,
            events,
            retry: Retry::default(),
            interruption: Interruption::default(),
            cause: GapCause::Restart,
            session: 0,
            abandoned: 0,
            stopping: false,
        }
    }

    /// Runs until [`Input::Stop`], then ends the session and returns.
    pub(crate) fn run(mut self) {
        let mut phase = self.connect();
        while !matches!(phase, Phase::Stopped) {
            let deadline = self.deadline(&phase);
            let rest = deadline.saturating_duration_since(Instant::now());
            phase = match self.inputs.recv_timeout(rest) {
                Ok(Input::Session(session, event)) if session == self.session => {
                    self.on_event(phase, event)
                }
                Ok(Input::Session(_, Event::Gone)) => {
                    self.abandoned = self.abandoned.saturating_sub(1);
                    phase
                }
                Ok(Input::Session(..)) => phase,
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => self.stop(phase),
                Err(RecvTimeoutError::Timeout) => self.on_deadline(phase),
            };
        }
    }

    fn connect(&mut self) -> Phase {
        let is_first = self.session == 0;
        self.session += 1;
        self.shared.begin_session(is_first);
        if is_first {
            self.shared.events.state(CameraState::Connecting, None);
        }
        self.shared.await_unit();
        let reporter = Reporter {
            session: self.session,
            events: self.events.clone(),
        };
        match Session::start(Arc::clone(&self.shared), reporter) {
            Ok(session) => {
                let connect = self.shared.settings.timing.connect;
                let now = Instant::now();
                Phase::Connecting {
                    session,
                    until: now + connect,
                    at_most: now + connect * 5 / 2,
                }
            }
            Err(error) => {
                let wait = self.note_failure(error, false);
                Phase::Waiting {
                    until: Instant::now() + wait,
                }
            }
        }
    }

    /// When to look again, whatever happens.
    fn deadline(&self, phase: &Phase) -> Instant {
        match phase {
            Phase::Connecting { until, .. }
            | Phase::Stalled { until, .. }
            | Phase::Ending { until, .. }
            | Phase::Waiting { until } => *until,
            Phase::Live { .. } => Instant::now() + self.shared.silent_in(),
            Phase::Stopped => Instant::now(),
        }
    }

    fn on_event(&mut self, phase: Phase, event: Event) -> Phase {
        match (phase, event) {
            (Phase::Connecting { session, .. }, Event::Unit) => {
                info!(camera = %self.shared.settings.id, "live");
                self.interruption = Interruption::default();
                self.shared.enter(CameraState::Live, None);
                self.shared.events.span(self.cause);
                self.cause = GapCause::Camera;
                Phase::Live {
                    session,
                    since: Instant::now(),
                }
            }
            (Phase::Stalled { session, since, .. }, Event::Unit) => {
                self.shared.enter(CameraState::Live, None);
                Phase::Live { session, since }
            }
            (Phase::Connecting { session, .. }, Event::Failed(error)) => {
                self.fail(session, error, false)
            }
            (
                Phase::Live { session, since } | Phase::Stalled { session, since, .. },
                Event::Failed(error),
            ) => self.fail(session, error, self.is_good(since)),
            (Phase::Ending { then_wait, .. }, Event::Gone) => self.gone(then_wait),
            (phase, _) => phase,
        }
    }

    fn on_deadline(&mut self, phase: Phase) -> Phase {
        let timing = self.shared.settings.timing;
        match phase {
            Phase::Connecting {
                session, at_most, ..
            } if self.shared.is_heard() && Instant::now() < at_most => Phase::Connecting {
                session,
                until: at_most.min(Instant::now() + timing.silence),
                at_most,
            },
            Phase::Connecting { session, .. } => {
                self.fail(session, Error::Timeout(timing.connect), false)
            }
            Phase::Live { session, since } => {
                if !self.shared.silent_in().is_zero() {
                    return Phase::Live { session, since };
                }
                self.shared
                    .enter(CameraState::Stalled, Some(Error::Silent(timing.silence)));
                self.shared.await_unit();
                Phase::Stalled {
                    session,
                    since,
                    until: Instant::now() + timing.silence,
                }
            }
            Phase::Stalled { session, since, .. } => self.fail(
                session,
                Error::Silent(timing.silence * 2),
                self.is_good(since),
            ),
            Phase::Ending { then_wait, .. } => {
                warn!(camera = %self.shared.settings.id, "a pipeline does not end; it is left behind");
                self.abandoned += 1;
                self.gone(then_wait)
            }
            Phase::Waiting { .. } if self.abandoned > MOST_ABANDONED => Phase::Waiting {
                until: Instant::now() + timing.retry_most,
            },
            Phase::Waiting { .. } => self.connect(),
            Phase::Stopped => Phase::Stopped,
        }
    }

    /// Ends a session because of `error`.
    fn fail(&mut self, session: Session, error: Error, was_good: bool) -> Phase {
        let then_wait = self.note_failure(error, was_good);
        self.end(session, then_wait)
    }

    fn end(&self, session: Session, then_wait: Duration) -> Phase {
        let timing = self.shared.settings.timing;
        session.end(timing.teardown / 3);
        Phase::Ending {
            until: Instant::now() + timing.teardown,
            then_wait,
        }
    }

    fn gone(&self, then_wait: Duration) -> Phase {
        if self.stopping {
            return Phase::Stopped;
        }
        Phase::Waiting {
            until: Instant::now() + then_wait,
        }
    }

    /// Says what went wrong. Returns the wait before the next attempt.
    fn note_failure(&mut self, error: Error, was_good: bool) -> Duration {
        let timing = &self.shared.settings.timing;
        let wait = self.retry.after(timing, &error, was_good, rand::random());
        let state = if error.needs_a_person() {
            CameraState::Failed
        } else {
            CameraState::Reconnecting
        };
        if self.retry.is_news() {
            warn!(
                camera = %self.shared.settings.id,
                code = error.code(),
                retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "{error}"
            );
        }
        if let Some(cause) = self.interruption.of(&error) {
            self.shared.writer.interrupted(cause);
            if self.cause != GapCause::Restart {
                self.cause = cause;
            }
        }
        self.shared.enter(state, Some(error));
        wait
    }

    fn stop(&mut self, phase: Phase) -> Phase {
        self.stopping = true;
        match phase {
            Phase::Connecting { session, .. }
            | Phase::Live { session, .. }
            | Phase::Stalled { session, .. } => self.end(session, Duration::ZERO),
            ending @ Phase::Ending { .. } => ending,
            Phase::Waiting { .. } | Phase::Stopped => Phase::Stopped,
        }
    }

    fn is_good(&self, since: Instant) -> bool {
        since.elapsed() >= self.shared.settings.timing.good_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_certain_reason_is_the_cause() {
        const SILENT: Error = Error::Silent(Duration::ZERO);
        let causes = |errors: &[Error]| {
            let mut interruption = Interruption::default();
            let told = errors.iter().filter_map(|error| interruption.of(error));
            told.collect::<Vec<_>>()
        };
        let (camera, network) = (GapCause::Camera, GapCause::Network);
        assert_eq!(causes(&[Error::Closed, Error::Refused]), [camera]);
        assert_eq!(causes(&[SILENT, SILENT]), [camera]);
        assert_eq!(
            causes(&[SILENT, Error::Unreachable, Error::Closed]),
            [camera, network]
        );
        assert_eq!(causes(&[Error::Unresolved, Error::Auth]), [network]);
    }
}
