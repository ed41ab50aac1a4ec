//! What is done to a camera, and what that explains.

use std::{fmt, ops::RangeInclusive, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

/// Media time follows the wall clock to a second, and packets are a while on their way.
const SLACK: TimeDelta = TimeDelta::milliseconds(1_500);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unplugged: nobody answers.
    Away,
    /// No packet any more, requests are answered.
    Silent,
    /// Nothing at all any more over an open connection.
    Hangs,
    /// It closes the connection.
    HangsUp,
    /// RTCP BYE.
    Goodbye,
    /// 404 to whoever comes.
    NotFound,
    /// 453 to whoever comes: too many viewers.
    Full,
    /// One packet in 31 is lost.
    Loss,
    /// RTP time jumps 10 s forward, and back at the end.
    ClockJumps,
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
}

impl Kind {
    /// How long the `n`th of a camera lasts.
    pub(crate) fn duration(self, n: u32) -> Duration {
        let seconds = match self {
            // Shorter and longer than 8 s, after which a camera is stalled.
            Self::Away => 4 + n * 5 % 17,
            Self::NotFound | Self::Full => 5,
            Self::Loss | Self::ClockJumps => 10,
            // What they do to this connection is not undone.
            Self::Silent | Self::Hangs | Self::HangsUp | Self::Goodbye => 0,
        };
        Duration::from_secs(seconds.into())
    }

    /// From its end until it is recorded again, at most; `None` if it is no reason to stop. From
    /// `Timing` of the pipeline: waits and their quarter of chance, 2 s to connect, and a keyframe.
    pub(crate) const fn recovery(self) -> Option<TimeDelta> {
        let seconds = match self {
            Self::Loss | Self::ClockJumps => return None,
            Self::Away | Self::HangsUp => 8,
            // Connected again after twice 8 s of silence. In a datagram anybody could say goodbye: the
            // silence after it decides.
            Self::Silent | Self::Hangs | Self::Goodbye => 26,
            // After the third refusal it is 4 s.
            Self::Full => 15,
            // Somebody has to do something about it: 180 s.
            Self::NotFound => 235,
        };
        Some(TimeDelta::seconds(seconds))
    }
}

impl Fault {
    /// Whether it explains that nothing was recorded from `start` to `end`.
    pub(crate) fn explains_gap(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        let latest = self.kind.recovery().map(|recovery| self.to + recovery);
        latest.is_some_and(|latest| start >= self.from - SLACK && end <= latest)
    }

    /// Whether it explains that an access unit of this time is damaged or missing.
    pub(crate) fn explains_loss(&self, at: DateTime<Utc>) -> bool {
        self.kind == Kind::Loss && around(self.from, self.to).contains(&at)
    }
}

/// From `from` to `to`, and as much around as times may be off.
pub(crate) fn around(from: DateTime<Utc>, to: DateTime<Utc>) -> RangeInclusive<DateTime<Utc>> {
    from - SLACK..=to + SLACK
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.format("%T%.3f"), self.to.format("%T%.3f"));
        write!(f, "{:?} {from} to {to}", self.kind)
    }
}
