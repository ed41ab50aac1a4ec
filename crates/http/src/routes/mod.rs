//! The route table.

mod absent;
mod api;
mod export;
mod frame;
mod growing;
mod health;
mod live;
mod media;
mod metrics;
mod moment;
mod openapi;
mod page;
mod reload;
mod server_time;
mod storage;
mod stream;
mod timelapse;
mod waiting;

pub use moment::MomentOrder;
pub(crate) use page::page_text;
pub use reload::{NotReloaded, ReloadAnswer, Reloaded, Reloads};

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard,
    http::{Method, header},
    middleware::from_fn,
    web,
};

use crate::{
    access::{self, Needs, admit},
    error::{ApiError, body},
    openapi::{Operation, Says},
};

/// The route table, as it is being written: what answers each path, what a caller needs for it, and
/// what the API description says of it.
#[derive(Default)]
pub(crate) struct Routes {
    resources: Vec<Resource>,
    pub(crate) table: Vec<(&'static str, Method, Needs)>,
    /// Of the table, without HEAD, which is GET without a body.
    pub(crate) operations: Vec<Operation>,
    section: &'static str,
}

impl Routes {
    /// All routes.
    pub(crate) fn all() -> Self {
        let mut routes = Self::default();
        let sections: [(_, fn(&mut Self)); _] = [
            (SERVER, health::routes),
            (SERVER, metrics::routes),
            ("Users", access::routes),
            ("Cameras", api::routes),
            (SERVER, reload::routes),
            (SERVER, storage::routes),
            (SERVER, openapi::routes),
            (PAGES, page::assets),
            ("Streams", stream::routes),
            ("Streams", server_time::routes),
            ("Streams", live::routes),
            ("Pictures", frame::routes),
            ("Exports", export::routes),
            ("Moments", moment::routes),
            ("Timelapses", timelapse::routes),
            (PAGES, page::routes),
        ];
        for (section, add) in sections {
            routes.section = section;
            add(&mut routes);
        }
        routes
    }

    /// Adds a path. Whichever was added first answers what matches two.
    pub(crate) fn add(&mut self, path: PathRoutes) {
        let PathRoutes {
            path,
            shown,
            resource,
            methods,
        } = path;
        let all = methods.iter().flat_map(|(methods, ..)| methods);
        let names = all.map(|method| method.as_str());
        let allowed: Vec<_> = names.chain(["OPTIONS"]).collect();
        let allowed = allowed.join(", ");
        let to_others = allowed.clone();
        let resource = resource
            .route(web::method(Method::OPTIONS).to(move || preflight(allowed.clone())))
            .default_service(web::to(move |request| {
                method_not_allowed(to_others.clone(), request)
            }));
        self.resources.push(resource);
        for (methods, needs, says) in methods {
            let rows = methods.iter().map(|method| (path, method.clone(), needs));
            self.table.extend(rows);
            self.operations
                .extend(methods.first().map(|method| Operation {
                    shown,
                    method: method.clone(),
                    needs,
                    section: self.section,
                    says,
                }));
        }
    }
}

/// A path with its methods. `Allow` lists them: browsers that ask first are told, others get 405.
pub(crate) struct PathRoutes {
    path: &'static str,
    shown: &'static str,
    resource: Resource,
    /// Those of one handler together.
    methods: Vec<(Vec<Method>, Needs, Says)>,
}

/// A path without methods yet.
pub(crate) fn at(path: &'static str) -> PathRoutes {
    PathRoutes {
        path,
        shown: path,
        resource: web::resource(path),
        methods: Vec::new(),
    }
}

impl PathRoutes {
    /// How the description writes the path, where its template reads several parts as one.
    pub(crate) fn shown_as(mut self, shown: &'static str) -> Self {
        self.shown = shown;
        self
    }

    /// What answers GET and HEAD.
    pub(crate) fn read<F, Args>(self, needs: Needs, says: Says, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let reads = guard::Any(guard::Get()).or(guard::Head());
        let methods = vec![Method::GET, Method::HEAD];
        self.with(methods, needs, says, web::route().guard(reads).to(handler))
    }

    /// What answers another method.
    pub(crate) fn on<F, Args>(self, method: Method, needs: Needs, says: Says, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let route = web::method(method.clone()).to(handler);
        self.with(vec![method], needs, says, route)
    }

    fn with(mut self, methods: Vec<Method>, needs: Needs, says: Says, route: Route) -> Self {
        let admitted = from_fn(move |request, next| admit(needs, request, next));
        self.resource = self.resource.route(route.wrap(admitted));
        self.methods.push((methods, needs, says));
        self
    }
}

/// Sections of the description that several files belong to.
const SERVER: &str = "Server";
const PAGES: &str = "Pages";

/// All routes, and what is said to requests that match none.
pub(crate) fn all(config: &mut web::ServiceConfig) {
    config.app_data(access::form_config()).app_data(
        web::QueryConfig::default().error_handler(|error, _| stream::bad_query(error).into()),
    );
    for resource in Routes::all().resources {
        config.service(resource);
    }
    config.default_service(web::to(unknown_path));
}

async fn preflight(allowed: String) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, allowed))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Range, If-None-Match, If-Range",
        ))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}

async fn method_not_allowed(allowed: String, request: HttpRequest) -> HttpResponse {
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
