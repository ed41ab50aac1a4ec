//! Who may watch.

use dayreel_testcam::{Camera, Login, LoginMethod, Track};

use crate::client::{Client, small};

fn check(method: LoginMethod) {
    let mut settings = small(|_| {});
    settings.login = Some(Login {
        user: "viewer".into(),
        password: "p@ss/w:ord #1".into(),
        method,
    });
    let camera = Camera::start(settings).unwrap();
    for url in [
        camera.url_as("viewer", "wrong"),
        camera.url_as("nobody", "p@ss/w:ord #1"),
        camera.url_without_login(),
    ] {
        let error = Client::connect(&url, "tcp").wait_for(Track::Video, 1);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("Unauthorized"), "{url}: {error}");
    }
    assert!(!camera.is_watched());
    assert!(camera.url().contains("viewer:p%40ss%2Fw%3Aord%20%231@"));
    // GStreamer's client takes user and password as properties verbatim, decoded or not.
    let client = Client::connect_as(&camera.url_without_login(), "viewer", "p@ss/w:ord #1");
    client.wait_for(Track::Video, 5).unwrap();
}

#[test]
fn digest_lets_in_who_knows_the_password() {
    check(LoginMethod::Digest);
}

#[test]
fn basic_lets_in_who_knows_the_password() {
    check(LoginMethod::Basic);
}

#[test]
fn a_url_with_a_plain_password_works_as_it_is() {
    let mut settings = small(|_| {});
    settings.login = Some(Login {
        user: "viewer".into(),
        password: "secret".into(),
        method: LoginMethod::Digest,
    });
    let camera = Camera::start(settings).unwrap();
    let client = Client::connect(&camera.url(), "tcp");
    client.wait_for(Track::Video, 5).unwrap();
}
