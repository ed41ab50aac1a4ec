//! A walk over the route table: who is let in where. A route that is new is walked, too.

use std::{net::SocketAddr, path::Path, sync::Arc};

use actix_web::{
    http::{Method, StatusCode, header},
    test::{TestRequest, call_service, init_service},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use dayreel_archive::{Retention, SystemDisk};
use dayreel_config::{Auth, BasePath, DEFAULT_LISTEN, PasswordHash, Role, Server, User};
use dayreel_core::SystemClock;
use futures_util::future::join_all;

use super::{Gate, Needs, guard::Who, ticket::Ticket};
use crate::{app::App, crowd::Crowd, routes::Routes, server};

/// All that is for everybody.
const PUBLIC: [(&str, Method); 9] = [
    ("/healthz", Method::GET),
    ("/healthz", Method::HEAD),
    ("/readyz", Method::GET),
    ("/readyz", Method::HEAD),
    ("/login", Method::GET),
    ("/login", Method::HEAD),
    ("/login", Method::POST),
    ("/assets/{file:.*}", Method::GET),
    ("/assets/{file:.*}", Method::HEAD),
];

/// All that changes something, and whom it is for.
const CHANGING: [(&str, Method, Who); 9] = [
    ("/logout", Method::POST, Who::User),
    ("/api/token", Method::POST, Who::User),
    ("/api/links", Method::POST, Who::User),
    ("/api/reload", Method::POST, Who::Admin),
    ("/{cam}/moment/generate", Method::GET, Who::Camera),
    ("/{cam}/moment/generate", Method::POST, Who::Camera),
    (
        "/{cam}/moment/generate/{numbers:.*}",
        Method::GET,
        Who::Camera,
    ),
    (
        "/{cam}/moment/generate/{numbers:.*}",
        Method::POST,
        Who::Camera,
    ),
    ("/{cam}/moment/list/{time:.*}", Method::DELETE, Who::Admin),
];

/// Users, and a server without cameras: who is let in finds none.
struct Stage {
    app: Arc<App>,
    admin: User,
    viewer: User,
}

impl Stage {
    fn new(users: bool, auth: Auth) -> Self {
        let user = |name: &str, role| User {
            name: name.parse().unwrap(),
            password: PasswordHash::of("correct horse").unwrap(),
            role,
        };
        let admin = user("anna", Role::Admin);
        let viewer = user("bob", Role::Viewer(Some(vec!["a".parse().unwrap()])));
        let server = Server {
            // What listens to a proxy only is no less careful.
            listen: SocketAddr::from(([127, 0, 0, 1], DEFAULT_LISTEN.port())),
            data_dir: "/nonexistent".into(),
            require_marker: false,
            min_free_bytes: 0,
            timezone: chrono_tz::UTC,
            auth,
            trusted_proxies: Vec::new(),
            base_path: BasePath::default(),
            tls: None,
        };
        let users = if users {
            vec![admin.clone(), viewer.clone()]
        } else {
            Vec::new()
        };
        let gate = Gate::new(Path::new("/nonexistent"), &server, &users).unwrap();
        let retention = Retention::new([], 0, Box::new(SystemDisk));
        let app = App::new([], Arc::new(SystemClock), Arc::new(retention), gate, None);
        Self {
            app: Arc::new(app),
            admin,
            viewer,
        }
    }

    fn cookie(&self, user: &User) -> String {
        let rules = self.app.gate().rules();
        let ticket = Ticket::session(user, rules.secret.as_ref().unwrap());
        format!("dayreel_session={}", ticket.text())
    }

    fn token(&self, user: &User) -> String {
        let rules = self.app.gate().rules();
        let ticket = Ticket::token(user, rules.secret.as_ref().unwrap());
        format!("Bearer {}", ticket.text())
    }
}

/// A path that the template matches, of camera `b`.
fn path_of(template: &str) -> String {
    let parts = template.split('/').map(|part| match part {
        "{cam}" => "b",
        "{day}" => "today",
        part if part.starts_with('{') => "1",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn request(method: &Method, template: &str, headers: &[(&str, &str)]) -> TestRequest {
    let request = TestRequest::with_uri(&path_of(template))
        .method(method.clone())
        .peer_addr("192.168.0.7:50000".parse().unwrap());
    let add = |request: TestRequest, header: &(&str, &str)| request.insert_header(*header);
    headers.iter().fold(request, add)
}

/// The status of the answer. No function: the type of a request has no public name.
macro_rules! status {
    ($service:expr, $request:expr) => {
        call_service(&$service, $request.to_request())
            .await
            .status()
    };
}

#[test]
fn what_each_route_needs_is_what_is_meant() {
    let table = Routes::all().table;
    assert!(table.len() > 40, "{}", table.len());
    for (path, method, needs) in &table {
        let is_public = PUBLIC.contains(&(*path, method.clone()));
        assert_eq!(needs.who == Who::Anybody, is_public, "{method} {path}");
        let of_camera = path.contains("{cam}");
        let by_camera = needs.who == Who::Camera || (of_camera && needs.who == Who::Admin);
        assert_eq!(of_camera, by_camera, "{method} {path}");
        let changing = CHANGING.iter().find(|(p, m, _)| (p, m) == (path, method));
        match changing {
            Some((.., who)) => assert_eq!(
                *needs,
                Needs {
                    who: *who,
                    changes: true
                },
                "{path}"
            ),
            None => assert!(!needs.changes, "{method} {path}"),
        }
        // What is not read changes something, but for the form.
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        assert!(is_read || needs.changes || is_public, "{method} {path}");
    }
}

#[actix_web::test]
async fn nobody_is_let_in_without_saying_who_they_are() {
    let stage = Stage::new(true, Auth::Unsaid);
    let service = init_service(server::application(
        Arc::clone(&stage.app),
        Crowd::of_bodies(),
    ))
    .await;
    let basic = format!("Basic {}", STANDARD.encode("anna:wrong"));
    let other = Stage::new(true, Auth::Unsaid);
    let (foreign_cookie, foreign_token) = (other.cookie(&stage.admin), other.token(&stage.admin));
    let session_as_token = stage
        .cookie(&stage.admin)
        .replace("dayreel_session=", "Bearer ");
    for (path, method, needs) in Routes::all().table {
        if needs.who == Who::Anybody {
            continue;
        }
        for header in [
            None,
            Some((header::COOKIE.as_str(), foreign_cookie.as_str())),
            Some((header::COOKIE.as_str(), "dayreel_session=")),
            Some((header::AUTHORIZATION.as_str(), foreign_token.as_str())),
            Some((header::AUTHORIZATION.as_str(), session_as_token.as_str())),
            Some((header::AUTHORIZATION.as_str(), "Basic")),
            Some((header::AUTHORIZATION.as_str(), "Digest x")),
            // As if it came from this machine.
            Some(("x-forwarded-for", "127.0.0.1")),
        ] {
            let asked = request(&method, path, &header.into_iter().collect::<Vec<_>>());
            let found = status!(service, asked);
            assert_eq!(
                found,
                StatusCode::UNAUTHORIZED,
                "{method} {path} {header:?}"
            );
        }
        let link = format!(
            "/api/link/l~anna~9999999999~L2IvZnJhbWU~AAAA{}",
            path_of(path)
        );
        let asked = TestRequest::with_uri(&link).method(method.clone());
        let asked = asked.peer_addr("127.0.0.1:1".parse().unwrap());
        let found = status!(service, asked);
        assert_eq!(found, StatusCode::FORBIDDEN, "{method} {link}");
    }
    let asked = request(
        &Method::GET,
        "/",
        &[(header::AUTHORIZATION.as_str(), &basic)],
    );
    assert_eq!(status!(service, asked), StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn a_viewer_gets_no_further_than_their_cameras() {
    let stage = Stage::new(true, Auth::Unsaid);
    let service = init_service(server::application(
        Arc::clone(&stage.app),
        Crowd::of_bodies(),
    ))
    .await;
    let token = stage.token(&stage.viewer);
    for (path, method, needs) in Routes::all().table {
        let asked = request(&method, path, &[(header::AUTHORIZATION.as_str(), &token)]);
        let found = status!(service, asked);
        match needs.who {
            Who::Camera => assert_eq!(found, StatusCode::NOT_FOUND, "{method} {path}"),
            Who::EveryCamera | Who::Admin => {
                assert_eq!(found, StatusCode::FORBIDDEN, "{method} {path}");
            }
            Who::Anybody | Who::User => {
                assert_ne!(found, StatusCode::UNAUTHORIZED, "{method} {path}");
                assert_ne!(found, StatusCode::FORBIDDEN, "{method} {path}");
            }
        }
    }
}

#[actix_web::test]
async fn no_other_site_changes_anything() {
    let stage = Stage::new(true, Auth::Unsaid);
    let service = init_service(server::application(
        Arc::clone(&stage.app),
        Crowd::of_bodies(),
    ))
    .await;
    let (cookie, token) = (stage.cookie(&stage.admin), stage.token(&stage.admin));
    for (path, method, needs) in Routes::all().table {
        if path == "/logout" || path == "/login" {
            continue;
        }
        let cookie = (header::COOKIE.as_str(), cookie.as_str());
        let from = |site| ("sec-fetch-site", site);
        let other = status!(
            service,
            request(&method, path, &[cookie, from("cross-site")])
        );
        assert_eq!(
            other == StatusCode::FORBIDDEN,
            needs.changes,
            "{method} {path}"
        );
        for headers in [
            [cookie, from("same-origin")],
            [
                (header::AUTHORIZATION.as_str(), token.as_str()),
                from("cross-site"),
            ],
        ] {
            let ours = status!(service, request(&method, path, &headers));
            assert_ne!(ours, StatusCode::FORBIDDEN, "{method} {path}");
            assert_ne!(ours, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
}

#[actix_web::test]
async fn without_users_only_those_at_home_are_let_in_unless_it_is_said() {
    for (auth, far, near) in [(Auth::Unsaid, false, true), (Auth::None, true, true)] {
        let stage = Stage::new(false, auth);
        let service = init_service(server::application(
            Arc::clone(&stage.app),
            Crowd::of_bodies(),
        ))
        .await;
        for (path, method, _) in Routes::all().table {
            for (peer, is_let_in) in [("203.0.113.9:1", far), ("192.168.0.7:1", near)] {
                let asked = request(&method, path, &[]).peer_addr(peer.parse().unwrap());
                let found = status!(service, asked);
                assert_eq!(
                    found != StatusCode::FORBIDDEN,
                    is_let_in,
                    "{peer} {method} {path}"
                );
                assert_ne!(found, StatusCode::UNAUTHORIZED, "{peer} {method} {path}");
            }
            // A proxy on this machine, which says who asks it.
            for (client, is_let_in) in [("203.0.113.9", far), ("192.168.0.7", near)] {
                let asked = request(&method, path, &[("x-forwarded-for", client)]);
                let asked = asked.peer_addr(([127, 0, 0, 1], 1).into());
                let found = status!(service, asked);
                assert_eq!(
                    found != StatusCode::FORBIDDEN,
                    is_let_in,
                    "for {client} {method} {path}"
                );
            }
        }
    }
}

#[actix_web::test]
async fn a_session_begins_anew_at_each_login_and_ends_with_the_logout() {
    let stage = Stage::new(true, Auth::Unsaid);
    let service = init_service(server::application(
        Arc::clone(&stage.app),
        Crowd::of_bodies(),
    ))
    .await;
    let laid_there = "dayreel_session=s~anna~9999999999~fixed~AAAA";
    let form = |password: &str| {
        request(
            &Method::POST,
            "/login",
            &[(header::COOKIE.as_str(), laid_there)],
        )
        .set_form([
            ("name", "anna"),
            ("password", password),
            ("next", "/front-door/"),
        ])
    };
    let wrong = call_service(&service, form("wrong").to_request()).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(!wrong.headers().contains_key(header::SET_COOKIE));
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let answer = call_service(&service, form("correct horse").to_request()).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(
            answer.headers().get(header::LOCATION).unwrap(),
            "./front-door/"
        );
        let cookie = answer
            .headers()
            .get(header::SET_COOKIE)
            .unwrap()
            .to_str()
            .unwrap();
        assert!(
            cookie.contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000"),
            "{cookie}"
        );
        assert!(
            !cookie.contains("fixed") && !cookie.contains("Secure"),
            "{cookie}"
        );
        sessions.push(cookie.split(';').next().unwrap().to_owned());
    }
    assert_ne!(sessions[0], sessions[1]);
    let me = |session: &str| {
        request(
            &Method::GET,
            "/api/me",
            &[(header::COOKIE.as_str(), session)],
        )
    };
    let log_out = request(
        &Method::POST,
        "/logout",
        &[(header::COOKIE.as_str(), &sessions[0])],
    );
    assert_eq!(status!(service, log_out), StatusCode::SEE_OTHER);
    assert_eq!(status!(service, me(&sessions[0])), StatusCode::UNAUTHORIZED);
    assert_eq!(status!(service, me(&sessions[1])), StatusCode::OK);
}

#[actix_web::test]
async fn a_link_is_over_at_its_end() {
    let stage = Stage::new(true, Auth::Unsaid);
    let service = init_service(server::application(
        Arc::clone(&stage.app),
        Crowd::of_bodies(),
    ))
    .await;
    let rules = stage.app.gate().rules();
    let secret = rules.secret.as_ref().unwrap();
    // There is no such camera; who may not know that is told 403.
    for (lasts_s, status) in [(3600, StatusCode::NOT_FOUND), (-1, StatusCode::FORBIDDEN)] {
        let link = Ticket::link("/b/frame", lasts_s, &stage.admin, secret).text();
        let asked = request(&Method::GET, &format!("/api/link/{link}/b/frame"), &[]);
        assert_eq!(status!(service, asked), status, "{lasts_s} s");
    }
}

#[actix_web::test]
async fn guessing_is_slowed_down_from_this_machine_too() {
    let stage = Stage::new(true, Auth::Unsaid);
    let service = init_service(server::application(
        Arc::clone(&stage.app),
        Crowd::of_bodies(),
    ))
    .await;
    let mut found = Vec::new();
    for number in 0..6 {
        let basic = format!("Basic {}", STANDARD.encode(format!("user{number}:guess")));
        let asked = request(
            &Method::GET,
            "/api/me",
            &[(header::AUTHORIZATION.as_str(), &basic)],
        )
        .peer_addr("127.0.0.1:1".parse().unwrap());
        let answer = call_service(&service, asked.to_request()).await;
        let waits = answer.headers().contains_key(header::RETRY_AFTER);
        assert_eq!(waits, answer.status() == StatusCode::TOO_MANY_REQUESTS);
        found.push(answer.status().as_u16());
    }
    assert_eq!(found, [401, 401, 401, 401, 429, 429]);
}

#[actix_web::test]
async fn guesses_that_come_at_once_are_no_way_around() {
    let stage = Stage::new(true, Auth::Unsaid);
    let service = init_service(server::application(
        Arc::clone(&stage.app),
        Crowd::of_bodies(),
    ))
    .await;
    let guess = |number: usize| {
        let basic = format!("Basic {}", STANDARD.encode(format!("anna:guess{number}")));
        let asked = request(
            &Method::GET,
            "/api/me",
            &[(header::AUTHORIZATION.as_str(), &basic)],
        );
        call_service(&service, asked.to_request())
    };
    let answers = join_all((0..40).map(guess)).await;
    let tried = answers
        .iter()
        .filter(|answer| answer.status() == StatusCode::UNAUTHORIZED);
    // Four are free, and two are tried at once.
    assert!(tried.count() <= 6);
}

#[actix_web::test]
async fn a_browser_is_shown_the_form_and_from_there_comes_back() {
    let stage = Stage::new(true, Auth::Unsaid);
    let service = init_service(server::application(
        Arc::clone(&stage.app),
        Crowd::of_bodies(),
    ))
    .await;
    for (path, location) in [
        ("/", "./login?next=%2F"),
        ("/a/", "../login?next=%2Fa%2F"),
        ("/a", "./login?next=%2Fa"),
    ] {
        let asked = TestRequest::with_uri(path)
            .peer_addr("192.168.0.7:1".parse().unwrap())
            .insert_header((header::ACCEPT, "text/html,*/*"));
        let answer = call_service(&service, asked.to_request()).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers().get(header::LOCATION).unwrap(), location);
    }
    let api = call_service(&service, request(&Method::GET, "/api/me", &[]).to_request()).await;
    let challenge = api.headers().get(header::WWW_AUTHENTICATE).unwrap();
    assert!(challenge.to_str().unwrap().starts_with("Basic "));
}
