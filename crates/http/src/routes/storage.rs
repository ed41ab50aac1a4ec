//! `/api/storage`: the disk of the recordings, and whether it is large enough.

use actix_web::{HttpResponse, http::header, web};
use dayreel_archive::{Forecast, Storage};
use serde::Serialize;

use crate::{
    access::Needs,
    app::App,
    routes::{Routes, at},
};

pub(crate) fn routes(routes: &mut Routes) {
    routes.add(at("/api/storage").read(Needs::EVERY_CAMERA, storage));
}

#[derive(Serialize)]
struct StorageView {
    /// `ok`, or what is wrong in one stable word: `disk_missing`, `disk_low`, …
    state: &'static str,
    /// What is wrong, in words.
    problem: Option<String>,
    total_bytes: Option<u64>,
    free_bytes: Option<u64>,
    /// Recordings are deleted where less is free.
    min_free_bytes: u64,
    /// Whether what is to be kept will fit; null while too little is recorded to tell.
    fits: Option<bool>,
    cameras: Vec<ForecastView>,
}

#[derive(Serialize)]
struct ForecastView {
    id: String,
    days_to_keep: u8,
    max_bytes: Option<u64>,
    /// Of its days, now.
    kept_bytes: u64,
    bytes_per_day: Option<u64>,
    /// Of its days, when as many are kept as shall be.
    needed_bytes: Option<u64>,
    /// "6 days of front-door need about 260 GB, 180 GB are free".
    message: String,
}

async fn storage(app: web::Data<App>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(view(app.retention().storage()))
}

fn view(storage: Storage) -> StorageView {
    let free_bytes = storage.space.map(|space| space.free_bytes);
    let forecast = |forecast: &Forecast| ForecastView {
        id: forecast.camera.to_string(),
        days_to_keep: forecast.days_to_keep,
        max_bytes: forecast.max_bytes,
        kept_bytes: forecast.kept_bytes,
        bytes_per_day: forecast.bytes_per_day,
        needed_bytes: forecast.needed_bytes(),
        message: forecast.in_words(free_bytes.unwrap_or(0)),
    };
    StorageView {
        state: storage.problem.as_ref().map_or("ok", |(code, _)| code),
        total_bytes: storage.space.map(|space| space.total_bytes),
        free_bytes,
        min_free_bytes: storage.min_free_bytes,
        fits: storage.fits(),
        cameras: storage.forecasts.iter().map(forecast).collect(),
        problem: storage.problem.map(|(_, text)| text),
    }
}
