//! `/healthz`: the server is alive. `/readyz`: every camera delivers.

use actix_web::{HttpResponse, http::header, web};
use dayreel_pipeline::CameraState;

use crate::{
    access::{Caller, Needs},
    app::App,
    routes::{Routes, at},
};

pub(crate) fn routes(routes: &mut Routes) {
    routes.add(at("/healthz").read(Needs::NOTHING, alive));
    routes.add(at("/readyz").read(Needs::NOTHING, ready));
}

async fn alive() -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(serde_json::json!({ "status": "ok" }))
}

/// Everybody is told whether, and who may see a camera, why not.
async fn ready(app: web::Data<App>, caller: web::ReqData<Caller>) -> HttpResponse {
    let cameras = app.cameras();
    let waits = cameras
        .iter()
        .filter(|(_, entry)| entry.camera().status().state != CameraState::Live);
    let is_ready = waits.clone().next().is_none();
    let reasons: Vec<_> = waits
        .filter(|(id, _)| caller.sees(id))
        .map(|(id, entry)| serde_json::json!({ "camera": id, "reason": entry.why_offline() }))
        .collect();
    let (mut response, status) = match is_ready {
        true => (HttpResponse::Ok(), "ok"),
        false => (HttpResponse::ServiceUnavailable(), "waiting"),
    };
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(serde_json::json!({ "status": status, "reasons": reasons }))
}
