//! Cameras that go away, refuse, hang or are no cameras.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod common;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Given, Recorded, deadline, settings, timing};
use dayreel_archive::Piece;
use dayreel_core::{Clock, Kind, SystemClock, TrackKind, WallTime};
use dayreel_pipeline::{CameraState, CameraStatus, PieceSink, Timing};
use dayreel_testcam::{Camera, Gop, Login, LoginMethod, PictureSettings, Settings, Source};

fn small() -> Settings {
    Settings {
        source: Source::Picture(PictureSettings {
            width: 160,
            height: 90,
            gop: Gop::Seconds(0.5),
            ..PictureSettings::default()
        }),
        ..Settings::default()
    }
}

/// The status once `code` is the last error.
fn failed_with(recorded: &Recorded, code: &str) -> CameraStatus {
    let has_code = |status: &CameraStatus| {
        status
            .last_error
            .as_ref()
            .is_some_and(|error| error.code() == code)
    };
    let status = recorded.camera.wait_until(deadline(), has_code);
    status.unwrap_or_else(|| panic!("no {code}: {:?}", recorded.camera.status()))
}

#[test]
fn a_camera_that_disappears_and_returns_is_recorded_again_on_the_same_timeline() {
    let mut camera = Camera::start(small()).unwrap();
    let recorded = Recorded::start(settings(&camera.url()));
    let is_video = |given: &Given| matches!(given, Given::Chunk(TrackKind::Video, _));
    let before = recorded.until(is_video);
    camera.stop().unwrap();
    let lost = recorded
        .camera
        .wait_until(deadline(), |s| s.state == CameraState::Reconnecting);
    assert!(lost.unwrap().last_error.is_some());
    let rest = recorded.until(|given| matches!(given, Given::Finish));
    camera.restart().unwrap();
    let live = recorded
        .camera
        .wait_until(deadline(), |s| s.state == CameraState::Live)
        .unwrap();
    assert!(live.last_error.is_none());
    assert!(live.reconnects >= 1);
    let after = recorded.until(is_video);
    let last = before
        .iter()
        .chain(&rest)
        .rev()
        .find_map(|given| match given {
            Given::Chunk(_, chunk) => Some(chunk.end_90k()),
            _ => None,
        });
    let Some(Given::Chunk(_, first)) = after.last() else {
        panic!("a chunk was waited for");
    };
    assert!(first.begins_segment);
    assert!(first.start_90k() >= last.unwrap(), "media time went back");
    recorded.end();
}

#[test]
fn a_wrong_password_is_said_without_it_and_tried_again_after_minutes_only() {
    let login = Login {
        user: "admin".into(),
        password: "right".into(),
        method: LoginMethod::Digest,
    };
    let camera = Camera::start(Settings {
        login: Some(login),
        ..small()
    })
    .unwrap();
    let recorded = Recorded::start(settings(&camera.url_as("admin", "hunter2")));
    let status = failed_with(&recorded, "camera_auth");
    assert_eq!(status.state, CameraState::Failed);
    let error = status.last_error.as_ref().unwrap();
    assert_eq!(error.kind(), Kind::CameraAuth);
    assert!(!format!("{status:?} {error}").contains("hunter2"));
    assert!(timing().retry_failed >= Duration::from_secs(120));
    assert_eq!(recorded.camera.status().reconnects, 0);
    recorded.end();
}

#[test]
fn the_right_password_is_accepted() {
    let login = Login {
        user: "ad min".into(),
        password: "p@ss:w/rd".into(),
        method: LoginMethod::Digest,
    };
    let camera = Camera::start(Settings {
        login: Some(login),
        ..small()
    })
    .unwrap();
    let recorded = Recorded::start(settings(&camera.url()));
    assert!(
        recorded
            .camera
            .wait_until(deadline(), |s| s.state == CameraState::Live)
            .is_some()
    );
    recorded.end();
}

#[test]
fn a_path_that_is_not_there_is_said() {
    let camera = Camera::start(small()).unwrap();
    let recorded = Recorded::start(settings(&format!("{}-elsewhere", camera.url())));
    assert_eq!(
        failed_with(&recorded, "camera_path_not_found").state,
        CameraState::Failed
    );
    recorded.end();
}

#[test]
fn a_port_where_nothing_listens_is_tried_again() {
    let port = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    let recorded = Recorded::start(settings(&format!("rtsp://127.0.0.1:{port}/x")));
    assert_eq!(
        failed_with(&recorded, "camera_refused").state,
        CameraState::Reconnecting
    );
    let again = recorded
        .camera
        .wait_until(deadline(), |status| status.reconnects >= 2);
    assert!(again.is_some());
    recorded.end();
}

