//! Makes days of recordings in seconds: encodes a short loop of pictures once and appends it again
//! and again, with shifted times, through the archive's own code. What comes out is what a camera
//! would have left behind, for tests and benches of whole days.
//!
//! The media is a loop of [`LOOP_S`] seconds that lies on the grid of Unix time: at the media time
//! `t` the pattern of the picture shows the number `(t mod LOOP_S) · fps` ([`Media::number_at`]),
//! whichever day it is and wherever the recording begins. The pattern's wall time is the position
//! in the loop in ms, because a clock could not be true more than once.
//!
//! Unlike the rest of this crate it uses the server's own crates: it is no second opinion but a
//! way to have something to judge.

mod draw;
mod encode;
mod repeat;
mod serve;
mod shift;
mod simulate;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chrono::NaiveDate;
use chrono_tz::Tz;
use dayreel_archive::Store;
use dayreel_core::{CameraId, Clock, Day, ManualClock, TICKS_PER_SECOND, TrackKind, WallTime};

pub use draw::picture;
use repeat::Repeat;
pub use serve::{CAMERA, Served};
pub use simulate::{Film, Simulation};

/// Length of the loop of pictures, s. Segments are divisors of it.
pub const LOOP_S: u32 = 48;

/// What is recorded.
#[derive(Clone, Debug)]
pub struct Media {
    /// Pixels, even, at least 136.
    pub width: u32,
    /// Pixels, even, at least 72.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Length of a segment and of a GOP, s; divides [`LOOP_S`].
    pub segment_s: u32,
    /// Video bit rate in kbit/s, filled up where the pictures need less. `None`: as small as the
    /// pattern can be read.
    pub bitrate_kbps: Option<u32>,
    /// Length of a chunk; `None`: a segment is one chunk, which is faster to write.
    pub chunk: Option<Duration>,
    /// Whether there is sound: AAC, 48 kHz, mono.
    pub audio: bool,
    /// Whether segments differ in length by some ms, as from a camera with a bad clock.
    pub irregular: bool,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            width: 160,
            height: 90,
            fps: 5,
            segment_s: 4,
            bitrate_kbps: None,
            chunk: Some(Duration::from_millis(500)),
            audio: false,
            irregular: false,
        }
    }
}

impl Media {
    /// The number in the pattern of the picture that is shown at `wall`. With
    /// [`irregular`](Self::irregular) times it may be its neighbour.
    pub fn number_at(&self, wall: WallTime) -> u32 {
        let position_ms = wall.timestamp_millis().rem_euclid(i64::from(LOOP_S) * 1000);
        u32::try_from(position_ms * i64::from(self.fps) / 1000).unwrap_or_default()
    }

    fn check(&self) -> Result<()> {
        let (least_width, least_height) = dayreel_testcam::pattern::MIN_SIZE;
        ensure!(
            self.width >= least_width
                && self.height >= least_height
                && self.width.is_multiple_of(2)
                && self.height.is_multiple_of(2),
            "size {}x{}: even numbers from {least_width}x{least_height} on",
            self.width,
            self.height
        );
        ensure!((1..=60).contains(&self.fps), "{} fps: 1 to 60", self.fps);
        ensure!(
            TICKS_PER_SECOND.is_multiple_of(self.fps.into()),
            "{} fps: a picture must last whole 1/90000 s",
            self.fps
        );
        ensure!(
            self.segment_s > 0 && LOOP_S.is_multiple_of(self.segment_s),
            "segments of {} s: a divisor of {LOOP_S}",
            self.segment_s
        );
        Ok(())
    }
}

/// The time that is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first segment begins at or after it, less than a segment later.
    pub from: WallTime,
    /// The last segment begins before it.
    pub to: WallTime,
}

impl Period {
    /// The local day `date`, or its first `hours`, and the `days` − 1 whole days before it.
    pub fn of_date(date: NaiveDate, zone: Tz, hours: Option<f64>, days: u32) -> Self {
        let day = Day::new(date, zone);
        let to = match hours {
            Some(hours) => (day.start() + length(hours)).min(day.end()),
            None => day.end(),
        };
        let from = day.before(days.saturating_sub(1)).start();
        Self { from, to }
    }

    /// The `hours` before `end`, and `days` − 1 times 24 hours more.
    pub fn ending(end: WallTime, hours: f64, days: u32) -> Self {
        let more = chrono::Duration::days(days.saturating_sub(1).into());
        Self {
            from: end - length(hours) - more,
            to: end,
        }
    }
}

fn length(hours: f64) -> chrono::Duration {
    let length = Duration::try_from_secs_f64(hours * 3600.0).unwrap_or_default();
    chrono::Duration::from_std(length).unwrap_or_default()
}

