//! A process that may open no more files records on as soon as it may again.
//!
//! The limit is that of the whole process, so this test has a binary for itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "archive/common.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::fs::File;

use chrono::TimeDelta;
use chrono_tz::Tz;
use common::{chunk, init, media, open, record};
use dayreel_archive::{Piece, verify};
use dayreel_core::{GapCause, Kind, TrackKind::Video};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than the test harness and an archive need.
const LIMIT: u64 = 64;

#[test]
fn no_more_files_stop_the_recording_until_there_are_some() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-22T12:00:00Z");
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    record(&mut recorder, media("2026-11-22T12:59:00Z"), 2);

    let allowed = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(LIMIT),
        ..allowed
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let open_all =
        || -> Vec<File> { std::iter::from_fn(|| File::open(root.path()).ok()).collect() };
    let open_files = open_all();
    assert!(!open_files.is_empty() && (open_files.len() as u64) < LIMIT);
    // The next hour is another file.
    let error = recorder
        .append(Video, chunk(media("2026-11-22T13:00:00Z"), true))
        .unwrap_err();
    assert_eq!(error.disk_code(), Some("too_many_open_files"), "{error:?}");
    assert_eq!(error.kind(), Kind::Unavailable);
    // Who watches is served what is in memory.
    let today = camera.archive.today().unwrap();
    assert_eq!(today.timeline().track(Video).segments().len(), 2);

    drop(open_files);
    let next = record(&mut recorder, media("2026-11-22T13:00:10Z"), 1);
    // The folder of the new file is to be forced to the disk: a segment that was complete was lost with that.
    camera.clock.pass(TimeDelta::seconds(10));
    let open_files = open_all();
    let error = recorder.append(Video, chunk(next, true)).unwrap_err();
    assert_eq!(error.disk_code(), Some("too_many_open_files"), "{error:?}");
    drop(open_files);
    record(&mut recorder, next, 1);
    recorder.finish().unwrap();
    setrlimit(Resource::Nofile, allowed).unwrap();
    assert_eq!(today.timeline().track(Video).segments().len(), 4);
    let gaps = today.gaps(false);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].cause, Some(GapCause::Disk));
    drop((recorder, camera));
    let verified = verify(root.path(), false).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}
