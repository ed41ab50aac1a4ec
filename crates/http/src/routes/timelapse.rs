//! `/{cam}/timelapse`: the list. `/{cam}/timelapse/{year}/{month}/{day}`: the film of a day.

use std::{sync::Arc, time::UNIX_EPOCH};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use chrono::{Datelike, NaiveDate};
use dayreel_archive::Timelapse;
use dayreel_core::{CameraId, Day};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Needs,
    app::App,
    date_param,
    error::ApiError,
    file_body::{MediaHead, file_response},
    openapi::{Example, says, whole},
    routes::{Routes, at},
    saved_as::{call, shown},
};

/// It may be made again, under the same URL.
const CACHE: &str = "private, max-age=3600";

pub(crate) fn routes(routes: &mut Routes) {
    let of_list = says(
        "list_timelapses",
        "The timelapses of a camera, oldest first",
    )
    .list::<TimelapseView>("Those there are");
    routes.add(at("/{cam}/timelapse").read(Needs::CAMERA, of_list, list));
    let of_film = says(
        "get_timelapse",
        "The film of a day that is over, about a minute",
    )
    .path("day", "Of the month", whole(&(1..=31)), 22)
    .file("video/mp4", "The film")
    .refuses(400, "That is no date")
    .refuses(404, "There is no such film or camera");
    let path = at("/{cam}/timelapse/{date:.*}").shown_as("/{cam}/timelapse/{year}/{month}/{day}");
    routes.add(path.read(Needs::CAMERA, of_film, film));
}

#[derive(Serialize, ToSchema)]
#[schema(as = Timelapse)]
struct TimelapseView {
    #[schema(value_type = String, format = Date)]
    date: NaiveDate,
    /// Its path.
    url: String,
    duration_s: f64,
    bytes: u64,
}

impl Example for TimelapseView {
    fn example() -> Self {
        Self {
            date: NaiveDate::from_ymd_opt(2026, 11, 22).unwrap_or_default(),
            url: "/front-door/timelapse/2026/11/22".to_owned(),
            duration_s: 60.0,
            bytes: 44_000_000,
        }
    }
}

async fn list(app: web::Data<App>, cam: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let archive = Arc::clone(app.camera(&cam)?.archive());
    let id = archive.id().clone();
    let films = web::block(move || archive.timelapses().list()).await;
    let films = films.map_err(|e| ApiError::internal(&e))??;
    let views: Vec<_> = films.iter().map(|film| view(&app, &id, film)).collect();
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .json(views))
}

fn view(app: &App, camera: &CameraId, film: &Timelapse) -> TimelapseView {
    let date = film.date;
    TimelapseView {
        date,
        url: app.address(&format!(
            "/{camera}/timelapse/{}/{}/{}",
            date.year(),
            date.month(),
            date.day()
        )),
        duration_s: film.duration_s,
        bytes: film.media.len_bytes,
    }
}

async fn film(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let archive = Arc::clone(app.camera(&path.0)?.archive());
    let date = match *path.1.split('/').collect::<Vec<_>>() {
        [year, month, day] => date_param::date(year, month, day)?,
        _ => {
            let message = "write timelapse/{year}/{month}/{day}, such as timelapse/2026/11/22; \
                           or timelapse alone";
            return Err(ApiError::invalid(message));
        }
    };
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
    call(&mut response, &shown(format!("{id}-{date}.mp4"), None));
    Ok(response)
}
