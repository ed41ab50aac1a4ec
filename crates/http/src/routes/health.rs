//! `/healthz`: the server is alive. `/readyz`: every camera delivers.

use actix_web::{HttpResponse, http::header, web};
use dayreel_pipeline::CameraState;

use crate::{app::App, routes::read_only};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(read_only("/healthz").get(alive))
        .service(read_only("/readyz").get(ready));
}

async fn alive() -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(serde_json::json!({ "status": "ok" }))
}

async fn ready(app: web::Data<App>) -> HttpResponse {
    let waits = app
        .cameras()
        .filter(|(_, entry)| entry.camera().status().state != CameraState::Live);
    let reasons: Vec<_> = waits
        .map(|(id, entry)| serde_json::json!({ "camera": id, "reason": entry.why_offline() }))
        .collect();
    let (mut response, status) = match reasons.is_empty() {
        true => (HttpResponse::Ok(), "ok"),
        false => (HttpResponse::ServiceUnavailable(), "waiting"),
    };
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(serde_json::json!({ "status": status, "reasons": reasons }))
}
