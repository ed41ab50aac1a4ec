//! Media time of one camera: RTP timestamps in, 1/90000 s since the Unix epoch out. Pure
//! arithmetic, so that a day of drift is tested in milliseconds.
//!
//! ```text
//! media time = RTP time + shift of the track + offset of the camera
//! ```
//!
//! - The **offset** is what lies between the camera's clock and ours. It is measured on the
//!   least-delayed access unit of a window (the others waited somewhere) and followed so slowly
//!   that no player notices; within a dead band it is left alone, and durations are exactly those
//!   of the RTP clock. Sound and picture share it, so they stay in sync; each moves to it by its own
//!   RTP time, so that units that arrive in a burst keep their distances.
//! - The **shift** absorbs what the RTP clock of one track does on its own: a lone mad timestamp
//!   is replaced by the next expected one, and a jump that three access units agree on, which come
//!   at their pace, is taken out of the timeline, which runs on.
//! - A new **span** begins where media time itself has to jump: our clock was set, or the stream has
//!   been late by more than a second for a minute.
//! - **Backwards** it goes only where our clock was seen to be set back, and by more than
//!   [`SET_BACK_90K`]: what is recorded after is then set aside by the recorder. For less, access
//!   units are dropped until the clock is there again; within a second it is approached like a
//!   drifting one. At its start, our clock is not believed to be behind what is recorded: machines
//!   without a battery begin in 1970, or where they were stopped. Media time then goes on after what
//!   is recorded until the clock is set, or for ten minutes.

use dayreel_archive::SET_BACK_90K;
use dayreel_core::{MediaTime, TICKS_PER_SECOND, TrackKind};

use track::{Repaired, Track};

#[cfg(test)]
mod tests;
mod track;

/// A second in signed ticks.
const SECOND_90K: i64 = 90_000;
const _: () = assert!(TICKS_PER_SECOND == 90_000);
/// [`SET_BACK_90K`], signed.
const SET_BACK_TICKS: i64 = 10 * SECOND_90K;
const _: () = assert!(SET_BACK_90K == SET_BACK_TICKS.unsigned_abs());
/// Errors below this are jitter and are not followed.
const DEAD_BAND_90K: i64 = SECOND_90K / 10;
/// An error that is being followed is followed down to this.
const SETTLED_90K: i64 = SECOND_90K / 50;
/// From here on, follow faster: media time has to stay within a second.
const FAR_90K: i64 = SECOND_90K * 4 / 10;
/// How fast an error is followed, in millionths; a crystal is off by less than 100. So slow that an
/// access unit of 40 ms keeps its duration to the tick.
const SLEW_PPM: i64 = 250;
/// How fast one above [`FAR_90K`] is: twice what the worst known cameras drift.
const FAST_SLEW_PPM: i64 = 2_000;
/// How long the least-delayed access unit is looked for.
const WINDOW_90K: i64 = 10 * SECOND_90K;
/// Media time jumps only when this much or more is wrong.
pub(crate) const STEP_90K: i64 = SECOND_90K;
/// For so long a clock that is behind what is recorded is not believed: 10 min.
const DOUBT_90K: i64 = 600 * SECOND_90K;
/// For how many windows in a row the stream has to be behind before media time jumps: a congested
/// network recovers earlier.
const LATE_WINDOWS: u32 = 6;

/// When an access unit arrived, by both clocks of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// By the wall clock, which may be set.
    pub wall: MediaTime,
    /// By a clock that only runs forward, in ticks since any fixed instant.
    pub steady_90k: u64,
}

impl Arrival {
    /// What arrived then, by today's reading of the wall clock: that it was set since is no news.
    pub(crate) fn at(self, steady_90k: u64) -> Self {
        let age_90k = self.steady_90k.saturating_sub(steady_90k);
        Self {
            wall: MediaTime::from_ticks(self.wall.ticks().saturating_sub(age_90k)),
            steady_90k: self.steady_90k.saturating_sub(age_90k),
        }
    }
}

/// Where an access unit stands in media time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Presentation time.
    pub media: MediaTime,
    /// The usual distance of two access units of its track, in ticks.
    pub step_90k: u64,
    /// Number of the span it belongs to. Media time is continuous within a span.
    pub span: u32,
}

/// The clock of one camera. Lives as long as the camera: a new session starts after everything
/// that was stamped before. See the module's documentation.
#[derive(Debug, Default)]
pub struct MediaClock {
    span: u32,
    /// The end of the latest access unit of all sessions. No session starts before, unless our clock
    /// is set back.
    not_before_90k: i64,
    /// What would stand before is dropped: our clock was set back a little.
    resume_90k: i64,
    /// Whether our clock may be behind `not_before_90k` by right: it was set, or has been there for
    /// long.
    is_believed: bool,
    /// Steady time of the first access unit.
    began_90k: Option<i64>,
    last: Option<Arrival>,
    line: Option<Line>,
}

