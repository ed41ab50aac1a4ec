//! The web page: `/` shows all cameras, `/{cam}` one; its files are under `/assets/`.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, http::header, mime, web};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::{
    access::{Client, Needs},
    app::App,
    error::ApiError,
    file_body::IMMUTABLE,
    openapi::{says, text},
    routes::{Routes, at},
};

/// Built from `ui/` by the build script.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/ui"]
struct Files;

/// Nothing is loaded from elsewhere; video comes from memory (`blob:`, Media Source Extensions).
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; media-src 'self' blob:; \
     worker-src 'self' blob:; img-src 'self' data: blob:; frame-ancestors 'self'; base-uri 'none'; \
     form-action 'self'; object-src 'none'";

pub(crate) fn assets(routes: &mut Routes) {
    let of_asset = says("get_asset", "A file of the pages")
        .path(
            "file",
            "Its name, as a page says it",
            text(),
            "style-0123ABCD.css",
        )
        .media("*/*", "The file")
        .refuses(404, "There is no such file");
    let path = at("/assets/{file:.*}").shown_as("/assets/{file}");
    routes.add(path.read(Needs::NOTHING, of_asset, asset));
}

pub(crate) fn routes(routes: &mut Routes) {
    let of_root = says("show_cameras", "The page of all cameras").media("text/html", "The page");
    routes.add(at("/").read(Needs::USER, of_root, root));
    let of_camera = says("show_camera", "The page of one camera").media("text/html", "The page");
    routes.add(at("/{cam}").read(Needs::CAMERA, of_camera, camera));
}

async fn root(request: HttpRequest) -> HttpResponse {
    page(&request, "index.html")
}

async fn camera(
    app: web::Data<App>,
    cam: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    app.camera(&cam)?;
    Ok(page(&request, "index.html"))
}

/// A page that scripts fill. Where its files are, it is told relative to itself: a proxy may have it below any path.
pub(super) fn page(request: &HttpRequest, name: &str) -> HttpResponse {
    let root = Client::of(request).map_or_else(|| "/".to_owned(), |client| client.up());
    HttpResponse::Ok()
        .content_type(mime::TEXT_HTML_UTF_8)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(page_text(name).replace("{{root}}", &root))
}

/// The text of a page, with marks where each answer puts something in.
pub(crate) fn page_text(name: &str) -> String {
    let page = Files::get(name).map(|page| page.data.into_owned());
    page.and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// Names of assets contain a hash of their content: they can be cached for ever.
async fn asset(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let found = file(&format!("assets/{name}"))?;
    let content_type = found.metadata.mimetype().to_owned();
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, IMMUTABLE))
        .body(bytes_of(found)))
}

fn file(name: &str) -> Result<EmbeddedFile, ApiError> {
    Files::get(name).ok_or_else(|| ApiError::not_found("unknown_path", "there is no such file"))
}

fn bytes_of(file: EmbeddedFile) -> bytes::Bytes {
    match file.data {
        Cow::Borrowed(embedded) => bytes::Bytes::from_static(embedded),
        Cow::Owned(read) => read.into(),
    }
}
