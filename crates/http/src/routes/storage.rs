//! `/api/storage`: the disk of the recordings, and whether it is large enough.

use actix_web::{HttpResponse, http::header, web};
use dayreel_archive::{Forecast, Storage};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Needs,
    app::App,
    openapi::{Example, says},
    routes::{Routes, at},
};

pub(crate) fn routes(routes: &mut Routes) {
    let of_storage = says(
        "get_storage",
        "The disk of the recordings, and whether it is large enough",
    )
    .json::<StorageView>("What there is, and what is needed");
    routes.add(at("/api/storage").read(Needs::EVERY_CAMERA, of_storage, storage));
}

#[derive(Serialize, ToSchema)]
#[schema(as = Storage)]
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

#[derive(Serialize, ToSchema)]
#[schema(as = Forecast)]
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

impl Example for StorageView {
    fn example() -> Self {
        Self {
            state: "ok",
            problem: None,
            total_bytes: Some(4_000_000_000_000),
            free_bytes: Some(1_800_000_000_000),
            min_free_bytes: 1_000_000_000,
            fits: Some(true),
            cameras: vec![ForecastView {
                id: "front-door".to_owned(),
                days_to_keep: 6,
                max_bytes: None,
                kept_bytes: 120_000_000_000,
                bytes_per_day: Some(43_200_000_000),
                needed_bytes: Some(302_400_000_000),
                message: "6 days of front-door need about 302 GB, 1800 GB are free".to_owned(),
            }],
        }
    }
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
