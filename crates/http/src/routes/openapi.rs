//! `/api/openapi.json`: the description of all that is here. `/api`: the page that shows it.

use actix_web::{HttpRequest, HttpResponse, http::header, web};

use super::page;
use crate::{
    access::Needs,
    app::App,
    openapi::{document, says},
    routes::{Routes, at},
};

pub(crate) fn routes(routes: &mut Routes) {
    routes.add(at("/api").read(
        Needs::USER,
        says("show_description", "This description, as a page").media("text/html", "The page"),
        show,
    ));
    routes.add(
        at("/api/openapi.json").read(
            Needs::USER,
            says("get_description", "This description: OpenAPI 3.1")
                .media("application/json", "The document"),
            describe,
        ),
    );
}

async fn show(request: HttpRequest) -> HttpResponse {
    page::page(&request, "api.html")
}

async fn describe(app: web::Data<App>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    let base = app.gate().base();
    response.json(document(match base.prefix() {
        "" => "/",
        prefix => prefix,
    }))
}
