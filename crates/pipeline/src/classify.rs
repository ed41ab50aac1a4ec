//! What an element's error means for the camera.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use dayreel_config::SecretUrl;
use gstreamer as gst;
use gstreamer::prelude::*;
use url::Url;

use crate::{CameraSettings, Error};

/// How long a connection may take that is made to learn why there is none.
const DIAGNOSIS: Duration = Duration::from_secs(3);

/// The error of a message on the bus. May take some seconds: `rtspsrc` does not say why it cannot
/// connect, so that is tried again here.
pub(crate) fn classify(message: &gst::message::Error, settings: &CameraSettings) -> Error {
    let error = message.error();
    let details = message.debug().unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| details.contains(word));
    match error.kind::<gst::ResourceError>() {
        Some(gst::ResourceError::NotAuthorized) => return Error::Auth,
        Some(gst::ResourceError::NotFound) if says(&["not found"]) => return Error::NotFound,
        _ => {}
    }
    if says(&["unauthorized", "(401)", "forbidden"]) {
        Error::Auth
    } else if says(&["failed to connect"])
        && let Some(error) = why_no_connection(settings)
    {
        error
    } else if says(&["tls", "certificate"]) {
        Error::Tls
    } else if says(&["timeout", "timed out"]) {
        Error::Timeout(settings.timing.connect)
    } else if says(&["parse error", "invalid", "not an rtsp"]) {
        Error::NotRtsp
    } else if says(&[
        "end-of-file",
        "connection reset",
        "broken pipe",
        "the server closed",
    ]) {
        Error::Closed
    } else {
        Error::Element {
            element: message
                .src()
                .map_or_else(String::new, |source| source.name().to_string()),
            message: error.message().to_owned(),
        }
    }
}

/// Why no connection to the camera can be made; `None` if it can.
fn why_no_connection(settings: &CameraSettings) -> Option<Error> {
    let (host, port) = host_and_port(&settings.url)?;
    let Ok(addresses) = (host.as_str(), port).to_socket_addrs() else {
        return Some(Error::Unresolved);
    };
    let mut last = Error::Unresolved;
    for address in addresses {
        last = match TcpStream::connect_timeout(&address, DIAGNOSIS) {
            Ok(_) if settings.url.expose().starts_with("rtsps:") => return Some(Error::Tls),
            Ok(_) => return None,
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Error::Refused,
                io::ErrorKind::TimedOut => Error::Timeout(settings.timing.connect),
                _ => Error::Unreachable,
            },
        };
    }
    Some(last)
}

fn host_and_port(url: &SecretUrl) -> Option<(String, u16)> {
    let url = Url::parse(&url.without_credentials().expose()).ok()?;
    // RFC 7826 §21.
    let default = if url.scheme() == "rtsps" { 322 } else { 554 };
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, url.port().unwrap_or(default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_a_url_connects_to() {
        let at = |url: &str| host_and_port(&url.parse().unwrap()).unwrap();
        assert_eq!(at("rtsp://u:p@cam.lan/x?y=z"), ("cam.lan".to_owned(), 554));
        assert_eq!(at("rtsps://10.0.0.1"), ("10.0.0.1".to_owned(), 322));
        assert_eq!(at("rtsp://[::1]:8554/"), ("::1".to_owned(), 8554));
    }
}
