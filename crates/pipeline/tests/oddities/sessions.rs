//! Sessions that the camera ends, and what keeps them.

use std::{collections::HashSet, time::Duration};

use dayreel_core::TrackKind;
use dayreel_pipeline::CameraState;
use dayreel_testcam::scripted::{Command, FPS, Request, Script, ScriptedCamera, ScriptedLogin};

use crate::{
    check::{ENOUGH, Odd, PATIENCE, assert_consecutive, h264},
    common::{Recorded, settings},
};

/// The camera's patience in these tests.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A camera that ends sessions after [`TIMEOUT`] without a request that it knows.
fn impatient() -> Script {
    let mut script = h264();
    script.timeout = TIMEOUT;
    script
}

/// The first session outlives three timeouts.
fn is_kept(odd: &Odd) {
    let given = odd.record(3 * u32::try_from(TIMEOUT.as_secs()).unwrap() * FPS);
    let pairs = odd.pairs(&given, TrackKind::Video);
    assert_consecutive(&pairs);
    assert_eq!(
        odd.recorded.camera.status().reconnects,
        0,
        "{}",
        odd.story()
    );
}

fn asks(odd: &Odd, method: &str) -> bool {
    let heard = odd.camera.heard();
    let played = heard.iter().position(|request| request.method == "PLAY");
    heard[played.unwrap()..]
        .iter()
        .any(|request| request.method == method)
}

/// RFC 2326 §12.37: any request keeps a session, media alone does not; over TCP, too.
#[test]
fn a_session_is_kept_within_its_timeout() {
    let odd = Odd::start(impatient());
    is_kept(&odd);
}

/// As above, over UDP.
#[test]
fn a_session_of_datagrams_is_kept_within_its_timeout() {
    is_kept(&Odd::start_udp(impatient()));
}

/// RFC 2326 §10.8: an empty GET_PARAMETER is a ping. This camera knows no other.
#[test]
fn a_camera_that_knows_get_parameter_only_is_kept() {
    let mut script = impatient();
    script.methods = "DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER".into();
    let odd = Odd::start(script);
    is_kept(&odd);
    assert!(asks(&odd, "GET_PARAMETER"), "{}", odd.story());
}

/// This camera knows OPTIONS only, and says so.
#[test]
fn a_camera_that_knows_options_only_is_kept() {
    let mut script = impatient();
    script.methods = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN".into();
    let odd = Odd::start(script);
    is_kept(&odd);
    assert!(asks(&odd, "OPTIONS"), "{}", odd.story());
}

/// This one says that it knows GET_PARAMETER, and answers 405.
#[test]
fn a_method_that_is_listed_and_refused_is_replaced() {
    let mut script = impatient();
    script.rewrite("GET_PARAMETER", |_, reply| {
        reply.refuse("405 Method Not Allowed")
    });
    is_kept(&Odd::start(script));
}

/// What is recorded after the camera has ended the first session in mid-stream.
fn comes_back(command: Command, code: &str) {
    comes_back_after(&Odd::start(h264()), command, code);
}

fn comes_back_after(odd: &Odd, command: Command, code: &str) {
    odd.is_recorded_as_sent();
    odd.camera.command(command);
    let lost = odd.fails_with(code);
    assert!(matches!(
        lost.state,
        CameraState::Stalled | CameraState::Reconnecting
    ));
    let is_second = |heard: &[Request]| {
        let plays = heard.iter().filter(|request| request.method == "PLAY");
        plays.count() >= 2
    };
    assert!(
        odd.camera.wait_until_heard(PATIENCE, is_second),
        "{}",
        odd.story()
    );
    // What was left of the first session, and the second.
    let given = odd.record(2 * ENOUGH);
    let pairs = odd.pairs(&given, TrackKind::Video);
    assert!(
        pairs.iter().any(|(sent, _)| sent.run > 0),
        "{}",
        odd.story()
    );
    let live = odd.wait_for(CameraState::Live);
    assert!(live.last_error.is_none());
}

/// The camera closes the connection.
#[test]
fn a_closed_connection_is_opened_again() {
    comes_back(Command::Close, "camera_closed");
}

/// RFC 2326 §10.7 has TEARDOWN from the client; some cameras send it when they restart their encoder.
#[test]
fn a_teardown_of_the_camera_is_believed() {
    let request = b"TEARDOWN rtsp://camera/stream RTSP/1.0\r\nCSeq: 9\r\n\r\n".to_vec();
    comes_back(Command::Write(request), "camera_closed");
}