#[test]
fn a_host_name_that_nobody_knows_is_said() {
    let recorded = Recorded::start(settings("rtsp://camera.invalid/x"));
    failed_with(&recorded, "camera_unresolved");
    recorded.end();
}

/// Answers every request with `answer`, or never. Ends with the test's process.
fn impostor(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("rtsp://{}/x", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            thread::spawn(move || {
                let mut request = [0; 4096];
                while let Ok(1..) = connection.read(&mut request) {
                    if let Some(answer) = answer
                        && connection.write_all(answer.as_bytes()).is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[test]
fn a_web_server_is_no_camera() {
    let url = impostor(Some(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
    ));
    let recorded = Recorded::start(settings(&url));
    failed_with(&recorded, "camera_not_rtsp");
    recorded.end();
}

/// Answers everything with a description of these tracks, as one line each.
fn describing(tracks: &str) -> String {
    let sdp = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n{tracks}");
    impostor(Some(
        format!(
            "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
        .leak(),
    ))
}

#[test]
fn a_camera_without_video_is_said() {
    let url = describing("m=audio 0 RTP/AVP 0\r\na=control:track1\r\n");
    let recorded = Recorded::start(settings(&url));
    assert_eq!(
        failed_with(&recorded, "camera_no_video").state,
        CameraState::Failed
    );
    recorded.end();
}

#[test]
fn video_that_cannot_be_recorded_is_said_with_its_name() {
    let url = describing("m=video 0 RTP/AVP 31\r\na=control:track1\r\n");
    let recorded = Recorded::start(settings(&url));
    let error = failed_with(&recorded, "camera_unsupported_video")
        .last_error
        .unwrap();
    assert!(error.to_string().contains("H261"), "{error}");
    recorded.end();
}

#[test]
fn something_that_accepts_and_never_answers_times_out() {
    let mut settings = settings(&impostor(None));
    settings.timing = Timing {
        connect: Duration::from_secs(1),
        ..timing()
    };
    let recorded = Recorded::start(settings);
    assert_eq!(
        failed_with(&recorded, "camera_timeout").state,
        CameraState::Reconnecting
    );
    recorded.end();
}

#[test]
fn a_camera_that_hangs_can_be_shut_down_in_time() {
    let recorded = Recorded::start(settings(&impostor(None)));
    let deadline = Instant::now() + Duration::from_secs(5);
    assert!(
        recorded.camera.shutdown(deadline),
        "it was not done after 5 s"
    );
}

/// Passes connections on to a camera; while held, its answers go nowhere and nothing is closed.
struct Cable {
    url: String,
    held: Arc<AtomicBool>,
}

impl Cable {
    fn to(camera: &Camera) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = camera.port();
        let near = listener.local_addr().unwrap().port();
        let url = camera
            .url()
            .replace(&format!(":{port}/"), &format!(":{near}/"));
        let held = Arc::new(AtomicBool::new(false));
        let held_too = Arc::clone(&held);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                    return;
                };
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || pass(client, server, None));
                let held = Arc::clone(&held_too);
                thread::spawn(move || pass(back.0, back.1, Some(held)));
            }
        });
        Self { url, held }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, held: Option<Arc<AtomicBool>>) {
    let mut bytes = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        let is_held = held
            .as_ref()
            .is_some_and(|held| held.load(Ordering::SeqCst));
        if !is_held && to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // The other side is gone already if this fails.
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_camera_that_falls_silent_is_stalled_and_then_reconnected() {
    let camera = Camera::start(small()).unwrap();
    let cable = Cable::to(&camera);
    let recorded = Recorded::start(settings(&cable.url));
    let is = |state: CameraState| {
        let status = recorded
            .camera
            .wait_until(deadline(), |status| status.state == state);
        status.unwrap_or_else(|| panic!("not {state:?}: {:?}", recorded.camera.status()))
    };
    is(CameraState::Live);
    cable.held.store(true, Ordering::SeqCst);
    assert_eq!(
        is(CameraState::Stalled).last_error.unwrap().code(),
        "camera_silent"
    );
    assert_eq!(
        is(CameraState::Reconnecting).last_error.unwrap().code(),
        "camera_silent"
    );
    cable.held.store(false, Ordering::SeqCst);
    assert!(is(CameraState::Live).last_error.is_none());
    recorded.end();
}

#[test]
fn a_camera_that_falls_silent_can_be_shut_down_in_time() {
    let camera = Camera::start(small()).unwrap();
    let cable = Cable::to(&camera);
    let recorded = Recorded::start(settings(&cable.url));
    assert!(
        recorded
            .camera
            .wait_until(deadline(), |s| s.state == CameraState::Live)
            .is_some()
    );
    cable.held.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(5);
    assert!(
        recorded.camera.shutdown(deadline),
        "it was not done after 5 s"
    );
}

/// The machine's clock, which panics once when a thread of a certain name asks for the time.
#[derive(Debug, Default)]
struct PanickingClock {
    /// What the name begins with, while it has yet to happen.
    victim: parking_lot::Mutex<Option<&'static str>>,
}

impl PanickingClock {
    fn arm(&self, victim: &'static str) {
        *self.victim.lock() = Some(victim);
    }
}

impl Clock for PanickingClock {
    fn now(&self) -> WallTime {
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        let is_victim = self
            .victim
            .lock()
            .take_if(|victim| name.starts_with(*victim))
            .is_some();
        assert!(!is_victim, "the clock panics, as it was told to");
        SystemClock.now()
    }
}

/// Two cameras that are live, and the clock of the first.
fn two_live() -> ([Camera; 2], [Recorded; 2], Arc<PanickingClock>) {
    let cameras = [(); 2].map(|()| Camera::start(small()).unwrap());
    let clock = Arc::new(PanickingClock::default());
    let first = Recorded::start_at(settings(&cameras[0].url()), clock.clone());
    let recorded = [first, Recorded::start(settings(&cameras[1].url()))];
    for one in &recorded {
        let is_live = |status: &CameraStatus| status.state == CameraState::Live;
        assert!(one.camera.wait_until(deadline(), is_live).is_some());
    }
    (cameras, recorded, clock)
}

#[test]
fn a_panic_in_a_streaming_thread_ends_one_session_of_one_camera() {
    let (_cameras, [first, second], clock) = two_live();
    // In a probe on a pad, with GStreamer's functions above it.
    clock.arm("rtsp");
    let status = failed_with(&first, "internal");
    assert_eq!(
        status.last_error.unwrap().to_string(),
        "a thread of the camera has panicked"
    );
    let is_back =
        |status: &CameraStatus| status.state == CameraState::Live && status.reconnects == 1;
    let back = first.camera.wait_until(deadline(), is_back);
    assert!(back.is_some(), "{:?}", first.camera.status());
    first.until(|given| matches!(given, Given::Finish));
    first.until(|given| matches!(given, Given::Chunk(TrackKind::Video, _)));
    assert!(!first.camera.has_panicked());
    assert_eq!(second.camera.status().reconnects, 0);
    assert_eq!(second.camera.status().state, CameraState::Live);
}

#[test]
fn a_supervisor_that_panics_leaves_nothing_behind_and_says_so() {
    let (mut cameras, [first, second], clock) = two_live();
    assert!(!first.camera.has_panicked());
    clock.arm("camera");
    cameras[0].stop().unwrap();
    let end = deadline();
    while !first.camera.has_panicked() {
        assert!(Instant::now() < end, "{:?}", first.camera.status());
        thread::yield_now();
    }
    // What is left of it ends.
    first.end();
    assert!(!second.camera.has_panicked());
    assert_eq!(second.camera.status().reconnects, 0);
}

/// A recorder that panics at the first picture.
struct PanickingSink;

impl PieceSink for PanickingSink {
    fn append(&mut self, _: TrackKind, _: Piece) -> Result<(), dayreel_archive::Error> {
        panic!("the recorder panics, as it was told to")
    }

    fn finish(&mut self) -> Result<(), dayreel_archive::Error> {
        Ok(())
    }
}

#[test]
fn a_writer_that_panics_says_so_and_the_camera_can_be_ended() {
    dayreel_pipeline::init().unwrap();
    let camera = Camera::start(small()).unwrap();
    let clock = Arc::new(SystemClock);
    let watched =
        dayreel_pipeline::Camera::start_with(settings(&camera.url()), PanickingSink, clock);
    let watched = watched.unwrap();
    let end = deadline();
    while !watched.has_panicked() {
        assert!(Instant::now() < end, "{:?}", watched.status());
        thread::yield_now();
    }
    assert!(watched.shutdown(deadline()));
}
