//! The route table.

mod api;
mod frame;
mod health;
mod media;
mod page;
mod stream;

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, guard, http::header, web,
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
        .configure(page::assets)
        .configure(stream::routes)
        .configure(frame::routes)
        .configure(page::routes)
        .default_service(web::to(unknown_path));
}

/// A path that can only be read: GET and HEAD, OPTIONS for browsers that ask first, 405 for the
/// rest.
pub(crate) struct ReadOnly(Resource);

pub(crate) fn read_only(path: &str) -> ReadOnly {
    ReadOnly(web::resource(path))
}

impl ReadOnly {
    pub(crate) fn get<F, Args>(self, handler: F) -> Resource
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let reads = guard::Any(guard::Get()).or(guard::Head());
        self.0
            .route(web::route().guard(reads).to(handler))
            .route(web::method(actix_web::http::Method::OPTIONS).to(preflight))
            .default_service(web::to(method_not_allowed))
    }
}

async fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Range, If-None-Match, If-Range",
        ))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    let message = format!(
        "{} is not allowed here; GET, HEAD and OPTIONS are",
        request.method()
    );
    HttpResponse::MethodNotAllowed()
        .insert_header((header::ALLOW, "GET, HEAD, OPTIONS"))
        .json(body("method_not_allowed", &message))
}

async fn unknown_path() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found(
        "unknown_path",
        "there is nothing here; the README lists the paths",
    ))
}
