//! Wall time and media time. (GStreamer's running time is `ClockTime`; only `pipeline` sees it.)

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An instant of UTC.
pub type WallTime = DateTime<Utc>;

/// Ticks of media time in a second. Every track uses this timescale, so that a segment has one
/// number for its start in HLS, in DASH, in its URL and in its `tfdt`.
pub const TICKS_PER_SECOND: u64 = 90_000;

/// An instant of media time: 1/90000 s since the Unix epoch.
///
/// Media time advances by RTP durations and is kept near the wall clock ("epoch-locked"), so days,
/// restarts and gaps need no re-basing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MediaTime(u64);

impl MediaTime {
    /// The instant `ticks_90k` after the epoch.
    pub const fn from_ticks(ticks_90k: u64) -> Self {
        Self(ticks_90k)
    }

    /// 1/90000 s since the Unix epoch.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// The instant of media time at `wall`, to the tick below. Before 1970: the epoch.
    pub fn wall_to_media(wall: WallTime) -> Self {
        let seconds = u64::try_from(wall.timestamp()).unwrap_or(0);
        let ticks = u64::from(wall.timestamp_subsec_nanos()) * TICKS_PER_SECOND / 1_000_000_000;
        Self(seconds * TICKS_PER_SECOND + ticks)
    }

    /// The instant of the wall clock this stands for, to the nanosecond below. What lies past
    /// chrono's last year (262142) is that year's end.
    pub fn media_to_wall(self) -> WallTime {
        let seconds = i64::try_from(self.0 / TICKS_PER_SECOND).unwrap_or(i64::MAX);
        let nanos = self.0 % TICKS_PER_SECOND * 1_000_000_000 / TICKS_PER_SECOND;
        u32::try_from(nanos)
            .ok()
            .and_then(|nanos| DateTime::from_timestamp(seconds, nanos))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// This instant plus `ticks_90k`; stops at the end of time instead of wrapping.
    pub const fn saturating_add(self, ticks_90k: u64) -> Self {
        Self(self.0.saturating_add(ticks_90k))
    }

    /// Ticks from `earlier` to this instant, 0 if it is not earlier.
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_survives_the_way_through_media_time() {
        let wall = DateTime::parse_from_rfc3339("2026-11-22T17:03:05.120+01:00").unwrap();
        let media = MediaTime::wall_to_media(wall.to_utc());
        assert_eq!(media.ticks(), 1_795_363_385 * 90_000 + 10_800);
        assert_eq!(media.media_to_wall(), wall);
    }

    #[test]
    fn hostile_numbers_do_not_panic() {
        assert_eq!(
            MediaTime::from_ticks(u64::MAX).media_to_wall(),
            DateTime::<Utc>::MAX_UTC
        );
        let before = DateTime::parse_from_rfc3339("1969-01-01T00:00:00Z").unwrap();
        assert_eq!(MediaTime::wall_to_media(before.to_utc()).ticks(), 0);
    }
}
