//! What a route needs, and whether a caller has it.

use actix_web::{
    Error, HttpMessage as _, HttpResponse, ResponseError as _,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderValue},
    },
    middleware::Next,
    web,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use dayreel_core::{CameraId, Kind};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Caller, Client, Door, Gate, Rules,
    link::{LinkText, opens},
    login, refused,
    ticket::{Ticket, TicketKind},
};
use crate::{app::App, error::ApiError};

/// What a route needs of its caller, where there are users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) who: Who,
    /// Something is made or deleted: no other site may cause that.
    pub(crate) changes: bool,
}

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Anybody,
    /// Somebody who is logged in.
    User,
    /// Somebody who sees the camera `{cam}` of the path.
    Camera,
    /// Somebody who sees all cameras.
    EveryCamera,
    Admin,
}

impl Needs {
    pub(crate) const NOTHING: Self = Self::of(Who::Anybody);
    pub(crate) const USER: Self = Self::of(Who::User);
    pub(crate) const CAMERA: Self = Self::of(Who::Camera);
    pub(crate) const EVERY_CAMERA: Self = Self::of(Who::EveryCamera);
    pub(crate) const ADMIN: Self = Self::of(Who::Admin);

    const fn of(who: Who) -> Self {
        Self {
            who,
            changes: false,
        }
    }

    /// The same, of a route that makes or deletes something.
    pub(crate) const fn changing(self) -> Self {
        Self {
            changes: true,
            ..self
        }
    }
}

/// How callers say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// Browsers send it again by themselves, also to what another site asks for.
    Password,
    /// Likewise.
    Session,
    /// No browser sends it by itself.
    Token,
    Link,
}

/// Lets a request through to its handler, with its [`Caller`], or answers it.
pub(crate) async fn admit<B: MessageBody + 'static>(
    needs: Needs,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let (caller, new_session) = match check(needs, &request).await {
        Ok(admitted) => admitted,
        Err(error) => {
            let response = refusal(&request, &error);
            return Ok(request.into_response(response).map_into_right_body());
        }
    };
    let has_users = !matches!(caller, Caller::Anybody);
    request.extensions_mut().insert(caller);
    let mut response = next.call(request).await?.map_into_left_body();
    if has_users && needs.who != Who::Anybody {
        keep_private(response.headers_mut());
    }
    if let Some(cookie) = new_session {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Who asks, and the cookie that takes the place of theirs.
type Admitted = (Caller, Option<HeaderValue>);

async fn check(needs: Needs, request: &ServiceRequest) -> Result<Admitted, ApiError> {
    let app = request.app_data::<web::Data<App>>().ok_or_else(denied)?;
    let rules = app.gate().rules();
    if !matches!(rules.door, Door::Users { .. }) {
        check_camera(app, &Caller::Anybody, request)?;
        return Ok((Caller::Anybody, None));
    }
    if needs.who == Who::Anybody {
        let known = identify(app.gate(), &rules, request, true).await;
        return Ok((known.map_or(Caller::Nobody, |(caller, ..)| caller), None));
    }
    let (caller, shown, session) = identify(app.gate(), &rules, request, false).await?;
    if matches!(caller, Caller::Nobody) {
        let message = "log in, or send a name and password, or a token";
        return Err(ApiError::new(
            Kind::Unauthenticated,
            "unauthenticated",
            message,
        ));
    }
    if let Caller::Link(_, scope) = &caller {
        let is_for_it = needs == Needs::CAMERA && opens(app, scope, request.path());
        is_for_it.then_some(()).ok_or_else(denied)?;
    }
    match needs.who {
        Who::Admin if !caller.is_admin() => return Err(denied()),
        Who::EveryCamera if !caller.sees_all() => return Err(denied()),
        _ => {}
    }
    if needs.changes && !is_wanted(request, shown) {
        let message = "another site may have caused this: use POST, or a token";
        return Err(ApiError::new(Kind::Denied, "cross_site", message));
    }
    check_camera(app, &caller, request)?;
    let client = Client::of(request.request());
    let cookie = session
        .filter(Ticket::is_old)
        .and_then(|_| login::cookie(&rules, &caller, &client?));
    Ok((caller, cookie))
}

/// 404 for a camera that is not there, and for one that the caller may not see, which is the same.
fn check_camera(app: &App, caller: &Caller, request: &ServiceRequest) -> Result<(), ApiError> {
    let Some(asked) = request.match_info().get("cam") else {
        return Ok(());
    };
    let sees = asked.parse::<CameraId>().is_ok_and(|id| caller.sees(&id));
    match sees && app.camera(asked).is_ok() {
        true => Ok(()),
        false => Err(app.unknown_camera(caller)),
    }
}

/// Who asks. Of what is for anybody, no password is looked at: that takes long.
async fn identify(
    gate: &Gate,
    rules: &Rules,
    request: &ServiceRequest,
    is_public: bool,
) -> Result<(Caller, Shown, Option<Ticket>), ApiError> {
    if let Some(LinkText(text)) = request.extensions().get::<LinkText>() {
        let (user, ticket) = gate.user_of(rules, TicketKind::Link, text).ok_or_else(|| {
            ApiError::new(
                Kind::Denied,
                "bad_link",
                "this link is not valid (any more)",
            )
        })?;
        let scope = ticket.scope().ok_or_else(denied)?;
        return Ok((Caller::Link(user, scope), Shown::Link, None));
    }
    let authorization = request.headers().get(header::AUTHORIZATION);
    if let Some(authorization) = authorization {
        let (scheme, value) = authorization
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .ok_or_else(refused)?;
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            let found = gate.user_of(rules, TicketKind::Token, value);
            let (user, _) = found.ok_or_else(refused)?;
            return Ok((Caller::User(user), Shown::Token, None));
        }
        if scheme.eq_ignore_ascii_case("basic") && !is_public {
            let client = Client::of(request.request()).ok_or_else(denied)?;
            let decoded = STANDARD.decode(value).ok();
            let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
            let pair = pair.ok_or_else(refused)?;
            let (name, password) = pair.split_once(':').ok_or_else(refused)?;
            let user = gate.log_in(rules, &client, name, password).await?;
            return Ok((Caller::User(user), Shown::Password, None));
        }
    }
    let cookie = request.cookie(login::COOKIE);
    let session =
        cookie.and_then(|cookie| gate.user_of(rules, TicketKind::Session, cookie.value()));
    if let Some((user, ticket)) = session {
        return Ok((Caller::User(user), Shown::Session, Some(ticket)));
    }
    Ok((Caller::Nobody, Shown::Nothing, None))
}

