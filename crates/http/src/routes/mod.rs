//! The route table.

mod absent;
mod api;
mod export;
mod frame;
mod health;
mod live;
mod media;
mod metrics;
mod moment;
mod page;
mod reload;
mod storage;
mod stream;
mod timelapse;

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
};

/// The route table, as it is being written: what answers each path, and what a caller needs for it.
#[derive(Default)]
pub(crate) struct Routes {
    resources: Vec<Resource>,
    pub(crate) table: Vec<(&'static str, Method, Needs)>,
}

impl Routes {
    /// All routes.
    pub(crate) fn all() -> Self {
        let mut routes = Self::default();
        for add in [
            health::routes,
            metrics::routes,
            access::routes,
            api::routes,
            reload::routes,
            storage::routes,
            page::assets,
            stream::routes,
            live::routes,
            frame::routes,
            export::routes,
            moment::routes,
            timelapse::routes,
            page::routes,
        ] {
            add(&mut routes);
        }
        routes
    }

    /// Adds a path. Whichever was added first answers what matches two.
    pub(crate) fn add(&mut self, path: PathRoutes) {
        let PathRoutes {
            path,
            resource,
            methods,
        } = path;
        let names = methods.iter().map(|(method, _)| method.as_str());
        let allowed: Vec<_> = names.chain(["OPTIONS"]).collect();
        let allowed = allowed.join(", ");
        let to_others = allowed.clone();
        let resource = resource
            .route(web::method(Method::OPTIONS).to(move || preflight(allowed.clone())))
            .default_service(web::to(move |request| {
                method_not_allowed(to_others.clone(), request)
            }));
        self.resources.push(resource);
        let rows = methods
            .into_iter()
            .map(|(method, needs)| (path, method, needs));
        self.table.extend(rows);
    }
}

/// A path with its methods. `Allow` lists them: browsers that ask first are told, others get 405.
pub(crate) struct PathRoutes {
    path: &'static str,
    resource: Resource,
    methods: Vec<(Method, Needs)>,
}

/// A path without methods yet.
pub(crate) fn at(path: &'static str) -> PathRoutes {
    PathRoutes {
        path,
        resource: web::resource(path),
        methods: Vec::new(),
    }
}

impl PathRoutes {
    /// What answers GET and HEAD.
    pub(crate) fn read<F, Args>(self, needs: Needs, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let reads = guard::Any(guard::Get()).or(guard::Head());
        let methods = [Method::GET, Method::HEAD];
        self.with(&methods, needs, web::route().guard(reads).to(handler))
    }

    /// What answers another method.
    pub(crate) fn on<F, Args>(self, method: Method, needs: Needs, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let route = web::method(method.clone()).to(handler);
        self.with(&[method], needs, route)
    }

    fn with(mut self, methods: &[Method], needs: Needs, route: Route) -> Self {
        let admitted = from_fn(move |request, next| admit(needs, request, next));
        self.resource = self.resource.route(route.wrap(admitted));
        let methods = methods.iter().map(|method| (method.clone(), needs));
        self.methods.extend(methods);
        self
    }
}

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
