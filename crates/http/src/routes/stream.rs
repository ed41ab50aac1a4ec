//! Playlists and manifests of a day.
//!
//! | path | answer |
//! | --- | --- |
//! | `/{cam}/stream/{day}/playlist.m3u8` | HLS multivariant playlist |
//! | `/{cam}/stream/{day}/video.m3u8`, `audio.m3u8` | HLS media playlists of the whole day |
//! | `/{cam}/stream/{day}/manifest.mpd` | MPEG-DASH |

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::header::{self, EntityTag, Header as _},
    web,
};
use bytes::Bytes;
use dayreel_core::{Kind, TrackKind};
use dayreel_manifest::{
    DayTimeline, Document, Encoding, Presentation, manifest, media_playlist, multivariant_playlist,
};
use futures_util::stream;
use serde::Deserialize;

use crate::{
    app::App,
    day_param::{AskedDay, find_day},
    error::ApiError,
    file_body::is_known,
    routes::{media, read_only},
};

const HLS: &str = "application/vnd.apple.mpegurl";
const DASH: &str = "application/dash+xml";

/// A live document may be shared for so long: the time in which a segment's worth of viewers ask.
const LIVE_CACHE: &str = "public, max-age=1";

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(read_only("/{cam}/stream/{day}/playlist.m3u8").get(multivariant))
        .service(read_only("/{cam}/stream/{day}/video.m3u8").get(video))
        .service(read_only("/{cam}/stream/{day}/audio.m3u8").get(audio))
        .service(read_only("/{cam}/stream/{day}/manifest.mpd").get(mpd))
        .service(read_only("/{cam}/stream/{name}").get(media::segment_or_init));
}

type Path = web::Path<(String, String)>;

#[derive(Deserialize)]
struct Delta {
    /// RFC 8216bis §6.2.5.1: `YES`, or `v2` which asks for skipped date ranges too.
    #[serde(rename = "_HLS_skip")]
    skip: Option<String>,
}

async fn multivariant(
    app: web::Data<App>,
    path: Path,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let day = find_day(app.camera(&path.0)?, &path.1).await?;
    let text = multivariant_playlist(&day.folder.timeline()).ok_or_else(|| not_yet(&day))?;
    let document = Document {
        pieces: vec![text.into()],
    };
    Ok(respond(
        &request,
        &day,
        HLS,
        "playlist",
        Encoding::Identity,
        document,
    ))
}

async fn video(
    app: web::Data<App>,
    path: Path,
    delta: web::Query<Delta>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    playlist(&app, &path, &delta, &request, TrackKind::Video).await
}

async fn audio(
    app: web::Data<App>,
    path: Path,
    delta: web::Query<Delta>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    playlist(&app, &path, &delta, &request, TrackKind::Audio).await
}

async fn playlist(
    app: &App,
    path: &Path,
    delta: &Delta,
    request: &HttpRequest,
    kind: TrackKind,
) -> Result<HttpResponse, ApiError> {
    let skip = match delta.skip.as_deref() {
        None => false,
        Some("YES" | "v2") => true,
        Some(_) => return Err(ApiError::invalid("_HLS_skip is `YES` or `v2`")),
    };
    let day = find_day(app.camera(&path.0)?, &path.1).await?;
    let encoding = accepted_encoding(request);
    let document = media_playlist(&day.folder.timeline(), kind, day.finished, skip, encoding);
    let document = document.ok_or_else(no_track)?;
    Ok(respond(request, &day, HLS, kind.name(), encoding, document))
}

async fn mpd(
    app: web::Data<App>,
    path: Path,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let day = find_day(app.camera(&path.0)?, &path.1).await?;
    let encoding = accepted_encoding(&request);
    let presentation = match day.finished {
        true => Presentation::Finished,
        false => Presentation::Live {
            now: app.clock().now(),
        },
    };
    let document =
        manifest(&day.folder.timeline(), presentation, encoding).ok_or_else(|| not_yet(&day))?;
    Ok(respond(
        &request, &day, DASH, "manifest", encoding, document,
    ))
}

/// What has begun cannot be described before its first segments are complete.
fn not_yet(day: &AskedDay) -> ApiError {
    match day.finished {
        true => no_track(),
        false => {
            let message = "the first segments of today are not complete yet";
            ApiError::new(Kind::Unavailable, "not_ready", message)
        }
    }
}

fn no_track() -> ApiError {
    ApiError::not_found("no_such_track", "the camera has no such track on that day")
}

fn accepted_encoding(request: &HttpRequest) -> Encoding {
    let accepted = header::AcceptEncoding::parse(request).ok();
    let gzip = accepted.is_some_and(|accepted| {
        let offered = [header::Encoding::gzip(), header::Encoding::identity()];
        accepted.negotiate(offered.iter()) == Some(header::Encoding::gzip())
    });
    if gzip {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// Sends `document`. Of a finished day it is immutable, so it has a strong tag: what there is of
/// the day, and the encoding.
fn respond(
    request: &HttpRequest,
    day: &AskedDay,
    content_type: &'static str,
    name: &str,
    encoding: Encoding,
    document: Document,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((header::VARY, "Accept-Encoding"));
    if day.finished {
        let cache = format!("public, max-age={}", day.max_age_s);
        response.insert_header((header::CACHE_CONTROL, cache));
        let etag = finished_tag(&day.folder.timeline(), name, encoding);
        response.insert_header((header::ETAG, etag.to_string()));
        if is_known(request, &etag) {
            return response
                .status(actix_web::http::StatusCode::NOT_MODIFIED)
                .finish();
        }
    } else {
        response.insert_header((header::CACHE_CONTROL, LIVE_CACHE));
    }
    if encoding == Encoding::Gzip {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    let len_bytes = document.len_bytes() as u64;
    let pieces = document
        .pieces
        .into_iter()
        .map(Ok::<Bytes, std::convert::Infallible>);
    response.body(SizedStream::new(len_bytes, stream::iter(pieces)))
}

fn finished_tag(timeline: &DayTimeline, name: &str, encoding: Encoding) -> EntityTag {
    let segments: usize = [TrackKind::Video, TrackKind::Audio]
        .map(|kind| timeline.track(kind).segments().len())
        .iter()
        .sum();
    let suffix = if encoding == Encoding::Gzip {
        "-gzip"
    } else {
        ""
    };
    let (date, bytes) = (timeline.day(), timeline.total_bytes());
    EntityTag::new_strong(format!("{date}-{name}-{segments}-{bytes}{suffix}"))
}

/// The error of a query that cannot be read.
pub(crate) fn bad_query(error: actix_web::error::QueryPayloadError) -> ApiError {
    ApiError::new(Kind::InvalidArgument, "invalid_query", error.to_string())
}
