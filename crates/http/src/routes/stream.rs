//! Playlists and manifests of a day.
//!
//! | path | answer |
//! | --- | --- |
//! | `/{cam}/stream/{day}/playlist.m3u8` | HLS multivariant playlist |
//! | `/{cam}/stream/{day}/video.m3u8`, `audio.m3u8`, `preview.m3u8` | HLS media playlists of the whole day |
//! | `/{cam}/stream/{day}/keyframes.m3u8` | HLS I-frame playlist: the first keyframe of each segment |
//! | `/{cam}/stream/{day}/manifest.mpd` | MPEG-DASH; the clock that it names is `time` beside it |
//!
//! The media playlists of `today` are of low latency (RFC 8216bis): they list the parts of the newest
//! segments, and one that is asked for with `_HLS_msn` is sent when it lists that.
//!
//! With `?latency=low`, the MPD of `today` lists segments while they are recorded, and they are sent as they grow.
//! It says where its patches are, `?since=VERSION`: what has changed since that version.
//!
//! With `?window=SECONDS`, of `today` only: its last seconds, for tiles and for devices that have no
//! room for the list of a day.

use std::ops::RangeInclusive;

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::header::{self, EntityTag, Header as _},
    web,
};
use bytes::Bytes;
use dayreel_core::{Kind, TrackKind};
use dayreel_manifest::{
    DayTimeline, Document, Encoding, Extent, Presentation, Version, keyframe_playlist, manifest,
    media_playlist, multivariant_playlist, patch,
};
use futures_util::stream;
use serde::Deserialize;

use crate::{
    access::Needs,
    app::App,
    day_param::{AskedDay, find_day, find_day_of},
    error::ApiError,
    file_body::is_known,
    number_param::in_range,
    openapi::{Says, one_of, says, text, whole},
    routes::{
        Routes, at, media,
        waiting::{self, Awaited},
    },
};

pub(crate) const HLS: &str = "application/vnd.apple.mpegurl";
const DASH: &str = "application/dash+xml";
const DASH_PATCH: &str = "application/dash-patch+xml";

/// A live document may be shared for so long: the time in which a segment's worth of viewers ask.
const LIVE_CACHE: &str = "public, max-age=1";

pub(crate) fn routes(routes: &mut Routes) {
    let of_playlist = says("get_playlist", "A day as HLS: the multivariant playlist")
        .details("`today` is live and can be rewound to midnight.");
    let of_playlist = document_of(of_playlist, HLS);
    routes.add(at("/{cam}/stream/{day}/playlist.m3u8").read(
        Needs::CAMERA,
        of_playlist,
        multivariant,
    ));
    let of_video = says(
        "get_video_playlist",
        "The picture of a day: an HLS media playlist",
    );
    let of_video = list_of(of_video);
    routes.add(at("/{cam}/stream/{day}/video.m3u8").read(Needs::CAMERA, of_video, video));
    let of_audio = says(
        "get_audio_playlist",
        "The sound of a day: an HLS media playlist",
    );
    let of_audio = list_of(of_audio);
    routes.add(at("/{cam}/stream/{day}/audio.m3u8").read(Needs::CAMERA, of_audio, audio));
    let of_preview = says(
        "get_preview_playlist",
        "The sub-stream of a day: an HLS media playlist",
    );
    let of_preview = list_of(of_preview);
    routes.add(at("/{cam}/stream/{day}/preview.m3u8").read(Needs::CAMERA, of_preview, preview));
    let of_keyframes = says(
        "get_keyframes_playlist",
        "Keyframes of a day, one of each segment: an HLS I-frame playlist",
    );
    let of_keyframes = list_of(of_keyframes);
    routes.add(at("/{cam}/stream/{day}/keyframes.m3u8").read(
        Needs::CAMERA,
        of_keyframes,
        keyframes,
    ));
    let of_manifest = document_of(says("get_manifest", "A day as MPEG-DASH"), DASH)
        .query(
            "latency",
            "List segments of `today` while they are recorded",
            one_of(&["low"]),
            "low",
        )
        .query(
            "since",
            "Only what has changed in that of `today`, as its `PatchLocation` says",
            text(),
            "90c1a1f0-1795543385000-21.2-21.2-0.0",
        )
        .or(DASH_PATCH);
    routes.add(at("/{cam}/stream/{day}/manifest.mpd").read(Needs::CAMERA, of_manifest, mpd));
    let of_media = says(
        "get_segment",
        "A segment, a part of one, its keyframe or an init segment",
    )
    .details(
        "A part that is the next to be recorded is sent when it is there; a segment that is being recorded is sent \
         as it grows.",
    )
    .path(
        "name",
        "As playlists and manifests say it",
        text(),
        "v-160000000000000.m4s",
    )
    .file("video/mp4", "The bytes")
    .or("audio/mp4")
    .refuses(404, "There is no such segment, or no more")
    .refuses(429, "The client waits for too much already")
    .refuses(503, "The disk does not answer, or the part does not come");
    routes.add(at("/{cam}/stream/{name}").read(Needs::CAMERA, of_media, media::segment_or_init));
}

