//! `/{cam}/export?from={time}&to={time}`: what is recorded between two times, as one MP4.
//!
//! | query | meaning |
//! | --- | --- |
//! | `from`, `to` | RFC 3339, local time without an offset, or `HH:MM:SS` of today |
//! | `gaps` | `close`: what follows a gap is shown at once; `keep`: the picture stands still |
//! | `split` | `zip`: a ZIP file with an MP4 for each codec configuration |

use std::{ops::Range, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web,
};
use chrono::TimeDelta;
use dayreel_archive::{CameraArchive, ExportZip, Exported, Gaps};
use dayreel_core::{Kind, MediaTime, WallTime};
use serde::Deserialize;

use crate::{
    access::Needs,
    app::{App, CameraEntry},
    crowd::Place,
    error::ApiError,
    file_body::{MediaHead, made, made_response},
    openapi::{one_of, says, text},
    routes::{Routes, absent::not_recorded, at},
    saved_as::{call, saved},
    time_param::{self, local},
};

/// What can be had at once: a second to the longest day.
const LEAST: TimeDelta = TimeDelta::seconds(1);
const MOST: TimeDelta = TimeDelta::hours(25);

/// A day that goes on has more each time; what is recorded may expire. Resumed by its tag.
const ASK_AGAIN: &str = "no-cache";

pub(crate) fn routes(routes: &mut Routes) {
    let of_export = says("export", "What is recorded between two times, as one MP4")
        .details(
            "At most 25 hours. Times are RFC 3339, local without an offset, or HH:MM:SS of today.",
        )
        .query("from", "The beginning", text(), "17:00:00")
        .required()
        .query("to", "The end", text(), "17:10:00")
        .required()
        .query(
            "gaps",
            "`close`: what follows a gap is shown at once; `keep`: the picture stands still",
            one_of(&["close", "keep"]),
            "close",
        )
        .query(
            "split",
            "`zip`: a ZIP file with an MP4 for each codec configuration",
            one_of(&["zip"]),
            "zip",
        )
        .file("video/mp4", "The film; with `split` a ZIP file")
        .or("application/zip")
        .refuses(400, "These are no times, or no such range")
        .refuses(404, "Nothing is recorded then, or there is no such camera")
        .refuses(409, "The encoding changes, which one MP4 cannot hold")
        .refuses(503, "The disk does not answer");
    routes.add(at("/{cam}/export").read(Needs::CAMERA, of_export, export));
}

#[derive(Deserialize)]
struct Query {
    from: Option<String>,
    to: Option<String>,
    gaps: Option<String>,
    split: Option<String>,
}

/// What was asked for.
struct Asked {
    from: WallTime,
    to: WallTime,
    gaps: Gaps,
    as_zip: bool,
}

impl Query {
    fn asked(&self, app: &App, entry: &CameraEntry) -> Result<Asked, ApiError> {
        let (Some(from), Some(to)) = (&self.from, &self.to) else {
            let message = "an export needs from and to: /{cam}/export?from=17:00:00&to=17:10:00";
            return Err(ApiError::invalid(message));
        };
        let zone = entry.archive().zone();
        let time = |name, text| {
            let parsed = time_param::parse(text, app.clock().now(), zone);
            parsed.map_err(|error| ApiError::invalid(format!("{name}: {error}")))
        };
        let (from, to) = (time("from", from)?.at, time("to", to)?.at);
        let length = to - from;
        if length < LEAST || length > MOST {
            let message = format!(
                "to is 1 s to 25 hours after from; asked for is {} to {}",
                local(from, zone),
                local(to, zone)
            );
            return Err(ApiError::invalid(message));
        }
        let gaps = match self.gaps.as_deref() {
            None | Some("close") => Gaps::Close,
            Some("keep") => Gaps::Keep,
            Some(_) => return Err(ApiError::invalid("gaps is `close` or `keep`")),
        };
        let as_zip = match self.split.as_deref() {
            None => false,
            Some("zip") => true,
            Some(_) => {
                return Err(ApiError::invalid(
                    "split is `zip`; without it there is one MP4",
                ));
            }
        };
        Ok(Asked {
            from,
            to,
            gaps,
            as_zip,
        })
    }
}

