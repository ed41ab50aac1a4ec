//! The server: the same application in production and in tests.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App as ActixApp, Error, HttpResponse, HttpServer,
    body::{EitherBody, MessageBody},
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header,
    middleware::{Compress, DefaultHeaders, Next, NormalizePath, from_fn},
    web,
};

use crate::{
    access,
    app::App,
    crowd::Crowd,
    idle::{self, Watch},
    metrics, packed, routes,
    tls::Certificate,
};

/// A client has so long to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// An idle connection is kept for so long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// At shutdown, responses have so long to end.
const SHUTDOWN_TIMEOUT_S: u64 = 2;

/// Threads that answer requests. They never wait for a disk; a few serve many players.
const WORKERS: usize = 2;

/// Takes the address. Port 0 is any free port.
///
/// # Errors
/// The system's, if the address is in use or not ours.
pub fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until `shutdown` is ready, then ends responses within seconds: with a certificate HTTPS
/// (HTTP/2 and HTTP/1.1), without one HTTP/1.1. Who comes when `most_connections` are open waits until
/// one ends; who has a quarter of them gets no more.
///
/// # Errors
/// The system's, if the listener cannot be used.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    certificate: Option<Certificate>,
    most_connections: usize,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let bodies = Crowd::of_bodies();
    let connections = Crowd::of_connections(most_connections);
    let watch = Watch::default();
    let looking = tokio::spawn(watch.clone().keep_looking());
    let server = HttpServer::new(move || application(Arc::clone(&app), bodies.clone()))
        .workers(WORKERS)
        .max_connections((most_connections / WORKERS).max(1))
        .on_connect(move |connection, data| connections.meet(connection, &watch, data))
        .client_request_timeout(REQUEST_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_S)
        .disable_signals();
    let server = match &certificate {
        Some(certificate) => {
            let config = certificate.config().map_err(io::Error::other)?;
            server.listen_rustls_0_23(listener, config)?
        }
        None => server.listen(listener)?,
    };
    let server = server.run();
    let renewal = certificate.map(|certificate| tokio::spawn(certificate.keep_renewed()));
    let handle = server.handle();
    let stop = async {
        shutdown.await;
        handle.stop(true).await;
    };
    let (served, ()) = tokio::join!(server, stop);
    looking.abort();
    if let Some(renewal) = renewal {
        renewal.abort();
    }
    served
}

/// What answers requests, in production and in tests. `bodies` counts media that is on its way.
pub(crate) fn application(
    app: Arc<App>,
    bodies: Crowd,
) -> ActixApp<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    ActixApp::new()
        .app_data(web::Data::from(app))
        .app_data(web::Data::new(bodies))
        .wrap(from_fn(packed::stays_as_it_is))
        .wrap(Compress::default())
        .wrap(from_fn(packed::needs_no_word))
        .wrap(headers_of_all())
        .wrap(NormalizePath::trim())
        .wrap(from_fn(documents_have_no_folder))
        .wrap(from_fn(access::enter))
        .wrap(from_fn(metrics::count_request))
        .wrap(from_fn(idle::use_connection))
        .configure(routes::all)
}

/// CORS is open for reading: players on other pages may play. Anything else is closed. Not
/// `Strict-Transport-Security`: it is for all ports of a host, and a NAS has others without TLS.
fn headers_of_all() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .add((
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Content-Length, Content-Range, Date, ETag, X-Export-From, X-Export-To, X-Frame-Stale, \
             X-Frame-Time",
        ))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // No other page learns from links which camera is looked at, or holds our window.
        .add((header::REFERRER_POLICY, "same-origin"))
        .add(("Cross-Origin-Opener-Policy", "same-origin"))
        .add((
            "Permissions-Policy",
            "camera=(), geolocation=(), microphone=()",
        ))
}

/// A trailing slash never matters; but names in a playlist are relative to its folder, so
/// `…/playlist.m3u8/` is sent to `…/playlist.m3u8`.
async fn documents_have_no_folder<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let path = request.path().trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    if path.len() < request.path().len() && (name.ends_with(".m3u8") || name.ends_with(".mpd")) {
        let query = request.query_string();
        let mark = if query.is_empty() { "" } else { "?" };
        // Relative, so that a base path in front of us stays.
        let location = format!("../{name}{mark}{query}");
        let response = HttpResponse::PermanentRedirect()
            .insert_header((header::LOCATION, location))
            .finish();
        return Ok(request.into_response(response).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}
