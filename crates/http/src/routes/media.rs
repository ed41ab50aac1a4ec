//! Segments, their parts, their keyframes and init segments: `/{cam}/stream/v-{start}.m4s`,
//! `/{cam}/stream/v-{start}.part.m4s`, `/{cam}/stream/k-{start}.m4s`, `/{cam}/stream/v-{hash}.mp4`.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, EntityTag},
    web,
};
use dayreel_archive::MediaSlice;
use dayreel_core::TrackKind;
use dayreel_manifest::{MediaName, Prospect};

use crate::{
    app::App,
    crowd::Crowd,
    error::ApiError,
    file_body::{IMMUTABLE, MediaHead, file_response, is_known, made_response},
    routes::{growing, waiting},
};

const fn content_type(kind: TrackKind) -> &'static str {
    match kind.is_picture() {
        true => "video/mp4",
        false => "audio/mp4",
    }
}

fn absent() -> ApiError {
    let message = "no such segment: it never existed or is no longer kept";
    ApiError::not_found("unknown_segment", message)
}

async fn media_response(
    request: &HttpRequest,
    kind: TrackKind,
    name: &str,
    slice: MediaSlice,
) -> Result<HttpResponse, ApiError> {
    let head = MediaHead {
        content_type: content_type(kind),
        etag: format!("{name}-{}", slice.len_bytes),
        cache: IMMUTABLE,
    };
    file_response(request, head, slice).await
}

/// A segment of no access units. Low-latency DASH listed it before it began, and then the camera was lost. dash.js
/// (5.2) asks for it again and again, and gives up where it is not there.
fn nothing(kind: TrackKind) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type(kind))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(&b"\0\0\0\x14stypmsdh\0\0\0\0msdh"[..])
}

pub(crate) async fn segment_or_init(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
    bodies: web::Data<Crowd>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (camera, name) = path.into_inner();
    let archive = Arc::clone(app.camera(&camera)?.archive());
    let asked = MediaName::parse(&name).ok_or_else(absent)?;
    match asked {
        MediaName::Segment(kind, start) => {
            waiting::for_segment(&app, &archive, &request, kind, start).await?;
            if archive.open_segment(kind, start).is_some() {
                let place = bodies.place(&request)?;
                return Ok(growing::response(
                    content_type(kind),
                    archive,
                    kind,
                    start,
                    place,
                ));
            }
            let of_segment = Arc::clone(&archive);
            let found = web::block(move || of_segment.segment(kind, start)).await;
            match found.map_err(|e| ApiError::internal(&e))?? {
                Some(slice) => media_response(&request, kind, &name, slice).await,
                None => match waiting::prospect(&archive, kind, start) {
                    Some(Prospect::Vain) => Ok(nothing(kind)),
                    Some(Prospect::Open) | None => Err(absent()),
                },
            }
        }
        MediaName::Part(kind, start) => {
            waiting::for_part(&app, &archive, &request, kind, start).await?;
            let found = web::block(move || archive.part(kind, start)).await;
            let slice = found
                .map_err(|e| ApiError::internal(&e))??
                .ok_or_else(absent)?;
            media_response(&request, kind, &name, slice).await
        }
        MediaName::Keyframe(start) => {
            let found = web::block(move || archive.keyframe(start)).await;
            let keyframe = found
                .map_err(|e| ApiError::internal(&e))??
                .ok_or_else(absent)?;
            let head = MediaHead {
                content_type: content_type(TrackKind::Video),
                etag: format!("{name}-{}", keyframe.len_bytes()),
                cache: IMMUTABLE,
            };
            let len_bytes = keyframe.len_bytes();
            let place = bodies.place(&request)?;
            let read = |range| keyframe.read(range);
            Ok(made_response(&request, head, len_bytes, place, read))
        }
        MediaName::Init(kind, hash) => {
            let found = web::block(move || archive.init(kind, hash)).await;
            let bytes = found
                .map_err(|e| ApiError::internal(&e))??
                .ok_or_else(absent)?;
            let etag = EntityTag::new_strong(name);
            let known = is_known(&request, &etag);
            let mut response = HttpResponse::Ok();
            response
                .content_type(content_type(kind))
                .insert_header((header::CACHE_CONTROL, IMMUTABLE))
                .insert_header((header::ETAG, etag.to_string()));
            Ok(match known {
                true => response
                    .status(actix_web::http::StatusCode::NOT_MODIFIED)
                    .finish(),
                false => response.body(bytes),
            })
        }
    }
}
