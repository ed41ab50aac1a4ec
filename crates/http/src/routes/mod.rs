//! The route table.

mod api;
mod frame;
mod health;
mod media;
mod moment;
mod page;
mod storage;
mod stream;
mod timelapse;

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, guard,
    http::{Method, header},
    web,
};

use crate::error::{ApiError, body};

/// All routes, and what is said to requests that match none.
pub(crate) fn all(config: &mut web::ServiceConfig) {
    config
        .app_data(
            web::QueryConfig::default().error_handler(|error, _| stream::bad_query(error).into()),
        )
        .configure(health::routes)
        .configure(api::routes)
        .configure(storage::routes)
        .configure(page::assets)
        .configure(stream::routes)
        .configure(frame::routes)
        .configure(moment::routes)
        .configure(timelapse::routes)
        .configure(page::routes)
        .default_service(web::to(unknown_path));
}

/// The methods of a path, as `Allow` lists them: browsers that ask first are told, others get 405.
#[derive(Clone, Copy)]
pub(crate) struct Methods(pub(crate) &'static str);

impl Methods {
    /// A resource without any of them yet.
    pub(crate) fn on(self, path: &str) -> Resource {
        web::resource(path)
            .route(web::method(Method::OPTIONS).to(move || preflight(self.0)))
            .default_service(web::to(move |request| method_not_allowed(self.0, request)))
    }
}

/// A path that can only be read.
pub(crate) struct ReadOnly(Resource);

pub(crate) fn read_only(path: &str) -> ReadOnly {
    ReadOnly(Methods("GET, HEAD, OPTIONS").on(path))
}

impl ReadOnly {
    pub(crate) fn get<F, Args>(self, handler: F) -> Resource
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let reads = guard::Any(guard::Get()).or(guard::Head());
        self.0.route(web::route().guard(reads).to(handler))
    }
}

async fn preflight(allowed: &'static str) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, allowed))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Range, If-None-Match, If-Range",
        ))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

async fn method_not_allowed(allowed: &'static str, request: HttpRequest) -> HttpResponse {
    let method = request.method();
    let message = format!("{method} is not allowed here; allowed are {allowed}");
    HttpResponse::MethodNotAllowed()
        .insert_header((header::ALLOW, allowed))
        .json(body("method_not_allowed", &message))
}

async fn unknown_path() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found(
        "unknown_path",
        "there is nothing here; the README lists the paths",
    ))
}
