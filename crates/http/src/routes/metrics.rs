//! `/metrics`: counts and measurements for Prometheus, in its text format 0.0.4.

use actix_web::{HttpResponse, http::header, web};
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

use crate::{
    access::Needs,
    app::App,
    error::ApiError,
    metrics::exposition,
    openapi::says,
    routes::{Routes, at},
};

pub(crate) fn routes(routes: &mut Routes) {
    let of_metrics = says("get_metrics", "Counts and measurements for Prometheus")
        .media("text/plain", "The text format 0.0.4");
    routes.add(at("/metrics").read(Needs::EVERY_CAMERA, of_metrics, metrics));
}

async fn metrics(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let text = exposition(app.into_inner()).map_err(|error| ApiError::internal(&error))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(response.content_type(CONTENT_TYPE).body(text))
}
