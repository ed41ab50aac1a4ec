//! `{day}` in URLs.

use std::sync::Arc;

use actix_web::web;
use chrono::NaiveDate;
use dayreel_archive::{CameraArchive, DayFolder, DaySummary};
use dayreel_core::{Kind, TrackKind};

use crate::{app::CameraEntry, error::ApiError};

/// What `{day}` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DayParam {
    /// `today`: the live day.
    Today,
    /// `0` … `6`, 0 = Monday: the latest finished day of that weekday.
    Weekday(u32),
    /// `YYYY-MM-DD`.
    Date(NaiveDate),
}

impl DayParam {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"today" => Some(Self::Today),
            [digit @ b'0'..=b'6'] => Some(Self::Weekday(u32::from(digit - b'0'))),
            _ if text.len() == 10 => text.parse().ok().map(Self::Date),
            _ => None,
        }
    }
}

/// A day that was asked for.
pub(crate) struct AskedDay {
    pub(crate) folder: Arc<DayFolder>,
    /// Whether it is over.
    pub(crate) finished: bool,
    /// How long a shared cache may keep its documents once it is over.
    pub(crate) max_age_s: u32,
}

/// Looks up `{day}` of a camera.
pub(crate) async fn find_day(camera: &CameraEntry, text: &str) -> Result<AskedDay, ApiError> {
    let archive = Arc::clone(camera.archive());
    let Some(param) = DayParam::parse(text) else {
        let allowed =
            "a day is `today`, a weekday number 0 (Monday) to 6 (Sunday), or a date YYYY-MM-DD";
        return Err(ApiError::not_found("unknown_day", allowed));
    };
    if param == DayParam::Today {
        return live(camera, archive.today());
    }
    let asked = text.to_owned();
    web::block(move || look_up(&archive, param, &asked))
        .await
        .map_err(|e| ApiError::internal(&e))?
}

/// The same for who follows the track `kind` alone.
pub(crate) async fn find_day_of(
    camera: &CameraEntry,
    text: &str,
    kind: TrackKind,
) -> Result<AskedDay, ApiError> {
    match DayParam::parse(text) {
        Some(DayParam::Today) => live(camera, camera.archive().today_of(kind)),
        _ => find_day(camera, text).await,
    }
}

fn live(camera: &CameraEntry, today: Option<Arc<DayFolder>>) -> Result<AskedDay, ApiError> {
    Ok(AskedDay {
        folder: today.ok_or_else(|| nothing_yet(camera))?,
        finished: false,
        max_age_s: 0,
    })
}

fn look_up(archive: &CameraArchive, param: DayParam, asked: &str) -> Result<AskedDay, ApiError> {
    let (folder, max_age_s) = match param {
        DayParam::Today => (archive.today(), 0),
        DayParam::Weekday(number) => (archive.weekday(number)?, weekday_max_age_s(archive)),
        DayParam::Date(date) => (archive.day(date)?, 86_400),
    };
    match folder.filter(|folder| !folder.timeline().is_empty()) {
        Some(folder) => {
            let finished = archive.is_finished(&folder);
            Ok(AskedDay {
                folder,
                finished,
                max_age_s,
            })
        }
        None => {
            let kept = kept(&archive.summaries()?);
            let message = format!("nothing is kept of day {asked}; kept: {kept}");
            Err(ApiError::not_found("unknown_day", message))
        }
    }
}

/// A weekday number means another day from midnight on.
fn weekday_max_age_s(archive: &CameraArchive) -> u32 {
    let left_s = archive.until_midnight().num_seconds();
    u32::try_from(left_s).unwrap_or(0).min(3600)
}

/// What there is, the newest first: `today, 6 (2026-11-22), 2026-11-10`.
fn kept(days: &[DaySummary]) -> String {
    let names = days.iter().rev().map(|summary| match summary.day {
        _ if !summary.finished => "today".to_owned(),
        day if summary.is_numbered => format!("{} ({day})", day.weekday_number()),
        day => day.to_string(),
    });
    let names: Vec<_> = names.collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}

/// Nothing is recorded today, and why: 503, or 507 because the disk is full.
fn nothing_yet(camera: &CameraEntry) -> ApiError {
    if let Some(error) = camera.camera().status().recording_error {
        let message = format!("nothing can be recorded: {}", error.message);
        let kind = match error.kind {
            Kind::Full => Kind::Full,
            _ => Kind::Unavailable,
        };
        return ApiError::new(kind, error.code, message);
    }
    let why = camera.why_offline();
    let message = format!("nothing is recorded today yet: {why}");
    ApiError::new(Kind::Unavailable, "camera_offline", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_three_spellings() {
        assert_eq!(DayParam::parse("today"), Some(DayParam::Today));
        assert_eq!(DayParam::parse("6"), Some(DayParam::Weekday(6)));
        let date = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
        assert_eq!(DayParam::parse("2026-11-22"), Some(DayParam::Date(date)));
        for odd in [
            "",
            "7",
            "-1",
            "00",
            "Today",
            "2026-1-2",
            "2026-02-30",
            "yesterday",
            "..",
            "٣",
        ] {
            assert_eq!(DayParam::parse(odd), None, "{odd}");
        }
    }
}
