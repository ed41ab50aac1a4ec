//! `/healthz`: the server is alive. `/readyz`: every camera delivers.

use actix_web::{HttpResponse, http::header, web};
use dayreel_core::CameraId;
use dayreel_pipeline::CameraState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::{Caller, Needs},
    app::App,
    openapi::{Example, says},
    routes::{Routes, at},
};

pub(crate) fn routes(routes: &mut Routes) {
    let of_health = says("get_health", "The server is alive").json::<HealthView>("It is");
    routes.add(at("/healthz").read(Needs::NOTHING, of_health, alive));
    let of_readiness = says("get_readiness", "Every camera delivers")
        .json::<ReadinessView>("All do")
        .json_at::<ReadinessView>(503, "Not all do; who may see a camera is told why not");
    routes.add(at("/readyz").read(Needs::NOTHING, of_readiness, ready));
}

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthView {
    /// `ok`.
    status: &'static str,
}

impl Example for HealthView {
    fn example() -> Self {
        Self { status: "ok" }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadinessView {
    /// `ok` or `waiting`.
    status: &'static str,
    /// Cameras that do not deliver.
    reasons: Vec<ReasonView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Reason)]
struct ReasonView {
    #[schema(value_type = String)]
    camera: CameraId,
    reason: String,
}

impl Example for ReadinessView {
    fn example() -> Self {
        Self {
            status: "ok",
            reasons: Vec::new(),
        }
    }
}

async fn alive() -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(HealthView { status: "ok" })
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
        .map(|(id, entry)| ReasonView {
            camera: id.clone(),
            reason: entry.why_offline(),
        })
        .collect();
    let (mut response, status) = match is_ready {
        true => (HttpResponse::Ok(), "ok"),
        false => (HttpResponse::ServiceUnavailable(), "waiting"),
    };
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(ReadinessView { status, reasons })
}
