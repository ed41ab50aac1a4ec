//! `/login`: the page, and who they are. `/logout`: the end of a session. `/api/me`: who is logged in.
//! `/api/token`: a token.
//!
//! The page works without scripts, so that it works in what is left of a television's browser.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError as _,
    cookie::{Cookie, SameSite, time::Duration},
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    mime, web,
};
use dayreel_core::Kind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Caller, Client, Door, Needs, Rules, guard, link, no_users,
    ticket::{self, Ticket, TicketKind},
};
use crate::{
    app::App,
    error::ApiError,
    openapi::{Example, says, text},
    routes::{Routes, at, page_text},
};

/// Of the session.
pub(crate) const COOKIE: &str = "dayreel_session";
/// A name, a password and a path fit.
const MOST_BYTES: usize = 8 << 10;
/// Nothing is loaded but the style; nothing runs.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

pub(crate) fn routes(routes: &mut Routes) {
    let change = Needs::USER.changing();
    let of_form = says("show_login", "The form to log in")
        .query("next", "Path to go on to", text(), "/front-door/")
        .media("text/html", "The page");
    let of_login = says("log_in", "Begins a session")
        .field("name", "Of the user", true)
        .field("password", "Of the user", true)
        .field("next", "Path to go on to", false)
        .answer(303, "Logged in, with a cookie")
        .page_at(401, "Wrong name or password; the form again")
        .refuses(409, "There are no users, nobody has to log in")
        .page_at(429, "Too many wrong passwords: wait; the form again");
    routes.add(at("/login").read(Needs::NOTHING, of_form, show).on(
        Method::POST,
        Needs::NOTHING,
        of_login,
        log_in,
    ));
    let of_logout = says("log_out", "Ends a session").answer(303, "Logged out");
    routes.add(at("/logout").on(Method::POST, change, of_logout, log_out));
    let of_me = says("get_me", "Who is logged in").json::<MeView>("`null` where nobody has to");
    routes.add(at("/api/me").read(Needs::USER, of_me, me));
    let of_token = says("make_token", "Makes a token for scripts")
        .json::<TokenView>("Send it as `Authorization: Bearer …`")
        .refuses(409, NO_USERS);
    routes.add(at("/api/token").on(Method::POST, change, of_token, make_token));
    let of_links = link::described().refuses(409, NO_USERS);
    routes.add(at("/api/links").on(Method::POST, change, of_links, link::make));
}

const NO_USERS: &str = "There are no users, nobody has to log in";

#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
struct MeView {
    user: Option<String>,
    /// `viewer` or `admin`.
    role: Option<&'static str>,
}

