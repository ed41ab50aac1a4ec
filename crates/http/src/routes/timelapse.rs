//! `/{cam}/timelapse`: the list. `/{cam}/timelapse/{year}/{month}/{day}`: the film of a day.

use std::{sync::Arc, time::UNIX_EPOCH};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ContentDisposition, DispositionParam, DispositionType},
    web,
};
use chrono::{Datelike, NaiveDate};
use dayreel_archive::Timelapse;
use dayreel_core::{CameraId, Day};
use serde::Serialize;

use crate::{
    app::App,
    error::ApiError,
    file_body::{MediaHead, file_response},
    routes::read_only,
};

/// It may be made again, under the same URL.
const CACHE: &str = "private, max-age=3600";

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(read_only("/{cam}/timelapse").get(list))
        .service(read_only("/{cam}/timelapse/{year}/{month}/{day}").get(film));
}

#[derive(Serialize)]
struct TimelapseView {
    date: NaiveDate,
    url: String,
    duration_s: f64,
    bytes: u64,
}

async fn list(app: web::Data<App>, cam: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let archive = Arc::clone(app.camera(&cam)?.archive());
    let id = archive.id().clone();
    let films = web::block(move || archive.timelapses().list()).await;
    let films = films.map_err(|e| ApiError::internal(&e))??;
    let views: Vec<_> = films.iter().map(|film| view(&id, film)).collect();
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .json(views))
}

fn view(camera: &CameraId, film: &Timelapse) -> TimelapseView {
    let date = film.date;
    TimelapseView {
        date,
        url: format!(
            "/{camera}/timelapse/{}/{}/{}",
            date.year(),
            date.month(),
            date.day()
        ),
        duration_s: film.duration_s,
        bytes: film.media.len_bytes,
    }
}

async fn film(
    app: web::Data<App>,
    path: web::Path<(String, String, String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (cam, year, month, day) = path.into_inner();
    let archive = Arc::clone(app.camera(&cam)?.archive());
    let date = parse_date(&year, &month, &day)?;
    let today = Day::containing(app.clock().now(), archive.zone()).date();
    let id = archive.id().clone();
    let found = web::block(move || archive.timelapses().find(date)).await;
    let film = found.map_err(|e| ApiError::internal(&e))??.ok_or_else(|| {
        let message = match date.cmp(&today) {
            std::cmp::Ordering::Less => {
                format!("there is no timelapse of {date}; /{id}/timelapse/ lists those there are")
            }
            std::cmp::Ordering::Equal => {
                format!("the timelapse of {date} can be seen when the day is over")
            }
            std::cmp::Ordering::Greater => format!("{date} is in the future; today is {today}"),
        };
        ApiError::not_found("unknown_timelapse", message)
    })?;
    let written = film.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let head = MediaHead {
        content_type: "video/mp4",
        etag: format!("{date}-{}-{:x}", film.media.len_bytes, written.as_nanos()),
        cache: CACHE,
    };
    let mut response = file_response(&request, head, film.media).await?;
    let name = ContentDisposition {
        disposition: DispositionType::Inline,
        parameters: vec![DispositionParam::Filename(format!("{id}-{date}.mp4"))],
    };
    if let Ok(name) = header::HeaderValue::from_str(&name.to_string()) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The date of a URL: `3` and `03` are the same.
fn parse_date(year: &str, month: &str, day: &str) -> Result<NaiveDate, ApiError> {
    let number = |text: &str, digits: usize| {
        let is_number =
            (1..=digits).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<u32>().ok()).flatten()
    };
    let in_range = |name: &str, text: &str, digits, range: std::ops::RangeInclusive<u32>| {
        let value = number(text, digits).filter(|value| range.contains(value));
        value.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            ApiError::invalid(format!("{name} is a whole number from {least} to {most}"))
        })
    };
    let year = in_range("year", year, 4, 1970..=9999)?;
    let month = in_range("month", month, 2, 1..=12)?;
    let day = in_range("day", day, 2, 1..=31)?;
    let date = i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
    date.ok_or_else(|| {
        let days = (28..31)
            .rev()
            .find(|last| {
                let year = i32::try_from(year).unwrap_or(0);
                NaiveDate::from_ymd_opt(year, month, *last).is_some()
            })
            .unwrap_or(28);
        ApiError::invalid(format!(
            "day is a whole number from 1 to {days} in {year}-{month:02}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_leading_zeros_or_none() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 3).unwrap();
        for (year, month, day) in [("2026", "11", "3"), ("2026", "11", "03")] {
            assert_eq!(parse_date(year, month, day).unwrap(), date);
        }
        assert!(parse_date("2024", "2", "29").is_ok());
    }

    #[test]
    fn every_wrong_number_is_refused_with_its_range() {
        let year = "year is a whole number from 1970 to 9999";
        let month = "month is a whole number from 1 to 12";
        let day = "day is a whole number from 1 to 31";
        for ((y, m, d), message) in [
            (("1969", "11", "3"), year),
            (("26", "11", "3"), year),
            (("10000", "11", "3"), year),
            (("-2026", "11", "3"), year),
            (("year", "11", "3"), year),
            (("", "11", "3"), year),
            (("2026", "0", "3"), month),
            (("2026", "13", "3"), month),
            (("2026", "003", "3"), month),
            (("2026", "Nov", "3"), month),
            (("2026", "+1", "3"), month),
            (("2026", "11", "0"), day),
            (("2026", "11", "32"), day),
            (("2026", "11", "003"), day),
            (("2026", "11", "3.mp4"), day),
            (("2026", "11", "٣"), day),
            (
                ("2026", "11", "31"),
                "day is a whole number from 1 to 30 in 2026-11",
            ),
            (
                ("2026", "2", "29"),
                "day is a whole number from 1 to 28 in 2026-02",
            ),
            (
                ("2024", "02", "30"),
                "day is a whole number from 1 to 29 in 2024-02",
            ),
        ] {
            let refusal = parse_date(y, m, d).unwrap_err().to_string();
            assert_eq!(refusal, message, "{y}/{m}/{d}");
        }
    }
}