async fn export(
    app: web::Data<App>,
    cam: web::Path<String>,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    let asked = query.asked(&app, &entry)?;
    let place = app.exports().place(&request)?;
    match asked.as_zip {
        true => zip(&entry, &asked, place).await,
        false => mp4(&entry, &asked, place, &request).await,
    }
}

async fn mp4(
    entry: &CameraEntry,
    asked: &Asked,
    place: Place,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let zone = entry.archive().zone();
    let gaps = asked.gaps;
    let export = match found(entry, asked, move |archive, range| {
        archive.export(range, gaps)
    })
    .await?
    {
        Exported::Whole(export) => Arc::new(export),
        Exported::Changes(instants) => {
            let instants: Vec<_> = instants
                .iter()
                .map(|instant| local(instant.media_to_wall(), zone))
                .collect();
            let message = format!(
                "the encoding changes at {}, which one MP4 cannot hold: ask for each part by \
                 itself, or add split=zip",
                instants.join(", ")
            );
            return Err(ApiError::new(Kind::Conflict, "encoding_changes", message));
        }
        Exported::Nothing { before, after } => {
            return Err(nothing(entry, asked, before, after).await);
        }
    };
    let head = MediaHead {
        content_type: "video/mp4",
        etag: export.tag(),
        cache: ASK_AGAIN,
    };
    let shown = export.shown().clone();
    let len_bytes = export.len_bytes();
    let mut response = made_response(request, head, len_bytes, place, |range| export.read(range));
    let called = saved(format!("{}.mp4", stem(entry, asked.from)));
    let times = [(FROM, shown.start), (TO, shown.end)];
    let times = times.map(|(name, time)| (name, local(time.media_to_wall(), zone)));
    call(&mut response, &called);
    for (name, text) in times {
        if let Ok(text) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, text);
        }
    }
    Ok(response)
}

/// Made while it is sent, so that nobody knows how long it is.
async fn zip(entry: &CameraEntry, asked: &Asked, place: Place) -> Result<HttpResponse, ApiError> {
    let gaps = asked.gaps;
    let split = move |archive: &CameraArchive, range: &_| archive.export_split(range, gaps);
    let exports = found(entry, asked, split).await?;
    if exports.is_empty() {
        return Err(nothing(entry, asked, None, None).await);
    }
    let files = exports.into_iter().enumerate().map(|(nth, export)| {
        // Two may begin in the same second.
        let stem = stem(entry, export.shown().start.media_to_wall());
        (format!("{stem}_{}.mp4", nth + 1), export)
    });
    let called = saved(format!("{}.zip", stem(entry, asked.from)));
    Ok(HttpResponse::Ok()
        .content_type("application/zip")
        .insert_header((header::CACHE_CONTROL, ASK_AGAIN))
        .insert_header((header::ACCEPT_RANGES, "none"))
        .insert_header((header::CONTENT_DISPOSITION, called))
        .streaming(made(ExportZip::new(files), place)))
}

/// What is shown, which may be less than what was asked for.
const FROM: HeaderName = HeaderName::from_static("x-export-from");
const TO: HeaderName = HeaderName::from_static("x-export-to");

/// What `find` finds of the time that was asked for, off the worker.
async fn found<T: Send + 'static>(
    entry: &CameraEntry,
    asked: &Asked,
    find: impl FnOnce(&CameraArchive, &Range<MediaTime>) -> dayreel_archive::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let archive = Arc::clone(entry.archive());
    let range = MediaTime::wall_to_media(asked.from)..MediaTime::wall_to_media(asked.to);
    let found = web::block(move || find(&archive, &range)).await;
    Ok(found.map_err(|error| ApiError::internal(&error))??)
}

async fn nothing(
    entry: &CameraEntry,
    asked: &Asked,
    before: Option<MediaTime>,
    after: Option<MediaTime>,
) -> ApiError {
    let time = |time| local(time, entry.archive().zone());
    let when = format!("from {} to {}", time(asked.from), time(asked.to));
    not_recorded(entry, asked.from, &when, before, after).await
}

/// `front-door_2026-11-22_17-03-05`: when it begins, in local time.
fn stem(entry: &CameraEntry, from: WallTime) -> String {
    let from = from.with_timezone(&entry.archive().zone());
    let from = from.format("%Y-%m-%d_%H-%M-%S");
    format!("{}_{from}", entry.archive().id())
}