/// What all documents of a day have in common.
fn document_of(says: Says, media_type: &'static str) -> Says {
    says.query(
        "window",
        "Only so many seconds, of `today`",
        whole(&WINDOWS_S),
        60,
    )
    .tagged(media_type, "The document")
    .refuses(400, "`window` is no such number, or of a day that is over")
    .refuses(404, "There is no such camera, day or track")
    .refuses(503, "The first segments are not complete yet")
}

fn list_of(says: Says) -> Says {
    document_of(says, HLS)
        .query(
            "_HLS_skip",
            "Only what is new, RFC 8216bis §6.2.5.1",
            one_of(&["YES", "v2"]),
            "YES",
        )
        .query(
            "_HLS_msn",
            "Only when that segment is listed, RFC 8216bis §6.2.5.2",
            whole(&NUMBERS),
            0,
        )
        .query(
            "_HLS_part",
            "Only when that part of it is listed",
            whole(&NUMBERS),
            0,
        )
        .refuses(429, "The client waits for too much already")
}

type Path = web::Path<(String, String)>;

/// A window is as long; three target durations at least, whatever is asked for.
const WINDOWS_S: RangeInclusive<u64> = 1..=3600;

/// Of segments and of their parts.
const NUMBERS: RangeInclusive<u64> = 0..=u64::MAX;

#[derive(Deserialize)]
struct Query {
    /// RFC 8216bis §6.2.5.2: wait for the segment of that number, or for that part of it.
    #[serde(rename = "_HLS_msn")]
    media: Option<String>,
    #[serde(rename = "_HLS_part")]
    part: Option<String>,
    /// RFC 8216bis §6.2.5.1: `YES`, or `v2` which asks for skipped date ranges too.
    #[serde(rename = "_HLS_skip")]
    skip: Option<String>,
    /// List so many seconds only.
    window: Option<String>,
    /// `low`: list segments before they are complete.
    latency: Option<String>,
    /// The version of an MPD: what has changed in it.
    since: Option<String>,
}

impl Query {
    fn window_s(&self, day: &AskedDay) -> Result<Option<u64>, ApiError> {
        let Some(text) = &self.window else {
            return Ok(None);
        };
        if day.finished {
            return Err(ApiError::invalid("window is for `today` only"));
        }
        in_range("window", text, &WINDOWS_S, " of seconds").map(Some)
    }

    fn is_low_latency(&self, day: &AskedDay) -> Result<bool, ApiError> {
        match self.latency.as_deref() {
            None => Ok(false),
            Some("low") if !day.finished || self.since.is_some() => Ok(true),
            Some("low") => Err(ApiError::invalid("latency is for `today` only")),
            Some(_) => Err(ApiError::invalid("latency is `low`, or left out")),
        }
    }

    /// The version of the MPD that is known; of a day that is over, none is: it has become another.
    fn version(&self, day: &AskedDay) -> Result<Option<Version>, ApiError> {
        let Some(text) = &self.since else {
            return Ok(None);
        };
        if self.window.is_some() {
            return Err(ApiError::invalid("since is for all of a day only"));
        }
        let version = Version::parse(text, self.latency.is_some());
        let version =
            version.ok_or_else(|| ApiError::invalid("since is what a PatchLocation says"))?;
        Ok(Some(if day.finished {
            Version::default()
        } else {
            version
        }))
    }