/// The relation of RTP time and media time during a session.
#[derive(Debug)]
struct Line {
    offset_90k: i64,
    /// By how much the line began after the wall clock.
    held_90k: i64,
    /// How far the tracks are to move from the offset.
    goal_90k: i64,
    /// Whether an error is being followed.
    slewing: bool,
    /// How far they have moved: video, audio.
    moves: [Move; 2],
    /// What was wrong when last measured, less what was moved since: media time is so far behind.
    error_90k: i64,
    window: Window,
    late_windows: u32,
    /// The track whose delays are measured: the video if there is any.
    reference: TrackKind,
    video: Track,
    audio: Track,
}

/// How far a track has moved from the offset.
#[derive(Clone, Copy, Debug, Default)]
struct Move {
    moved_90k: i64,
    /// Millionths of ticks that make no whole tick yet.
    rest: i64,
}

/// The least delay seen since `start_90k` (steady time).
#[derive(Debug)]
struct Window {
    start_90k: i64,
    least_90k: Option<i64>,
}

impl MediaClock {
    /// A clock that has stamped nothing, for a camera of which nothing is recorded.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that goes on after `recorded`.
    pub fn after(recorded: MediaTime) -> Self {
        Self {
            not_before_90k: ticks(recorded.ticks()),
            ..Self::default()
        }
    }

    /// A new session: RTP time has nothing to do with that before. Begins a new span.
    pub fn restart(&mut self) {
        if self.line.take().is_some() {
            self.span = self.span.wrapping_add(1);
        }
    }

    /// Number of the running span.
    pub fn span(&self) -> u32 {
        self.span
    }

    /// How far media time is known to be from the wall clock, in ticks; positive: it is behind.
    pub fn error_90k(&self) -> i64 {
        self.line.as_ref().map_or(0, |line| line.error_90k)
    }

    /// Stamps an access unit. `pts_90k` is its RTP time as far as the session knows it. Without one
    /// the next expected is taken; `None` if nothing is known to expect it from, or it has to be
    /// dropped because its time has been recorded already.
    pub fn stamp(
        &mut self,
        kind: TrackKind,
        pts_90k: Option<u64>,
        arrival: Arrival,
    ) -> Option<Stamp> {
        let pts_90k = pts_90k.and_then(|pts| i64::try_from(pts).ok());
        let wall_90k = ticks(arrival.wall.ticks());
        let steady_90k = ticks(arrival.steady_90k);
        self.look_at_our_clock(arrival);
        let line = match &mut self.line {
            Some(line) => line,
            None => {
                let start_90k = self.start_90k(wall_90k)?;
                let offset_90k = start_90k.checked_sub(pts_90k?)?;
                let held_90k = start_90k - wall_90k;
                self.line
                    .insert(Line::new(kind, offset_90k, held_90k, arrival))
            }
        };
        let repaired = line.repair(kind, pts_90k, wall_90k, steady_90k)?;
        if kind == TrackKind::Video {
            line.reference = kind;
        }
        if kind == line.reference && repaired.is_own {
            let delay_90k = wall_90k.saturating_sub(repaired.pts_90k);
            if line.measure(delay_90k, steady_90k) {
                self.span = self.span.wrapping_add(1);
            }
        }
        let moved_90k = line.slew(kind, repaired.advance_90k);
        let media_90k = repaired
            .pts_90k
            .checked_add(line.offset_90k)?
            .checked_add(moved_90k)?;
        if media_90k < self.resume_90k {
            return None;
        }
        let end_90k = media_90k.saturating_add(repaired.step_90k);
        self.not_before_90k = self.not_before_90k.max(end_90k);
        Some(Stamp {
            media: MediaTime::from_ticks(u64::try_from(media_90k).ok()?),
            step_90k: u64::try_from(repaired.step_90k).unwrap_or(0),
            span: self.span,
        })
    }

    /// Notices that our clock was set, and lets media time follow.
    fn look_at_our_clock(&mut self, now: Arrival) {
        let steady_90k = ticks(now.steady_90k);
        let began_90k = *self.began_90k.get_or_insert(steady_90k);
        let last = self.last.replace(now);
        let set_90k = last.map_or(0, |last| set_between(last, now));
        let was_set = set_90k.abs() > STEP_90K;
        self.is_believed |= was_set || steady_90k.saturating_sub(began_90k) > DOUBT_90K;
        let Some(line) = &mut self.line else {
            return;
        };
        if was_set {
            line.window.least_90k = None;
            line.error_90k = line.error_90k.saturating_add(set_90k);
        }
        let ahead_90k = line.error_90k.saturating_neg();
        let is_wrong = match was_set {
            true => ahead_90k.abs() > STEP_90K,
            false => line.held_90k > STEP_90K && ahead_90k > STEP_90K,
        };
        if !is_wrong || (ahead_90k > 0 && !self.is_believed) {
            return;
        }
        line.jump(-ahead_90k);
        self.span = self.span.wrapping_add(1);
        if ahead_90k > SET_BACK_TICKS {
            // What was stamped since is set aside.
            self.not_before_90k = 0;
            self.resume_90k = 0;
        } else if ahead_90k > 0 {
            self.resume_90k = self.not_before_90k;
        }
    }

