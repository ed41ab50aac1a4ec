//! The live view in MPEG-TS, made while somebody asks.
//!
//! | path | answer |
//! | --- | --- |
//! | `/{cam}/live/playlist.m3u8` | HLS media playlist of the last seconds |
//! | `/{cam}/live/{number}.ts` | a segment of it |

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use crate::{
    access::Needs,
    app::App,
    error::ApiError,
    file_body::{IMMUTABLE, MediaHead, bytes_response},
    openapi::{says, text},
    routes::{Routes, at, stream::HLS},
};

/// Registered by RFC 3555.
const MPEG_TS: &str = "video/mp2t";

/// Each request says that somebody still watches.
const OF_NOW: &str = "no-cache";

pub(crate) fn routes(routes: &mut Routes) {
    let of_playlist = says(
        "get_live_playlist",
        "The live view in MPEG-TS, for old players: HLS",
    )
    .details("Made while somebody watches.")
    .media(HLS, "The last seconds")
    .refuses(503, "The camera delivers nothing");
    routes.add(at("/{cam}/live/playlist.m3u8").read(Needs::CAMERA, of_playlist, playlist));
    let of_segment = says("get_live_segment", "A segment of the live view")
        .path("name", "As the playlist says it", text(), "1790000000.ts")
        .file(MPEG_TS, "The segment")
        .refuses(404, "There is no such segment, or no more");
    routes.add(at("/{cam}/live/{name}").read(Needs::CAMERA, of_segment, segment));
}

async fn playlist(app: web::Data<App>, cam: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    let text = entry.camera().live().playlist().await.map_err(|error| {
        let message = format!("{error}; {}", entry.why_offline());
        ApiError::new(error.kind(), "no_live_view", message)
    })?;
    Ok(HttpResponse::Ok()
        .content_type(HLS)
        .insert_header((header::CACHE_CONTROL, OF_NOW))
        .body(text))
}

async fn segment(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (camera, name) = path.into_inner();
    let entry = app.camera(&camera)?;
    let found = number(&name).and_then(|number| entry.camera().live().segment(number));
    let bytes = found.ok_or_else(|| {
        let message = "no such segment: it never existed or has left the live view";
        ApiError::not_found("unknown_segment", message)
    })?;
    let head = MediaHead {
        content_type: MPEG_TS,
        etag: format!("{name}-{}", bytes.len()),
        cache: IMMUTABLE,
    };
    Ok(bytes_response(&request, head, &bytes))
}

/// The number in `{number}.ts`. There is one spelling, so that caches hold one copy.
fn number(name: &str) -> Option<u64> {
    let number: u64 = name.strip_suffix(".ts")?.parse().ok()?;
    (format!("{number}.ts") == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_one_name() {
        assert_eq!(number("1790000000.ts"), Some(1_790_000_000));
        for other in [
            "01.ts",
            "+1.ts",
            "1.mp4",
            ".ts",
            "..",
            "1.ts/",
            "18446744073709551616.ts",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