    fn extent(&self, day: &AskedDay) -> Result<Extent, ApiError> {
        let is_delta = match self.skip.as_deref() {
            None => false,
            Some("YES" | "v2") => true,
            Some(_) => return Err(ApiError::invalid("_HLS_skip is `YES` or `v2`")),
        };
        // RFC 8216bis §6.2.5.1: a server may answer with the whole playlist; a window is short.
        Ok(match (self.window_s(day)?, is_delta) {
            (Some(seconds), _) => Extent::Window { seconds },
            (None, true) => Extent::Delta,
            (None, false) => Extent::Whole,
        })
    }
}

async fn multivariant(
    app: web::Data<App>,
    path: Path,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let day = find_day(&*app.camera(&path.0)?, &path.1).await?;
    let window_s = query.window_s(&day)?;
    let text = multivariant_playlist(&day.folder.timeline(), window_s);
    let text = text.ok_or_else(|| not_yet(&day))?;
    let encoding = accepted_encoding(&request);
    let document = Document::of_text(text, encoding);
    Ok(respond(&request, &day, HLS, "playlist", encoding, document))
}

async fn video(
    app: web::Data<App>,
    path: Path,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    playlist(&app, &path, &query, &request, TrackKind::Video).await
}

async fn audio(
    app: web::Data<App>,
    path: Path,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    playlist(&app, &path, &query, &request, TrackKind::Audio).await
}

async fn preview(
    app: web::Data<App>,
    path: Path,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    playlist(&app, &path, &query, &request, TrackKind::Preview).await
}

async fn keyframes(
    app: web::Data<App>,
    path: Path,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if query.part.is_some() {
        return Err(ApiError::invalid(
            "keyframes are listed without parts: _HLS_msn alone",
        ));
    }
    let (day, extent) = awaited_day(&app, &path, &query, &request, TrackKind::Video).await?;
    let encoding = accepted_encoding(&request);
    let document = keyframe_playlist(&day.folder.timeline(), day.finished, extent, encoding);
    let document = document.ok_or_else(no_track)?;
    Ok(respond(
        &request,
        &day,
        HLS,
        "keyframes",
        encoding,
        document,
    ))
}

async fn playlist(
    app: &App,
    path: &Path,
    query: &Query,
    request: &HttpRequest,
    kind: TrackKind,
) -> Result<HttpResponse, ApiError> {
    let (day, extent) = awaited_day(app, path, query, request, kind).await?;
    let encoding = accepted_encoding(request);
    let document = media_playlist(&day.folder.timeline(), kind, day.finished, extent, encoding);
    let document = document.ok_or_else(no_track)?;
    Ok(respond(request, &day, HLS, kind.name(), encoding, document))
}

/// The day that is asked for, when it has what is waited for of the track `kind`, and how much of it is to be listed.
async fn awaited_day(
    app: &App,
    path: &Path,
    query: &Query,
    request: &HttpRequest,
    kind: TrackKind,
) -> Result<(AskedDay, Extent), ApiError> {
    let camera = app.camera(&path.0)?;
    let mut day = find_day_of(&camera, &path.1, kind).await?;
    let extent = query.extent(&day)?;
    let awaited = Awaited::parse(query.media.as_deref(), query.part.as_deref())?;
    // What is over is answered as it is.
    if let Some(awaited) = awaited.filter(|_| !day.finished) {
        waiting::for_playlist(app, camera.archive(), request, kind, awaited).await?;
        day = find_day_of(&camera, &path.1, kind).await?;
    }
    Ok((day, extent))
}

async fn mpd(
    app: web::Data<App>,
    path: Path,
    query: web::Query<Query>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let day = find_day(&*app.camera(&path.0)?, &path.1).await?;
    let window_s = query.window_s(&day)?;
    let low_latency = query.is_low_latency(&day)?;
    let since = query.version(&day)?;
    let encoding = accepted_encoding(&request);
    let presentation = match day.finished && since.is_none() {
        true => Presentation::Finished,
        false => Presentation::Live {
            now: app.clock().now(),
            window_s,
            low_latency,
        },
    };
    let timeline = day.folder.timeline();
    let (content_type, name, document) = match since {
        Some(since) => {
            let changes = patch(&timeline, presentation, &since, encoding);
            (DASH_PATCH, "patch", changes)
        }
        None => (
            DASH,
            "manifest",
            manifest(&timeline, presentation, encoding),
        ),
    };
    drop(timeline);
    let document = document.ok_or_else(|| not_yet(&day))?;
    Ok(respond(
        &request,
        &day,
        content_type,
        name,
        encoding,
        document,
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
    let segments: usize = TrackKind::ALL
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
