//! Where a request comes from: the address at the other end, or what a proxy of `trusted_proxies` says.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use actix_web::{
    Error, HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{Extensions, ServiceRequest, ServiceResponse},
    http::{
        Uri,
        header::{self, HeaderMap},
        uri::PathAndQuery,
    },
    middleware::Next,
    rt::net::TcpStream,
    web,
};
use dayreel_config::IpNet;
use dayreel_core::Kind;
use tracing::Instrument as _;

use super::{Door, link::LinkText};
use crate::{app::App, error::ApiError};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Where a link begins; the rest is the path that it opens.
pub(super) const LINK: &str = "/api/link/";

/// Who is at the other end. In the extensions of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// Whether they use TLS, as far as we or the proxy know.
    pub(crate) is_secure: bool,
    /// What they call us.
    pub(super) host: Option<String>,
    /// The path and query they asked for, from our root on.
    pub(super) target: String,
    /// Whether they see us below the base path: it was in what they asked for, or a trusted proxy has taken
    /// it off.
    pub(super) is_below_base: bool,
}

impl Client {
    /// The one that sent `request`.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// From the folder of what they asked for up to our root: `../` as often as needed.
    pub(crate) fn up(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        match path.matches('/').count().saturating_sub(1) {
            0 => "./".to_owned(),
            folders => "../".repeat(folders),
        }
    }
}

/// Our own address of a connection.
struct LocalAddress(IpAddr);

/// Keeps [`LocalAddress`] with a connection: who is in the same IPv6 network is at home.
pub(crate) fn remember_local_address(stream: &TcpStream, data: &mut Extensions) {
    if let Ok(local) = stream.local_addr() {
        data.insert(LocalAddress(local.ip().to_canonical()));
    }
}

/// Finds out where a request comes from. Where nothing was said about users, only those at home pass.
pub(crate) async fn enter<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let app = request.app_data::<web::Data<App>>().cloned();
    let rules = app.map(|app| app.gate().rules());
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let (Some(rules), Some(peer)) = (rules, peer) else {
        let error = ApiError::new(Kind::Denied, "denied", "no address");
        return Ok(request
            .into_response(error.error_response())
            .map_into_right_body());
    };
    if matches!(rules.door, Door::Home) {
        let local = request.conn_data::<LocalAddress>().map(|local| local.0);
        if !is_from_home(peer, local, request.headers()) {
            let message = "there are no users, so only private networks are let in; add users, or say \
                           `auth = \"none\"` in [server]";
            let error = ApiError::new(Kind::Denied, "not_at_home", message);
            return Ok(request
                .into_response(error.error_response())
                .map_into_right_body());
        }
    }
    let is_secure = request.app_config().secure();
    let below = rules.base.strip(target(&request)).map(str::to_owned);
    match below.as_deref() {
        // Names on the page are relative to this folder.
        Some(rest) if !rest.starts_with('/') => {
            let location = format!("{}{rest}", rules.base.folder());
            let response = HttpResponse::PermanentRedirect()
                .insert_header((header::LOCATION, location))
                .finish();
            return Ok(request.into_response(response).map_into_right_body());
        }
        Some(rest) => turn_to(&mut request, rest),
        None => {}
    }
    let asked = target(&request).to_owned();
    let mut client = client(peer, &rules.proxies, is_secure, request.headers(), asked);
    let has_base = !rules.base.prefix().is_empty();
    let by_proxy = rules.proxies.iter().any(|net| net.contains(&peer));
    client.is_below_base = has_base && (below.is_some() || by_proxy);
    let address = client.address;
    request.extensions_mut().insert(client);
    open_link(&mut request);
    // Of a link, only what it opens is said: who reads the log may not open it.
    let span = tracing::info_span!(
        "request",
        number = REQUESTS.fetch_add(1, Ordering::Relaxed),
        method = %request.method(),
        path = request.path(),
        from = %address
    );
    let answered = next.call(request).instrument(span).await?;
    Ok(answered.map_into_left_body())
}

/// Since the start, so that lines of the log can be told apart.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// What trusted proxies say, the nearest of which is `peer`, or else what we see.
fn client(
    peer: IpAddr,
    proxies: &[IpNet],
    is_secure: bool,
    headers: &HeaderMap,
    target: String,
) -> Client {
    let is_trusted = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let mut client = Client {
        address: peer,
        is_secure,
        host: host.map(str::to_owned),
        target,
        is_below_base: false,
    };
    if !is_trusted(&peer) {
        return client;
    }
    // Each proxy appends who asked it. What stands left of the first that is not ours is anybody's word.
    let hops = list(headers, FORWARDED_FOR);
    for hop in hops.iter().rev() {
        let Some(address) = address(hop) else { break };
        client.address = address;
        if !is_trusted(&address) {
            break;
        }
    }
    if let Some(proto) = list(headers, FORWARDED_PROTO).pop() {
        client.is_secure = proto.eq_ignore_ascii_case("https");
    }
    if let Some(host) = list(headers, FORWARDED_HOST).pop() {
        client.host = Some(host);
    }
    client
}