    /// Where a session starts in media time; `None` while it has to wait.
    fn start_90k(&mut self, wall_90k: i64) -> Option<i64> {
        let ahead_90k = self.not_before_90k.saturating_sub(wall_90k);
        if ahead_90k <= STEP_90K || !self.is_believed {
            return Some(wall_90k.max(self.not_before_90k));
        }
        if ahead_90k <= SET_BACK_TICKS {
            return None;
        }
        self.not_before_90k = 0;
        self.resume_90k = 0;
        Some(wall_90k)
    }
}

/// By how much the wall clock was set between two arrivals.
fn set_between(before: Arrival, now: Arrival) -> i64 {
    let wall_90k = ticks(now.wall.ticks()) - ticks(before.wall.ticks());
    let steady_90k = ticks(now.steady_90k) - ticks(before.steady_90k);
    wall_90k.saturating_sub(steady_90k)
}

impl Line {
    fn new(reference: TrackKind, offset_90k: i64, held_90k: i64, arrival: Arrival) -> Self {
        Self {
            offset_90k,
            held_90k,
            goal_90k: 0,
            slewing: false,
            moves: [Move::default(); 2],
            error_90k: -held_90k,
            window: Window {
                start_90k: ticks(arrival.steady_90k),
                least_90k: None,
            },
            late_windows: 0,
            reference,
            video: Track::reordering(),
            audio: Track::in_order(),
        }
    }

    /// Lets media time jump by `by_90k`, to where it should be.
    fn jump(&mut self, by_90k: i64) {
        self.offset_90k = self.offset_90k.saturating_add(by_90k);
        self.held_90k = 0;
        self.error_90k = 0;
        self.late_windows = 0;
        self.slewing = false;
        self.goal_90k = self.moves[self.reference as usize].moved_90k;
    }

    /// The RTP time of an access unit as it belongs to this line.
    fn repair(
        &mut self,
        kind: TrackKind,
        pts_90k: Option<i64>,
        wall_90k: i64,
        steady_90k: i64,
    ) -> Option<Repaired> {
        let now_90k = wall_90k.saturating_add(self.held_90k);
        let due_90k = now_90k.saturating_sub(self.offset_90k + self.goal_90k);
        let (track, other) = match kind {
            TrackKind::Video | TrackKind::Preview => (&mut self.video, &self.audio),
            TrackKind::Audio => (&mut self.audio, &self.video),
        };
        track.repair(
            pts_90k,
            steady_90k,
            due_90k,
            other.last_jump(),
            self.offset_90k,
        )
    }

    /// Takes up the delay of an access unit and lets the offset move. Says whether it jumped.
    fn measure(&mut self, delay_90k: i64, steady_90k: i64) -> bool {
        let elapsed_90k = steady_90k - self.window.start_90k;
        let mut stepped = false;
        if elapsed_90k >= WINDOW_90K {
            stepped = self.close_window();
            self.window = Window {
                start_90k: steady_90k,
                least_90k: None,
            };
        }
        let least_90k = self.window.least_90k.get_or_insert(delay_90k);
        *least_90k = delay_90k.min(*least_90k);
        stepped
    }

    fn close_window(&mut self) -> bool {
        let Some(least_90k) = self.window.least_90k else {
            return false;
        };
        let moved_90k = self.moves[self.reference as usize].moved_90k;
        self.error_90k = least_90k.saturating_sub(self.offset_90k + moved_90k);
        if self.error_90k > STEP_90K {
            self.late_windows += 1;
            if self.late_windows >= LATE_WINDOWS {
                self.jump(self.error_90k);
                return true;
            }
        } else {
            self.late_windows = 0;
        }
        let bound_90k = if self.slewing {
            SETTLED_90K
        } else {
            DEAD_BAND_90K
        };
        self.slewing = self.error_90k.abs() > bound_90k;
        self.goal_90k = moved_90k + if self.slewing { self.error_90k } else { 0 };
        false
    }

    /// Lets the track `kind` move towards the goal while it advances; returns how far it is.
    fn slew(&mut self, kind: TrackKind, advance_90k: i64) -> i64 {
        let is_reference = kind == self.reference;
        let Move { moved_90k, rest } = &mut self.moves[kind as usize];
        let left_90k = self.goal_90k - *moved_90k;
        let ppm = if left_90k.abs() > FAR_90K {
            FAST_SLEW_PPM
        } else {
            SLEW_PPM
        };
        let advance_90k = advance_90k.clamp(0, SECOND_90K);
        let millionths = *rest + advance_90k * ppm * left_90k.signum();
        let step_90k = (millionths / 1_000_000).clamp(-left_90k.abs(), left_90k.abs());
        *rest = if left_90k == 0 {
            0
        } else {
            millionths % 1_000_000
        };
        *moved_90k += step_90k;
        if is_reference {
            self.error_90k -= step_90k;
        }
        *moved_90k
    }
}

/// As a signed number; what does not fit is the end of time.
fn ticks(ticks_90k: u64) -> i64 {
    i64::try_from(ticks_90k).unwrap_or(i64::MAX)
}