impl Example for MeView {
    fn example() -> Self {
        Self {
            user: Some("anna".to_owned()),
            role: Some("admin"),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    token: String,
    user: String,
}

impl Example for TokenView {
    fn example() -> Self {
        Self {
            token: "t~anna~1821000000~…".to_owned(),
            user: "anna".to_owned(),
        }
    }
}

/// Of the form.
pub(crate) fn form_config() -> web::FormConfig {
    let config = web::FormConfig::default().limit(MOST_BYTES);
    config.error_handler(|error, _| ApiError::invalid(error.to_string()).into())
}

#[derive(Deserialize)]
struct Asked {
    next: Option<String>,
}

#[derive(Deserialize)]
struct Form {
    name: String,
    password: String,
    next: Option<String>,
}

async fn show(asked: web::Query<Asked>) -> HttpResponse {
    page(StatusCode::OK, "", asked.next.as_deref())
}

async fn log_in(
    app: web::Data<App>,
    form: web::Form<Form>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let rules = app.gate().rules();
    if !matches!(rules.door, Door::Users { .. }) {
        return Err(no_users());
    }
    let client = Client::of(&request).ok_or_else(guard::denied)?;
    // Else another site could log its own user in here, and see what is done then.
    if !guard::is_same_site(request.method(), request.headers(), client.host.as_deref()) {
        let message = "only the page of this server may log in";
        return Err(ApiError::new(Kind::Denied, "cross_site", message));
    }
    let Form {
        name,
        password,
        next,
    } = form.into_inner();
    let user = match app.gate().log_in(&rules, &client, &name, &password).await {
        Ok(user) => user,
        Err(error) => {
            let mut answer = page(error.status_code(), &error.to_string(), next.as_deref());
            if let Some(value) = error.error_response().headers().get(header::RETRY_AFTER) {
                answer
                    .headers_mut()
                    .insert(header::RETRY_AFTER, value.clone());
            }
            return Ok(answer);
        }
    };
    let mut response = HttpResponse::SeeOther();
    // Relative to /login.
    response.insert_header((header::LOCATION, format!(".{}", next_path(next.as_deref()))));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(cookie) = cookie(&rules, &Caller::User(user), &client) {
        response.append_header((header::SET_COOKIE, cookie));
    }
    Ok(response.finish())
}

async fn log_out(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let rules = app.gate().rules();
    let cookie = request.cookie(COOKIE);
    let session = cookie.and_then(|cookie| {
        app.gate()
            .user_of(&rules, TicketKind::Session, cookie.value())
    });
    if let Some((_, ticket)) = session {
        app.gate().end(ticket);
    }
    let client = Client::of(&request).ok_or_else(guard::denied)?;
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "./login"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .cookie(with_rules(Cookie::new(COOKIE, ""), &rules, &client, 0))
        .finish())
}

async fn make_token(
    app: web::Data<App>,
    caller: web::ReqData<Caller>,
) -> Result<HttpResponse, ApiError> {
    let rules = app.gate().rules();
    let (Some(user), Some(secret)) = (caller.user(), &rules.secret) else {
        return Err(no_users());
    };
    let token = Ticket::token(user, secret).text();
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(response.json(TokenView {
        token,
        user: user.name.as_str().to_owned(),
    }))
}

/// Who is logged in, for the page: `null` where nobody has to.
async fn me(caller: web::ReqData<Caller>) -> HttpResponse {
    let (user, role) = caller
        .user()
        .map(|user| (user.name.as_str().to_owned(), user.role.name()))
        .unzip();
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(MeView { user, role })
}

/// The cookie of a new session: no page can read it, and other sites' pages send it with links only
/// (RFC 6265bis §5.6.7). Each login makes a new one, so that one that was laid there is good for nothing.
pub(super) fn cookie(rules: &Rules, caller: &Caller, client: &Client) -> Option<HeaderValue> {
    let ticket = Ticket::session(caller.user()?, rules.secret.as_ref()?);
    let cookie = Cookie::new(COOKIE, ticket.text());
    let cookie = with_rules(cookie, rules, client, ticket::SESSION_S);
    HeaderValue::from_str(&cookie.to_string()).ok()
}

fn with_rules<'c>(
    mut cookie: Cookie<'c>,
    rules: &Rules,
    client: &Client,
    lasts_s: i64,
) -> Cookie<'c> {
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_secure(client.is_secure);
    // What else the proxy shows does not get it; who comes without the proxy knows no base path.
    cookie.set_path(match client.is_below_base {
        true => rules.base.folder(),
        false => "/".to_owned(),
    });
    cookie.set_max_age(Duration::seconds(lasts_s));
    cookie
}

/// Where to go on: a page of ours, or the first. Begins with one slash.
fn next_path(next: Option<&str>) -> &str {
    let is_page = |next: &&str| {
        let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"/_-".contains(&c);
        next.starts_with('/') && !next.contains("//") && next.bytes().all(is_allowed)
    };
    next.filter(is_page).unwrap_or("/")
}

fn page(status: StatusCode, problem: &str, next: Option<&str>) -> HttpResponse {
    let problem = match problem {
        "" => String::new(),
        problem => format!("<p class=\"notice\" role=\"alert\">{problem}</p>"),
    };
    // Of letters that mean nothing in HTML.
    let next = next_path(next);
    let html = page_text("login.html")
        .replace("{{problem}}", &problem)
        .replace("{{next}}", next);
    HttpResponse::build(status)
        .content_type(mime::TEXT_HTML_UTF_8)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .body(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_login_it_goes_on_here() {
        for (next, path) in [
            (None, "/"),
            (Some("/front-door/"), "/front-door/"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("/\"><script>"), "/"),
            (Some("/a\r\nSet-Cookie:x"), "/"),
            (Some("evil"), "/"),
        ] {
            assert_eq!(next_path(next), path, "{next:?}");
        }
    }
}