/// A fixed zone in which today is as long as it can be: local midnight was 22.2 to 23.8 hours ago,
/// and the next is at least 10 minutes away.
pub fn zone_late_in_the_day(now: WallTime) -> Tz {
    let is_late = |zone: &Tz| {
        let day = Day::containing(now, *zone);
        day.end() - now >= chrono::Duration::minutes(10)
    };
    let elapsed = |zone: &Tz| now - Day::containing(now, *zone).start();
    // The sign is POSIX's: Etc/GMT-3 is three hours ahead of UTC.
    (-14..=12)
        .filter_map(|offset: i32| format!("Etc/GMT{offset:+}").parse::<Tz>().ok())
        .filter(is_late)
        .max_by_key(elapsed)
        .unwrap_or(Tz::UTC)
}

/// What was made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Video segments, of each camera.
    pub segments: u64,
    /// Of all cameras.
    pub bytes: u64,
    /// For the loop and for everything after it.
    pub took: [Duration; 2],
}

/// Records `period` for each of `cameras` into the data directory `data`, whose days end at
/// midnight in `zone`. Cameras may have recordings already, if those are older.
///
/// # Errors
/// The media cannot be encoded, the directory is used by another process or cannot be written, or
/// there is something newer in it.
pub fn make(
    data: &Path,
    cameras: &[CameraId],
    zone: Tz,
    period: Period,
    media: &Media,
) -> Result<Made> {
    media.check()?;
    let begun = Instant::now();
    let loops = encode::loops(media)?;
    let encoded = begun.elapsed();
    let store = Store::open(data)?;
    let (mut segments, mut bytes) = (0, 0);
    for id in cameras {
        let clock = Arc::new(ManualClock::new(period.from));
        let archive = store.camera(id.clone(), zone, Arc::clone(&clock) as Arc<dyn Clock>)?;
        archive.expect_segments_of(u32::try_from(
            u64::from(media.segment_s) * TICKS_PER_SECOND,
        )?);
        let mut recorder = archive.recorder();
        let mut tracks: Vec<Repeat<'_>> = loops
            .iter()
            .map(|of_track| Repeat::from(of_track, period.from))
            .collect();
        for track in &tracks {
            recorder.append(track.kind(), track.init())?;
        }
        // In the order of time, as a camera delivers: a day is closed when the next begins.
        while let Some(track) = tracks.iter_mut().min_by_key(|track| track.next_start()) {
            let start = track.next_start().media_to_wall();
            if start >= period.to {
                break;
            }
            clock.set(start);
            let kind = track.kind();
            for piece in track.next_segment()? {
                bytes += recorder
                    .append(kind, piece.clone())
                    .map(|()| shift::len_bytes(&piece))
                    .with_context(|| format!("{id}: the segment of {start}"))?;
            }
            segments += u64::from(kind == TrackKind::Video && Some(id) == cameras.first());
        }
        recorder.finish()?;
    }
    Ok(Made {
        segments,
        bytes,
        took: [encoded, begun.elapsed() - encoded],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> WallTime {
        text.parse().unwrap()
    }

    #[test]
    fn some_zone_is_always_late_in_the_day() {
        let midnight = wall("2026-11-22T00:00:00Z");
        for minute in 0..24 * 60 {
            let now = midnight + chrono::Duration::minutes(minute);
            let day = Day::containing(now, zone_late_in_the_day(now));
            let (elapsed, left) = (now - day.start(), day.end() - now);
            assert!(elapsed >= chrono::Duration::minutes(22 * 60 + 51), "{now}");
            assert!(left >= chrono::Duration::minutes(10), "{now}");
        }
    }

    #[test]
    fn periods_are_days_of_the_zone_or_hours_of_the_clock() {
        let berlin = chrono_tz::Europe::Berlin;
        let date = "2026-03-29".parse().unwrap();
        let day = Period::of_date(date, berlin, None, 2);
        assert_eq!(day.from, wall("2026-03-27T23:00:00Z"));
        assert_eq!(day.to, wall("2026-03-29T22:00:00Z"));
        let hour = Period::of_date(date, berlin, Some(1.0), 1);
        assert_eq!(hour.to, wall("2026-03-29T00:00:00Z"));
        let ending = Period::ending(wall("2026-11-22T12:00:00Z"), 24.0, 7);
        assert_eq!(ending.from, wall("2026-11-15T12:00:00Z"));
    }

    #[test]
    fn pictures_are_numbered_by_their_place_in_the_loop() {
        let media = Media::default();
        // 1795305600 s is a multiple of the loop.
        assert_eq!(media.number_at(wall("2026-11-22T00:00:00Z")), 0);
        assert_eq!(media.number_at(wall("2026-11-22T00:00:47.999Z")), 239);
        assert_eq!(media.number_at(wall("2026-11-22T00:00:48.200Z")), 1);
    }

    #[test]
    fn impossible_media_is_refused() {
        let refused = |change: fn(&mut Media)| {
            let mut media = Media::default();
            change(&mut media);
            media.check().is_err()
        };
        assert!(refused(|media| media.width = 134));
        assert!(refused(|media| media.height = 91));
        assert!(refused(|media| media.fps = 7));
        assert!(refused(|media| media.segment_s = 5));
        assert!(!refused(|media| media.segment_s = 6));
    }
}
