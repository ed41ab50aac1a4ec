//! Requests, by the route that answers them: how many, how they ended, how long they took.

use std::time::Instant;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::app::App;

/// Upper ends of the classes of durations, seconds: from a playlist to a moment with its GIF.
const CLASSES_S: [f64; 9] = [0.0005, 0.002, 0.01, 0.05, 0.2, 0.5, 1.0, 5.0, 20.0];
/// The route of what no route answers.
const UNMATCHED: &str = "unmatched";

/// A route template, such as `/{cam}/frame`.
type Route = [(&'static str, String); 1];
/// The same, and a status.
type RouteAndStatus = [(&'static str, String); 2];

/// Counts of requests. Shared by all workers.
pub(crate) struct RequestMetrics {
    registry: Registry,
    requests: Family<RouteAndStatus, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        registry.register(
            "dayreel_http_requests",
            "Requests, by the template of their route and the status of the answer",
            requests.clone(),
        );
        let histogram: fn() -> Histogram = || Histogram::new(CLASSES_S);
        let durations = Family::new_with_constructor(histogram);
        registry.register(
            "dayreel_http_request_duration_seconds",
            "Time from the head of a request to the head of its answer",
            durations.clone(),
        );
        Self {
            registry,
            requests,
            durations,
        }
    }
}

impl RequestMetrics {
    pub(crate) const fn registry(&self) -> &Registry {
        &self.registry
    }

    fn count(&self, route: String, status: u16, seconds: f64) {
        let route = [("route", route)];
        self.durations.get_or_create(&route).observe(seconds);
        let [route] = route;
        let ended = [route, ("status", status.to_string())];
        self.requests.get_or_create(&ended).inc();
    }
}

/// Counts a request when the head of its answer is ready.
pub(crate) async fn count_request<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let started = Instant::now();
    let app = request.app_data::<web::Data<App>>().cloned();
    let answered = next.call(request).await;
    let (route, status) = match &answered {
        Ok(response) => (response.request().match_pattern(), response.status()),
        Err(error) => (None, error.as_response_error().status_code()),
    };
    if let Some(app) = app {
        let route = route.unwrap_or_else(|| UNMATCHED.to_owned());
        let seconds = started.elapsed().as_secs_f64();
        app.requests().count(route, status.as_u16(), seconds);
    }
    answered
}