/// Whether the user, not another site in their browser, wanted this.
fn is_wanted(request: &ServiceRequest, shown: Shown) -> bool {
    if matches!(shown, Shown::Token) {
        return true;
    }
    let host = Client::of(request.request()).and_then(|client| client.host);
    is_same_site(request.method(), request.headers(), host.as_deref())
}

/// Whether a request comes from our own page, or from no page at all.
///
/// `Sec-Fetch-Site` (Fetch Metadata §2.3) says so, but browsers send it over TLS and on loopback only;
/// `Origin` (RFC 6454 §7) comes with every POST and DELETE of a browser, but with no GET.
pub(super) fn is_same_site(method: &Method, headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let of_ours = |url: &str| {
        let authority = url.split_once("://").map(|(_, rest)| rest);
        let authority = authority.and_then(|rest| rest.split('/').next());
        authority.zip(host).is_some_and(|(authority, host)| {
            without_port(authority).eq_ignore_ascii_case(without_port(host))
        })
    };
    match (text("origin"), text("referer")) {
        (Some(origin), _) => of_ours(origin),
        (None, Some(referer)) => of_ours(referer),
        (None, None) => *method != Method::GET && *method != Method::HEAD,
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|c| c.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// What is for a user is not for a shared cache, which would give it to others (RFC 9111 §5.2.2.9).
fn keep_private(headers: &mut HeaderMap) {
    let public = headers
        .get(header::CACHE_CONTROL)
        .and_then(|value| value.to_str().ok())
        .filter(|value| value.contains("public"));
    if let Some(value) =
        public.and_then(|text| HeaderValue::try_from(text.replace("public", "private")).ok())
    {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

/// The answer to who is not let in. A browser that wants a page is sent to the form.
fn refusal(request: &ServiceRequest, error: &ApiError) -> HttpResponse<BoxBody> {
    if !error.is_unauthenticated() {
        return error.error_response();
    }
    let headers = request.headers();
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let wants_page = accept.is_some_and(|accept| accept.contains("text/html"));
    let asks_with_password = headers.contains_key(header::AUTHORIZATION);
    if wants_page
        && !asks_with_password
        && request.method() == Method::GET
        && let Some(client) = Client::of(request.request())
    {
        let next = utf8_percent_encode(&client.target, NON_ALPHANUMERIC);
        // Relative, so that a base path in front of us stays.
        let location = format!("{}login?next={next}", client.up());
        return HttpResponse::SeeOther()
            .insert_header((header::LOCATION, location))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish();
    }
    let mut response = error.error_response();
    // Not to our own page, whose session has ended: the browser would ask with a window of its own.
    if request.cookie(login::COOKIE).is_none() {
        let challenge = HeaderValue::from_static(r#"Basic realm="dayreel", charset="UTF-8""#);
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

pub(super) fn denied() -> ApiError {
    ApiError::new(Kind::Denied, "denied", "you may not do this")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    #[test]
    fn only_our_own_page_and_no_page_are_the_same_site() {
        let asked = |method: Method, headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name = HeaderName::from_static(name);
                map.insert(name, HeaderValue::from_static(value));
            }
            is_same_site(&method, &map, Some("nas:6478"))
        };
        for (method, headers, is_same) in [
            (Method::POST, &[("sec-fetch-site", "same-origin")][..], true),
            (Method::GET, &[("sec-fetch-site", "none")], true),
            (Method::POST, &[("sec-fetch-site", "cross-site")], false),
            (Method::POST, &[("sec-fetch-site", "same-site")], false),
            (Method::POST, &[("origin", "http://nas:6478")], true),
            (Method::POST, &[("origin", "https://NAS")], true),
            (
                Method::POST,
                &[("origin", "http://nas.evil.example")],
                false,
            ),
            (Method::POST, &[("origin", "null")], false),
            (
                Method::POST,
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://nas:6478"),
                ],
                false,
            ),
            (Method::GET, &[("referer", "http://nas:6478/cam/")], true),
            (
                Method::GET,
                &[("referer", "http://evil.example/nas:6478")],
                false,
            ),
            (Method::GET, &[], false),
            (Method::POST, &[], true),
            (Method::DELETE, &[], true),
        ] {
            assert_eq!(
                asked(method.clone(), headers),
                is_same,
                "{method} {headers:?}"
            );
        }
    }

    #[test]
    fn what_is_for_a_user_is_in_no_shared_cache() {
        let mut headers = HeaderMap::new();
        let public = HeaderValue::from_static("public, max-age=1");
        headers.insert(header::CACHE_CONTROL, public);
        keep_private(&mut headers);
        assert_eq!(
            headers.get(header::CACHE_CONTROL).unwrap(),
            "private, max-age=1"
        );
    }
}
