//! The server: the same application in production and in tests.

use std::{
    any::Any,
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App as ActixApp, Error, HttpResponse, HttpServer,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::{Compress, DefaultHeaders, Next, NormalizePath, from_fn},
    rt::net::TcpStream,
    web,
};

use crate::{app::App, routes};

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

/// Serves until `shutdown` is ready, then ends responses within seconds.
///
/// # Errors
/// The system's, if the listener cannot be used.
pub async fn serve(
    app: App,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let app = web::Data::new(app);
    let factory = move || {
        ActixApp::new()
            .app_data(app.clone())
            .wrap(Compress::default())
            .wrap(media_is_open())
            .wrap(NormalizePath::trim())
            .wrap(from_fn(documents_have_no_folder))
            .configure(routes::all)
    };
    let server = HttpServer::new(factory)
        .workers(WORKERS)
        .on_connect(|connection, _| send_at_once(connection))
        .client_request_timeout(REQUEST_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_S)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    let stop = async {
        shutdown.await;
        handle.stop(true).await;
    };
    let (served, ()) = tokio::join!(server, stop);
    served
}

/// A response's head and body are written one after the other. Without this the end of the body
/// waits for the client to acknowledge the head, which clients put off for up to 40 ms.
fn send_at_once(connection: &dyn Any) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        // It is only slower without; a connection that is gone says so when it is used.
        let _ = stream.set_nodelay(true);
    }
}

/// CORS is open for reading: players on other pages may play.
fn media_is_open() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .add((
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Content-Length, Content-Range, Date, ETag, X-Frame-Stale, X-Frame-Time",
        ))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
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
