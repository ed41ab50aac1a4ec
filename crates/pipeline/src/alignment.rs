//! How the RTP clocks of sound and picture stand to each other.
//!
//! Their sender reports say it to the tick (RFC 3550 §6.4.1), where a camera's are right. The arrival of
//! packets says it roughly: an encoder may hold each picture back for longer than anybody can know. So
//! reports are believed as far as arrival can confirm them: some cameras are off by seconds, some count
//! whole seconds, some report zero.
//!
//! RTP-Info (RFC 2326 §12.33) is not looked at: some cameras make it up, and gst-rtsp-server says of a
//! live stream which packet comes next, which for sound is another instant than for the picture.
//!
//! A session's first picture is often late, because an encoder starts or a GOP is sent at once. So sound
//! waits for a second; then it is known which packets of either were the least delayed. It waits a
//! little longer for reports that have not come. The picture waits for nothing, and what was placed
//! stays where it is.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use parking_lot::Mutex;

use crate::rtp_clock::RtpClock;

const MS_NS: i64 = 1_000_000;
/// How long packets are looked at, and sound waits for.
const WINDOW_NS: i64 = 1_000 * MS_NS;
/// How long sound waits for a picture and for reports. A sender reports within 3.08 s of its start (RFC
/// 3550 §6.3.1: 2.5 s × 1.5 / 1.21828).
pub(crate) const MOST_WAIT_NS: i64 = 3_200 * MS_NS;
/// How far reports may be from what arrival says. More is no encoder, but a clock that is wrong.
const MOST_OFF_NS: i64 = 500 * MS_NS;
/// How far two reports of a track may be apart. Cameras that read another clock for each, or round, are
/// further.
const AGREE_NS: i64 = 20 * MS_NS;

/// When the RTP clock of a track showed what, by the clock of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportedTime {
    /// Since the epoch of NTP, ns.
    ntp_ns: i64,
    rtp: u32,
}

impl ReportedTime {
    /// What a sender report says; `None` where it says nothing: the camera has no clock (RFC 3550 §6.4.1:
    /// 0 then), or one of whole seconds.
    pub(crate) fn of(ntp: u64, rtp: u32) -> Option<Self> {
        let ns = (u128::from(ntp) * 1_000_000_000) >> 32;
        let has_fraction = ntp & 0xffff_ffff != 0;
        let ntp_ns = i64::try_from(ns).ok().filter(|_| has_fraction)?;
        Some(Self { ntp_ns, rtp })
    }
}

/// What the sender reports of a track say in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reported {
    /// None has come.
    #[default]
    Nothing,
    /// What lies between the time of its [`RtpClock`] and that of NTP, ns.
    Says(i64),
    /// They contradict each other.
    Contradictory,
}

impl Reported {
    /// Takes up one more. `clock` has had a packet.
    pub(crate) fn take(&mut self, report: ReportedTime, clock: &RtpClock) {
        let Some(time_ns) = clock.ns_of(report.rtp) else {
            return;
        };
        let says_ns = report.ntp_ns.saturating_sub(time_ns);
        *self = match *self {
            Self::Nothing => Self::Says(says_ns),
            Self::Says(before_ns) if before_ns.abs_diff(says_ns) <= AGREE_NS.unsigned_abs() => {
                Self::Says(before_ns)
            }
            _ => Self::Contradictory,
        };
    }
}

/// The alignment of one session, shared by the threads that read its tracks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alignment(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    first: OnceLock<Instant>,
    picture: Mutex<Option<Picture>>,
}

/// What is known of the picture.
#[derive(Clone, Copy, Debug)]
struct Picture {
    /// When its first packet came, ns after the first of the session.
    since_ns: i64,
    /// By how much one was less delayed than that, ns.
    early_ns: i64,
    reported: Reported,
}

impl Alignment {
    /// How long ago the first packet of the session came, in ns. The first caller's is the first.
    pub(crate) fn since(&self) -> i64 {
        let since = self.0.first.get_or_init(Instant::now).elapsed().as_nanos();
        i64::try_from(since).unwrap_or(i64::MAX)
    }

    /// Notes a packet of the picture that came `late_ns` after the first of the session.
    pub(crate) fn note_picture(&self, late_ns: i64, clock: &RtpClock, reported: Reported) {
        let mut picture = self.0.picture.lock();
        let picture = picture.get_or_insert(Picture {
            since_ns: late_ns,
            early_ns: 0,
            reported,
        });
        picture.reported = reported;
        if late_ns - picture.since_ns <= WINDOW_NS {
            picture.early_ns = clock.early_ns();
        }
    }

