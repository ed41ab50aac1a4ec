//! `/{cam}/stream/{day}/time`: the clock of the server, for players of MPEG-DASH (ISO/IEC 23009-1 §5.8.4.11).

use actix_web::{HttpResponse, http::header, web};
use chrono::SecondsFormat;

use crate::{
    access::Needs,
    app::App,
    day_param::find_day,
    error::ApiError,
    openapi::says,
    routes::{Routes, at},
};

pub(crate) fn routes(routes: &mut Routes) {
    let of_time = says("get_time", "The clock of the server")
        .details("The MPD of a live day names it: players of MPEG-DASH compare theirs with it.")
        .media("text/plain", "RFC 3339")
        .refuses(404, "There is no such camera or day")
        .refuses(503, "Nothing is recorded today yet");
    routes.add(at("/{cam}/stream/{day}/time").read(Needs::CAMERA, of_time, time));
}

async fn time(
    app: web::Data<App>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    find_day(&*app.camera(&path.0)?, &path.1).await?;
    let now = app.clock().now();
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(now.to_rfc3339_opts(SecondsFormat::Millis, true)))
}
