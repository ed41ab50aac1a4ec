//! `/{cam}/frame`: a JPEG of now. `?width=` scales it down.

use actix_web::{HttpResponse, http::header, web};
use chrono::SecondsFormat;
use serde::Deserialize;

use crate::{app::App, error::ApiError, routes::read_only};

/// Widths that can be asked for, in pixels.
const WIDTHS: std::ops::RangeInclusive<u32> = 16..=7680;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(read_only("/{cam}/frame").get(now));
}

#[derive(Deserialize)]
struct Size {
    width: Option<String>,
}

async fn now(
    app: web::Data<App>,
    cam: web::Path<String>,
    size: web::Query<Size>,
) -> Result<HttpResponse, ApiError> {
    let entry = app.camera(&cam)?;
    let width = size.width.as_deref().map(parse_width).transpose()?;
    let frame = entry.frames().frame(width).await.map_err(|error| {
        let message = format!("{error}; {}", entry.why_offline());
        ApiError::new(error.kind(), "no_frame", message)
    })?;
    let taken = frame.taken.with_timezone(&entry.archive().zone());
    Ok(HttpResponse::Ok()
        .content_type("image/jpeg")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((
            "X-Frame-Time",
            taken.to_rfc3339_opts(SecondsFormat::Millis, false),
        ))
        .body(frame.jpeg))
}

fn parse_width(text: &str) -> Result<u32, ApiError> {
    let width = text.parse().ok().filter(|width| WIDTHS.contains(width));
    width.ok_or_else(|| {
        let (least, most) = (WIDTHS.start(), WIDTHS.end());
        ApiError::invalid(format!(
            "width is a whole number of pixels from {least} to {most}"
        ))
    })
}
