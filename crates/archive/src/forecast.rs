//! What a camera will need, from what it records now.

use chrono::Duration;
use dayreel_core::{CameraId, TICKS_PER_SECOND, TrackKind};

use crate::{
    CameraArchive,
    expiry::Recordings,
    limits::{Limits, gigabytes},
};

/// Today's bytes say how much a day takes once so much of it is recorded, 1/90000 s.
const ENOUGH_90K: u64 = 600 * TICKS_PER_SECOND;
/// With nothing older, so much has to do.
const LEAST_90K: u64 = 10 * TICKS_PER_SECOND;
const DAY_S: u64 = 86_400;

/// What a camera needs, and has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Whose.
    pub camera: CameraId,
    /// Full days before today.
    pub days_to_keep: u8,
    /// Most bytes that its days may take.
    pub max_bytes: Option<u64>,
    /// What a day of 24 h takes; `None` while too little is recorded to tell.
    pub bytes_per_day: Option<u64>,
    /// What its days take now.
    pub kept_bytes: u64,
}

impl Forecast {
    /// What its days will take: those to keep and today, but no more than it may.
    pub fn needed_bytes(&self) -> Option<u64> {
        let days = u64::from(self.days_to_keep) + 1;
        let needed = self.bytes_per_day?.saturating_mul(days);
        Some(needed.min(self.max_bytes.unwrap_or(u64::MAX)))
    }

    /// What it will take beyond what it takes now.
    pub(crate) fn missing_bytes(&self) -> Option<u64> {
        Some(self.needed_bytes()?.saturating_sub(self.kept_bytes))
    }

    /// `6 days of front-door need about 260 GB, 180 GB are free`.
    pub fn in_words(&self, free_bytes: u64) -> String {
        let (camera, days) = (&self.camera, self.days_to_keep);
        let what = match days {
            0 => format!("today of {camera} needs"),
            1 => format!("1 day and today of {camera} need"),
            _ => format!("{days} days and today of {camera} need"),
        };
        let free = gigabytes(free_bytes);
        match self.needed_bytes() {
            Some(needed) => format!(
                "{what} about {}, it has {}, {free} are free",
                gigabytes(needed),
                gigabytes(self.kept_bytes)
            ),
            None => {
                format!("too little of {camera} is recorded to say what it needs; {free} are free")
            }
        }
    }
}

/// The forecast of a camera that has `found` on disk.
pub(crate) fn forecast(archive: &CameraArchive, limits: &Limits, found: &Recordings) -> Forecast {
    Forecast {
        camera: archive.id().clone(),
        days_to_keep: limits.days_to_keep,
        max_bytes: limits.max_bytes,
        bytes_per_day: bytes_per_day(archive, found),
        kept_bytes: found.bytes,
    }
}

/// From today, if enough of it is recorded; else from the whole hours of the last day's length.
fn bytes_per_day(archive: &CameraArchive, found: &Recordings) -> Option<u64> {
    let (bytes, recorded_90k) = archive.today().map_or((0, 0), |today| {
        let timeline = today.timeline();
        let recorded_90k = timeline.track(TrackKind::Video).total_90k();
        (timeline.total_bytes(), recorded_90k)
    });
    let from_today = |least_90k| {
        let day = u128::from(bytes) * u128::from(DAY_S * TICKS_PER_SECOND);
        (recorded_90k >= least_90k).then(|| day / u128::from(recorded_90k))
    };
    let from_hours = || {
        let (newest, whole) = found.hours.split_last()?;
        let is_recent =
            |hour: &&crate::expiry::RecordedHour| hour.begin > newest.begin - Duration::days(1);
        let recent: Vec<_> = whole.iter().filter(is_recent).collect();
        let bytes: u128 = recent.iter().map(|hour| u128::from(hour.bytes)).sum();
        (bytes * 24).checked_div(recent.len() as u128)
    };
    let per_day = from_today(ENOUGH_90K)
        .or_else(from_hours)
        .or_else(|| from_today(LEAST_90K))?;
    u64::try_from(per_day).ok()
}