    /// By how much sound has to be moved that began `since_ns` after the first packet of the session,
    /// at `late_ns`. `None`: it is too early to say.
    pub(crate) fn shift_ns(
        &self,
        since_ns: i64,
        late_ns: i64,
        clock: &RtpClock,
        reported: Reported,
    ) -> Option<i64> {
        let waited_ns = late_ns - since_ns;
        let may_wait = waited_ns <= MOST_WAIT_NS;
        let Some(picture) = *self.0.picture.lock() else {
            return (!may_wait).then_some(-clock.early_ns());
        };
        let seen_ns = waited_ns.min(late_ns - picture.since_ns);
        if seen_ns <= WINDOW_NS && may_wait {
            return None;
        }
        let by_arrival_ns = picture.early_ns - clock.early_ns();
        match (picture.reported, reported) {
            (Reported::Nothing, _) | (_, Reported::Nothing) if may_wait => None,
            (Reported::Says(picture_ns), Reported::Says(sound_ns)) => {
                let by_reports_ns = sound_ns - picture_ns;
                let is_off = by_reports_ns.abs_diff(by_arrival_ns) > MOST_OFF_NS.unsigned_abs();
                Some(if is_off { by_arrival_ns } else { by_reports_ns })
            }
            _ => Some(by_arrival_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NTP time of the beginning of a session, in 2^-32 s.
    const BEGAN: u64 = 3_900_000_000 << 32 | 0x4000_0000;

    /// A report `ms` after the session began, of a track with `rate_hz` whose clock began at 0 and is
    /// `off_ms` off.
    fn report(ms: u64, off_ms: i64, rate_hz: u32) -> ReportedTime {
        let ntp = BEGAN.wrapping_add_signed(off_ms * (1 << 32) / 1_000) + (ms << 32) / 1_000;
        let rtp = ms * u64::from(rate_hz) / 1_000;
        ReportedTime::of(ntp, u32::try_from(rtp).unwrap()).unwrap()
    }

    /// By how many ms sound is moved, and after how many, that comes every 20 ms and is never late, where
    /// the picture's first packet is 140 ms late and all others 60; with reports of the picture and the
    /// sound at these times and so much off.
    fn shift(picture_reports: &[(u64, i64)], sound_reports: &[(u64, i64)]) -> (i64, u64) {
        let alignment = Alignment::default();
        let (mut picture, mut sound) = (RtpClock::new(90_000), RtpClock::new(8_000));
        let (mut of_picture, mut of_sound) = (Reported::Nothing, Reported::Nothing);
        let decided = (0..400).find_map(|tick: u64| {
            let ms = tick * 10;
            let now = i64::try_from(ms).unwrap() * MS_NS;
            let rtp = |ms: u64, per_ms: u64| u32::try_from(ms * per_ms).unwrap();
            sound.time(rtp(ms, 8), now);
            if tick == 14 {
                picture.time(0, now);
            } else if tick > 14 && tick % 4 == 2 {
                picture.time(rtp(ms - 60, 90), now);
            }
            let of = |reports: &[(u64, i64)]| {
                let due = reports.iter().find(|(at, _)| *at == ms);
                due.map(|(_, off)| *off)
            };
            if let Some(off) = of(picture_reports) {
                of_picture.take(report(ms, off, 90_000), &picture);
            }
            if let Some(off) = of(sound_reports) {
                of_sound.take(report(ms, off, 8_000), &sound);
            }
            if tick >= 14 {
                alignment.note_picture(now, &picture, of_picture);
            }
            let shift_ns = alignment.shift_ns(0, now, &sound, of_sound)?;
            Some(((shift_ns + MS_NS / 2) / MS_NS, ms))
        });
        decided.expect("it is decided")
    }

    #[test]
    fn reports_align_what_an_encoder_held_back() {
        assert_eq!(shift(&[(500, 0)], &[(700, 0)]), (140, 1_150));
        assert_eq!(shift(&[(500, 9_000)], &[(2_000, 9_000)]), (140, 2_000));
        // Two that agree, to what a clock read twice is apart.
        assert_eq!(shift(&[(500, 0), (900, 5)], &[(700, 0)]), (140, 1_150));
    }

    #[test]
    fn without_reports_arrival_aligns() {
        let (shift_ms, after_ms) = shift(&[], &[]);
        assert_eq!((shift_ms, after_ms), (80, 3_210));
        assert_eq!(shift(&[(500, 0)], &[]), (80, 3_210));
    }

    #[test]
    fn reports_that_arrival_contradicts_are_not_used() {
        assert_eq!(shift(&[(500, 0)], &[(700, 1_500)]), (80, 1_150));
        assert_eq!(shift(&[(500, 600)], &[(700, 0)]), (80, 1_150));
    }

    #[test]
    fn reports_that_contradict_each_other_are_not_used() {
        assert_eq!(shift(&[(500, 0), (900, 200)], &[(700, 0)]), (80, 1_150));
        assert_eq!(shift(&[(500, 0)], &[(700, 0), (1_000, -30)]), (80, 1_150));
    }

    #[test]
    fn a_clock_of_whole_seconds_says_nothing() {
        assert_eq!(ReportedTime::of(0, 1), None);
        assert_eq!(ReportedTime::of(3_900_000_000 << 32, 1), None);
        assert!(ReportedTime::of(BEGAN, 1).is_some());
        assert!(ReportedTime::of(u64::MAX, 1).is_some());
    }

    #[test]
    fn without_a_picture_sound_goes_on_alone() {
        let alignment = Alignment::default();
        let clock = RtpClock::new(8_000);
        let shift_ns = |late_ns| alignment.shift_ns(0, late_ns, &clock, Reported::Nothing);
        assert_eq!(shift_ns(MOST_WAIT_NS), None);
        assert_eq!(shift_ns(MOST_WAIT_NS + 1), Some(0));
    }
}