/// RFC 3550 §6.6: BYE ends a source. The connection stays, and nothing more comes.
#[test]
fn a_goodbye_of_rtcp_is_believed() {
    comes_back(Command::SayGoodbye, "camera_closed");
}

/// No media any more, and the connection stays: only the time tells.
#[test]
fn a_camera_that_falls_silent_is_asked_anew() {
    comes_back(Command::FallSilent, "camera_silent");
}

/// Neither media nor answers, and the connection stays.
#[test]
fn a_camera_that_hangs_is_asked_anew() {
    comes_back(Command::Hang, "camera_silent");
}

/// RFC 2326 §1.1: a session outlives its connection; so over UDP a lost connection is opened again and
/// the camera asked. This one answers 454 (§11.3.5): the session is over.
#[test]
fn a_session_that_is_forgotten_over_udp_is_begun_anew() {
    let mut script = h264();
    for method in ["OPTIONS", "GET_PARAMETER"] {
        script.rewrite(method, |request, reply| {
            if request.header("Session").is_some() && request.connection == 1 {
                reply.refuse("454 Session Not Found");
            }
        });
    }
    comes_back_after(&Odd::start_udp(script), Command::Close, "camera_closed");
}

/// No rule says how far apart pictures are. This camera's are further than an ordinary one may be silent; it
/// reports nothing, but answers when it is asked whether it is there. When it hangs, it does not.
#[test]
fn a_camera_whose_pictures_are_far_apart_is_waited_for() {
    let mut script = h264();
    script.edit_units(|unit| match unit.number.is_multiple_of(60) {
        true => vec![unit],
        false => vec![],
    });
    script.feed.reports_off_ms = None;
    let odd = Odd::start_with(script, |settings| {
        settings.timing.silence = Duration::from_secs(1);
    });
    let given = odd.record(3);
    let pairs = odd.pairs(&given, TrackKind::Video);
    let numbers: Vec<_> = pairs
        .iter()
        .map(|(sent, _)| (sent.run, sent.number))
        .collect();
    let run = numbers[0].0;
    assert_eq!(numbers, [(run, 0), (run, 60), (run, 120)]);
    let status = odd.recorded.camera.status();
    assert_eq!(
        (status.state, status.reconnects),
        (CameraState::Live, 0),
        "{}",
        odd.story()
    );
    odd.camera.command(Command::Hang);
    odd.fails_with("camera_silent");
}

/// Over UDP nothing but the time tells, either.
#[test]
fn datagrams_that_cease_are_asked_for_anew() {
    comes_back_after(
        &Odd::start_udp(h264()),
        Command::FallSilent,
        "camera_silent",
    );
}

/// It answers PLAY, and nothing ever comes.
#[test]
fn a_camera_that_plays_nothing_is_asked_anew() {
    let mut script = h264();
    script.edit_units(|_| vec![]);
    script.feed.reports_off_ms = None;
    let odd = Odd::start_with(script, |settings| {
        settings.timing.connect = Duration::from_secs(2);
    });
    let status = odd.fails_with("camera_timeout");
    assert_eq!(status.state, CameraState::Reconnecting);
}

/// RFC 2617 §3.2.1: a nonce may get stale in mid-stream. The request that keeps the session is repeated.
#[test]
fn a_nonce_that_gets_stale_in_mid_stream_is_renewed() {
    let mut script = impatient();
    script.login = Some(ScriptedLogin {
        user: "admin".into(),
        password: "right".into(),
        challenges: vec![r#"Digest realm="cam", nonce="{nonce}""#.into()],
        nonce_uses: Some(4),
    });
    let camera = ScriptedCamera::start(script).unwrap();
    let recorded = Recorded::start(settings(&camera.url_as("admin", "right")));
    let odd = Odd { camera, recorded };
    is_kept(&odd);
    let heard = odd.camera.heard();
    let nonce = |request: &Request| {
        let login = request.header("Authorization")?;
        let (_, nonce) = login.split_once("nonce=\"")?;
        nonce.split_once('"').map(|(nonce, _)| nonce.to_owned())
    };
    let nonces: HashSet<String> = heard.iter().filter_map(nonce).collect();
    assert!(nonces.len() >= 2, "{}", odd.story());
}
