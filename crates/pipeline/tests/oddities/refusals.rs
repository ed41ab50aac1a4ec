//! Cameras that do not let us in, or not at once.

use std::time::Duration;

use dayreel_pipeline::CameraState;
use dayreel_testcam::scripted::{Request, Script, ScriptedCamera, ScriptedLogin, Then};

use crate::{
    check::{Odd, PATIENCE, h264},
    common::{Recorded, settings},
};

const MD5: &str = r#"Digest realm="cam", nonce="{nonce}", algorithm=MD5"#;
const SHA_256: &str = r#"Digest realm="cam", nonce="{nonce}", algorithm=SHA-256, qop="auth""#;
const BASIC: &str = r#"Basic realm="cam""#;

/// A camera that wants one of these logins.
fn with_login(challenges: &[&str], nonce_uses: Option<u32>, password: &str) -> Odd {
    let mut script = h264();
    script.login = Some(ScriptedLogin {
        user: "admin".into(),
        password: "right".into(),
        challenges: challenges
            .iter()
            .map(|&challenge| challenge.into())
            .collect(),
        nonce_uses,
    });
    let camera = ScriptedCamera::start(script).unwrap();
    let recorded = Recorded::start(settings(&camera.url_as("admin", password)));
    Odd { camera, recorded }
}

/// RFC 2617 §3: digest with MD5.
#[test]
fn digest_with_md5_is_answered() {
    with_login(&[MD5], None, "right").is_recorded_as_sent();
}

/// RFC 7616 §3.2: SHA-256. New cameras know nothing else.
#[test]
fn digest_with_sha_256_alone_is_answered() {
    with_login(&[SHA_256], None, "right").is_recorded_as_sent();
}

/// RFC 7616 §3.7: the first that the client knows.
#[test]
fn of_two_digests_one_is_answered() {
    with_login(&[SHA_256, MD5], None, "right").is_recorded_as_sent();
    with_login(&[MD5, SHA_256], None, "right").is_recorded_as_sent();
}

/// RFC 7617: the password as it is, where the camera wants nothing better.
#[test]
fn basic_is_answered() {
    with_login(&[BASIC], None, "right").is_recorded_as_sent();
}

/// RFC 2617 §4.6: the strongest the client knows. The password does not travel where it need not.
#[test]
fn digest_is_preferred_to_basic() {
    let odd = with_login(&[BASIC, MD5], None, "right");
    odd.is_recorded_as_sent();
    let heard = odd.camera.heard();
    let logins = heard
        .iter()
        .filter_map(|request| request.header("Authorization"));
    let logins: Vec<_> = logins.collect();
    assert!(!logins.is_empty());
    assert!(
        logins.iter().all(|login| login.starts_with("Digest ")),
        "{logins:?}"
    );
}

/// RFC 2617 §3.2.1: `stale=true` is no wrong password: the same again with the new nonce.
#[test]
fn a_stale_nonce_is_renewed() {
    let odd = with_login(&[MD5], Some(1), "right");
    odd.is_recorded_as_sent();
    assert!(odd.recorded.camera.status().last_error.is_none());
}

/// A wrong password is tried once, and not again for minutes: accounts lock.
#[test]
fn a_refused_password_is_not_tried_again() {
    let odd = with_login(&[SHA_256, MD5, BASIC], None, "wrong");
    let status = odd.fails_with("camera_auth");
    assert_eq!(status.state, CameraState::Failed);
    let heard = odd.camera.heard();
    let tries = heard
        .iter()
        .filter(|request| request.header("Authorization").is_some());
    assert!(tries.count() <= 3, "{}", odd.story());
}

/// What a refusal of DESCRIBE with this status becomes.
fn refused_with(status: &'static str) -> Odd {
    let mut script = h264();
    script.rewrite("DESCRIBE", move |_, reply| reply.refuse(status));
    Odd::start(script)
}

/// 403 is how some say that the user may not.
#[test]
fn forbidden_is_a_matter_of_the_login() {
    let status = refused_with("403 Forbidden").fails_with("camera_auth");
    assert_eq!(status.state, CameraState::Failed);
}

#[test]
fn not_found_is_a_matter_of_the_path() {
    let status = refused_with("404 Not Found").fails_with("camera_path_not_found");
    assert_eq!(status.state, CameraState::Failed);
}

/// Too many viewers: RFC 2326 §11.3.3 has 453 for it, and cameras 503 as well. It passes.
#[test]
fn a_camera_that_is_full_is_tried_again() {
    for status in ["453 Not Enough Bandwidth", "503 Service Unavailable"] {
        let odd = refused_with(status);
        odd.fails_with("camera_denied");
        let again = |heard: &[Request]| {
            let describes = heard.iter().filter(|request| request.method == "DESCRIBE");
            describes.count() >= 2
        };
        assert!(odd.camera.wait_until_heard(PATIENCE, again));
    }
}

/// A web server on the port.
#[test]
fn html_is_no_rtsp() {
    let mut script = h264();
    script.rewrite("", |_, reply| {
        reply.head = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n".into();
        reply.body = "<html><body>Not here.</body></html>".into();
        reply.then = Then::Close;
    });
    Odd::start(script).fails_with("camera_not_rtsp");
}

/// Cameras that wake up for DESCRIBE may take half a minute.
#[test]
fn a_description_after_21_s_is_waited_for() {
    let mut script = h264();
    script.rewrite("DESCRIBE", |_, reply| reply.after = Duration::from_secs(21));
    let odd = Odd::start_with(script, |settings| {
        settings.timing.connect = Duration::from_secs(40);
    });
    odd.is_recorded_as_sent();
}

/// It accepts the connection and never answers.
#[test]
fn a_camera_that_never_answers_times_out() {
    let mut script = h264();
    script.rewrite("", |_, reply| reply.then = Then::Hang);
    let odd = Odd::start_with(script, |settings| {
        settings.timing.connect = Duration::from_secs(1);
    });
    let status = odd.fails_with("camera_timeout");
    assert_eq!(status.state, CameraState::Reconnecting);
}

/// A camera that sends everybody to `location`.
fn redirecting(location: String) -> Script {
    let mut script = h264();
    script.rewrite("DESCRIBE", move |_, reply| {
        reply.refuse("302 Moved Temporarily");
        reply.head += &format!("Location: {location}\r\n");
    });
    script
}

/// RFC 2326 §11.
#[test]
fn a_redirection_is_followed() {
    let other = ScriptedCamera::start(h264()).unwrap();
    let first = Odd::start(redirecting(other.url()));
    let recorded = first.recorded;
    Odd {
        camera: other,
        recorded,
    }
    .is_recorded_as_sent();
}

/// A camera that redirects to itself is asked a few times, and then again after a while.
#[test]
fn a_loop_of_redirections_ends() {
    let odd = Odd::start(redirecting("rtsp://{address}/stream".into()));
    let status = odd.fails_with("camera_denied");
    assert_eq!(status.state, CameraState::Reconnecting);
    let heard = odd.camera.heard();
    let describes = heard.iter().filter(|request| request.method == "DESCRIBE");
    let sessions = 1 + usize::try_from(odd.recorded.camera.status().reconnects).unwrap();
    let most = 10 * (sessions + 1);
    assert!(describes.count() <= most, "{}", odd.story());
}
