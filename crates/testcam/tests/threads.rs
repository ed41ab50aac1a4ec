//! A camera leaves nothing behind. Alone in its process, because it counts what the process has.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::{
    fs,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use dayreel_testcam::{Camera, Settings, Track};
use gstreamer::{self as gst, prelude::*};

/// Threads and open files of this process.
fn holdings() -> (usize, usize) {
    let count = |path| fs::read_dir(path).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// Starts a camera, watches it, and stops it under the viewer.
fn cycle() {
    let camera = Camera::start(Settings::default()).unwrap();
    let port = camera.port();
    let viewer = gst::parse::launch(&format!(
        "rtspsrc location={} protocols=tcp latency=0 ! fakesink",
        camera.url()
    ))
    .unwrap();
    viewer.set_state(gst::State::Playing).unwrap();
    let record = camera.record().unwrap().clone();
    assert!(record.wait_until(Duration::from_secs(60), |units| units.len() >= 3));
    drop(camera);
    viewer.set_state(gst::State::Null).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!record.units(Track::Video).is_empty());
}

#[test]
fn starting_and_stopping_leaks_no_thread_and_no_socket() {
    // GLib and GStreamer keep some threads and files of their own from the first time on.
    cycle();
    cycle();
    let before = holdings();
    for _ in 0..6 {
        cycle();
    }
    // Their thread pools let idle threads go after a while.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut after = holdings();
    while after > before && Instant::now() < deadline {
        thread::park_timeout(Duration::from_millis(200));
        after = holdings();
    }
    assert!(
        after.0 <= before.0 && after.1 <= before.1,
        "{before:?} {after:?}"
    );
}
