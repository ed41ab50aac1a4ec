//! A thousand reconnects leave nothing behind. The only test of its program: it counts what the
//! program has.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod common;

use std::time::{Duration, Instant};

use common::{Recorded, settings, usage::usage_at_rest};
use dayreel_pipeline::Timing;
use dayreel_testcam::{
    AudioCodec, VideoCodec,
    scripted::{Script, ScriptedCamera, Then},
};

/// Before anything is counted: what is made once and kept.
const WARM_UP: u64 = 50;
const RECONNECTS: u64 = 1_000;
/// A reconnect takes 20 ms on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// 5 KiB for each were seen, what the test camera remembers of it and the allocator keeps included.
const MOST_GROWTH_KIB: u64 = 20 << 10;

/// In turn: it plays for a moment and closes the connection, it has too many viewers, it closes in
/// the middle of the handshake, it does not know the path.
fn camera() -> ScriptedCamera {
    let mut script = Script::new(VideoCodec::H264, Some(AudioCodec::Aac)).unwrap();
    script.plays_early = true;
    script.rewrite("PLAY", |_, reply| {
        reply.after = Duration::from_millis(60);
        reply.then = Then::Close;
    });
    script.rewrite("DESCRIBE", |request, reply| match request.nth % 4 {
        1 => reply.refuse("453 Not Enough Bandwidth"),
        2 => reply.then = Then::Close,
        3 => reply.refuse("404 Not Found"),
        _ => {}
    });
    ScriptedCamera::start(script).unwrap()
}

/// Lets a camera be lost and found so often, then ends it.
fn reconnect(times: u64) -> Duration {
    let camera = camera();
    let mut settings = settings(&camera.url());
    settings.timing = Timing {
        retry_first: Duration::from_millis(1),
        retry_most: Duration::from_millis(2),
        retry_absent: Duration::from_millis(1),
        retry_failed: Duration::from_millis(1),
        ..settings.timing
    };
    let began = Instant::now();
    let recorded = Recorded::start(settings);
    let done = recorded
        .camera
        .wait_until(began + PATIENCE, |status| status.reconnects >= times);
    assert!(done.is_some(), "{:?}", recorded.camera.status());
    let took = began.elapsed();
    let counts = recorded.camera.counts();
    assert!(counts.access_units[0] >= times / 4, "{counts:?}");
    recorded.end();
    took
}

#[test]
fn a_thousand_reconnects_leave_nothing_behind() {
    reconnect(WARM_UP);
    let before = usage_at_rest(None);
    let took = reconnect(RECONNECTS);
    let after = usage_at_rest(Some(before));
    println!("{RECONNECTS} reconnects in {took:?}: {before:?} before, {after:?} after");
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(
        after.descriptors <= before.descriptors,
        "{before:?} {after:?}"
    );
    let grown_kib = after.memory_kib.saturating_sub(before.memory_kib);
    assert!(grown_kib <= MOST_GROWTH_KIB, "{before:?} {after:?}");
}
