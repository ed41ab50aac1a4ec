//! A recorder that is killed at a random moment, again and again, in the same data directory.
//!
//! A process that is being started holds its parent's locks for a moment, so this one
//! has the test binary for itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "archive/common.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use chrono_tz::Tz;
use common::{CHUNK_90K, chunk, init, media, open};
use dayreel_archive::{Piece, verify};
use dayreel_core::{MediaTime, TrackKind::Video};
use dayreel_manifest::{Encoding, Extent, media_playlist};

const KILLS: u32 = 200;
/// The child records into this directory.
const CHILD: &str = "DAYREEL_TEST_KILLED_CHILD";
/// The first chunk, and the hour in which all happens: some kills hit the change to the next.
const START: &str = "2026-11-22T12:30:00Z";
/// A segment has so many chunks.
const CHUNKS: u64 = 4;

/// Runs in a process of its own: goes on where the last one ended, says what is finished, and ends
/// only when it is killed.
#[test]
fn killed_child() {
    let Some(root) = env::var_os(CHILD) else {
        return;
    };
    let camera = open(Path::new(&root), Tz::UTC, START);
    let today = camera.archive.today();
    let end = today.and_then(|today| today.timeline().track(Video).end());
    let end = end.map_or(media(START), MediaTime::ticks);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    // What the one before has written last may be less than a segment: a camera's keyframe is next.
    println!("begin {end}");
    for number in 0.. {
        let start = end + number * CHUNK_90K;
        let begins = number % CHUNKS == 0;
        recorder.append(Video, chunk(start, begins)).unwrap();
        println!("chunk {}", start + CHUNK_90K);
        if begins && number > 0 {
            println!("listed {start}");
        }
    }
}

#[test]
fn two_hundred_kills_lose_nothing_that_was_finished() {
    let root = tempfile::tempdir().unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    // The end of what is certainly on disk, and of what is listed.
    let (mut written, mut listed) = (media(START), media(START));
    for kill in 0..KILLS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed_child", "--nocapture"])
            .env(CHILD, root.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // xorshift: each run kills at other places of the work, from the first write on.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = random % 40;
        let (mut chunks, mut is_killed) = (0, false);
        for line in lines {
            let Ok(line) = line else { break };
            let number = |prefix: &str| -> Option<u64> { line.strip_prefix(prefix)?.parse().ok() };
            if let Some(end) = number("begin ") {
                assert!(end >= written, "kill {kill}: {end} of {written} is left");
                assert_eq!(end % CHUNK_90K, 0, "only whole chunks");
            }
            written = number("chunk ").map_or(written, |end| end.max(written));
            listed = number("listed ").map_or(listed, |end| end.max(listed));
            chunks += u64::from(line.starts_with("chunk"));
            if left == 0 && !is_killed {
                // A part of the next write, by the time that the signal takes.
                std::hint::black_box(spin(Duration::from_micros(random % 300)));
                child.kill().unwrap();
                is_killed = true;
            }
            left = left.saturating_sub(1);
        }
        assert!(is_killed, "kill {kill}: it ended after {chunks} chunks");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        check(root.path(), written, listed, kill);
    }
    let verified = verify(root.path(), false).unwrap();
    assert_eq!(verified.days, 1);
    eprintln!("{KILLS} kills, {} segments", verified.segments);
}

/// Busy for that long: a kill after it hits the middle of something.
fn spin(length: Duration) -> u32 {
    let begin = std::time::Instant::now();
    let mut turns = 0;
    while begin.elapsed() < length {
        turns += 1;
    }
    turns
}

/// No finished segment is lost, index and files agree, the playlist lists what is there in order,
/// and the media has no hole up to the kill.
fn check(root: &Path, written: u64, listed: u64, kill: u32) {
    {
        // A new start mends.
        let camera = open(root, Tz::UTC, START);
        let today = camera.archive.today().unwrap();
        let timeline = today.timeline();
        let segments = timeline.track(Video).segments();
        assert_eq!(segments[0].start.ticks(), media(START));
        for pair in segments.windows(2) {
            assert_eq!(pair[0].end(), pair[1].start, "kill {kill}: a hole");
        }
        let end = timeline.track(Video).end().unwrap().ticks();
        assert!(
            end >= written && end >= listed,
            "kill {kill}: {end} of {written}"
        );
        assert_eq!(timeline.recorded().len(), 1);
        let document =
            media_playlist(&timeline, Video, false, Extent::Whole, Encoding::Identity).unwrap();
        let text = String::from_utf8(document.to_vec()).unwrap();
        assert_eq!(
            text.matches("#EXTINF").count(),
            segments.len(),
            "kill {kill}"
        );
        assert_eq!(
            text.matches("#EXT-X-DISCONTINUITY\n").count(),
            0,
            "kill {kill}"
        );
        assert_eq!(text.matches("#EXT-X-MAP").count(), 1, "kill {kill}");
    }
    let verified = verify(root, false).unwrap();
    assert!(
        verified.problems.is_empty(),
        "kill {kill}: {:?}",
        verified.problems
    );
    let folder = root.join("cam/days/2026-11-22");
    let names = fs::read_dir(folder).unwrap();
    let drafts = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".new")
    });
    assert_eq!(drafts.count(), 0);
}