/// The values of a header that may come more than once, separated by commas.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let texts = headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok());
    let values = texts.flat_map(|text| text.split(','));
    values.map(|value| value.trim().to_owned()).collect()
}

/// An address, with or without port.
fn address(text: &str) -> Option<IpAddr> {
    let alone = text.parse::<IpAddr>().ok();
    let with_port = || {
        text.parse::<std::net::SocketAddr>()
            .ok()
            .map(|both| both.ip())
    };
    alone
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

/// Whether everybody that this request came through is in a private network. A proxy is believed here
/// whoever it is: what it says can only shut somebody out.
fn is_from_home(peer: IpAddr, local: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let at_home = |address: IpAddr| is_private(address) || is_neighbour(address, local);
    let named = list(headers, FORWARDED_FOR);
    let mut named = named.into_iter().chain(list(headers, "x-real-ip"));
    at_home(peer)
        && named.all(|hop| address(&hop).is_some_and(at_home))
        && !headers.contains_key(header::FORWARDED)
}

/// Loopback, private (RFC 1918), link-local (RFC 3927, RFC 4291), unique local (RFC 4193).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unique_local(),
    }
}

/// Whether both are in one IPv6 network, which has 64 bits (RFC 4291 §2.5.4).
fn is_neighbour(address: IpAddr, local: Option<IpAddr>) -> bool {
    match (address, local) {
        (IpAddr::V6(a), Some(IpAddr::V6(b))) => a.segments()[..4] == b.segments()[..4],
        _ => false,
    }
}

/// Makes `/api/link/{ticket}/{path}` a request for that path, with the ticket beside it. So names in a
/// playlist, which are relative, are links, too.
fn open_link(request: &mut ServiceRequest) {
    let target = target(request);
    let Some((ticket, at)) = target
        .strip_prefix(LINK)
        .and_then(|rest| Some((rest.split_once('/')?.0.to_owned(), rest.find('/')?)))
    else {
        return;
    };
    let path = target[LINK.len() + at..].to_owned();
    turn_to(request, &path);
    request.extensions_mut().insert(LinkText(ticket));
}

/// The path and query that are asked for.
fn target(request: &ServiceRequest) -> &str {
    let target = request.uri().path_and_query();
    target.map_or("/", PathAndQuery::as_str)
}

/// Makes it a request for `target`, the end of what it was for.
fn turn_to(request: &mut ServiceRequest, target: &str) {
    let mut parts = request.uri().clone().into_parts();
    let Ok(target) = PathAndQuery::try_from(target) else {
        return;
    };
    parts.path_and_query = Some(target);
    let Ok(uri) = Uri::from_parts(parts) else {
        return;
    };
    request.match_info_mut().get_mut().update(&uri);
    request.head_mut().uri = uri;
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        map
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let proxies: [IpNet; 2] = [
            "172.17.0.0/16".parse().unwrap(),
            "10.0.0.1/32".parse().unwrap(),
        ];
        let said = headers(&[
            ("host", "inner:6478"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "cams.example"),
        ]);
        let of = |peer: &str| client(ip(peer), &proxies, false, &said, "/a/b?c".to_owned());
        let believed = of("172.17.0.1");
        assert_eq!(believed.address, ip("203.0.113.9"));
        assert!(believed.is_secure);
        assert_eq!(believed.host.as_deref(), Some("cams.example"));
        assert_eq!(believed.up(), "../");
        let not = of("192.168.0.7");
        assert_eq!(not.address, ip("192.168.0.7"));
        assert!(!not.is_secure);
        assert_eq!(not.host.as_deref(), Some("inner:6478"));
    }

    #[test]
    fn who_is_not_at_home_is_told_by_address_network_and_proxy() {
        let local = Some(ip("2001:db8:1:2::1"));
        let none = headers(&[]);
        for (peer, is_home) in [
            ("127.0.0.1", true),
            ("192.168.0.7", true),
            ("169.254.3.3", true),
            ("fd00::1", true),
            ("2001:db8:1:2::77", true),
            ("2001:db8:1:3::77", false),
            ("203.0.113.9", false),
            ("100.64.0.1", false),
        ] {
            assert_eq!(is_from_home(ip(peer), local, &none), is_home, "{peer}");
        }
        for (name, value, is_home) in [
            ("x-forwarded-for", "192.168.0.9", true),
            ("x-forwarded-for", "192.168.0.9, 203.0.113.9", false),
            ("x-forwarded-for", "203.0.113.9, 192.168.0.9", false),
            ("x-forwarded-for", "unknown", false),
            ("x-real-ip", "203.0.113.9:99", false),
            ("forwarded", "for=203.0.113.9", false),
        ] {
            let through = headers(&[(name, value)]);
            assert_eq!(
                is_from_home(ip("127.0.0.1"), None, &through),
                is_home,
                "{value}"
            );
        }
    }
}
