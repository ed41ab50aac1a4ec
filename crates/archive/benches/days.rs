//! What days on disk cost: to start with them, to list them, to delete a day and an hour.
//! `cargo bench -p dayreel-archive --bench days`. Prints tables with ratios; asserts no speed.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(dead_code, reason = "helpers of tests, too")]

#[path = "../tests/archive/common.rs"]
mod common;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::NaiveDate;
use chrono_tz::Tz;
use common::{chunk_of, init, media, wall};
use dayreel_archive::{CameraArchive, Piece, Store};
use dayreel_core::{ManualClock, TrackKind::Video};

/// 4 s, as cameras are recorded.
const SEGMENT_90K: u64 = 4 * 90_000;
const SEGMENTS_A_DAY: u64 = 24 * 900;
/// Of which the median is taken.
const TIMES: usize = 5;
const NEWEST: &str = "2026-11-22";

fn date(days_before: u64) -> NaiveDate {
    let newest: NaiveDate = NEWEST.parse().unwrap();
    newest - chrono::Days::new(days_before)
}

/// A whole day of one camera.
fn record_day(root: &Path) {
    let clock = Arc::new(ManualClock::new(wall("2026-11-22T00:00:00Z")));
    let store = Store::open(root).unwrap();
    let camera = store
        .camera("cam".parse().unwrap(), Tz::UTC, clock)
        .unwrap();
    let mut recorder = camera.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    let start = media("2026-11-22T00:00:00Z");
    for number in 0..SEGMENTS_A_DAY {
        let piece = chunk_of(start + number * SEGMENT_90K, SEGMENT_90K, true);
        recorder.append(Video, piece).unwrap();
    }
    recorder.finish().unwrap();
}

/// The same day, said to be days earlier: its times are others, and its file names.
fn copy_day(from: &Path, to: &Path, days_before: u64) {
    fs::create_dir_all(to).unwrap();
    let shift = days_before * 86_400 * 90_000;
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().extension().is_some_and(|name| name == "m3u8") {
            let text = fs::read_to_string(entry.path()).unwrap();
            let lines =
                text.lines()
                    .map(|line| match line.strip_prefix("#DAYREEL-SEGMENT:start=") {
                        Some(rest) => {
                            let (start, rest) = rest.split_once(',').unwrap();
                            let start: u64 = start.parse().unwrap();
                            format!("#DAYREEL-SEGMENT:start={},{rest}\n", start - shift)
                        }
                        None => format!("{line}\n"),
                    });
            let mut text: String = lines.collect();
            if days_before > 0 {
                text.push_str("#EXT-X-ENDLIST\n");
            }
            fs::write(target, text).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

struct Stage {
    root: tempfile::TempDir,
    cameras: usize,
}

impl Stage {
    fn new(day: &Path, cameras: usize, days: u64) -> Self {
        let root = tempfile::tempdir().unwrap();
        for camera in 0..cameras {
            for before in 0..days {
                let folder = format!("cam{camera}/days/{}", date(before));
                copy_day(day, &root.path().join(folder), before);
            }
        }
        Self { root, cameras }
    }

    fn start(&self) -> (Store, Vec<Arc<CameraArchive>>) {
        let store = Store::open(self.root.path()).unwrap();
        let open = |number| {
            let clock = Arc::new(ManualClock::new(wall("2026-11-22T23:59:59Z")));
            let id = format!("cam{number}").parse().unwrap();
            store.camera(id, Tz::UTC, clock).unwrap()
        };
        let cameras = (0..self.cameras).map(open).collect();
        (store, cameras)
    }
}

fn median(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..TIMES).map(|_| measure()).collect();
    times.sort_unstable();
    times[TIMES / 2]
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let done = work();
    (begin.elapsed(), done)
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn main() {
    let first = tempfile::tempdir().unwrap();
    record_day(first.path());
    let day = first.path().join("cam/days").join(NEWEST);
    println!("| cameras | days | start ms | /days, first ms | /days, then ms | usage ms |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut starts = Vec::new();
    for (cameras, days) in [(1, 1), (1, 7), (16, 1), (16, 7)] {
        let stage = Stage::new(&day, cameras, days);
        let start = median(|| timed(|| stage.start()).0);
        let (_store, archives) = stage.start();
        let (days_first, found) = timed(|| archives[0].summaries().unwrap());
        assert_eq!(found.len() as u64, days);
        let then = median(|| timed(|| archives[0].summaries().unwrap()).0);
        let all = || {
            archives
                .iter()
                .map(|one| one.recordings().unwrap().bytes)
                .sum::<u64>()
        };
        let usage = median(|| timed(all).0);
        println!(
            "| {cameras} | {days} | {} | {} | {} | {} |",
            ms(start),
            ms(days_first),
            ms(then),
            ms(usage)
        );
        starts.push(start.as_secs_f64());
    }
    println!(
        "\nstart: 7 days / 1 day {:.2}, 16 cameras / 1 camera {:.1}",
        starts[1] / starts[0],
        starts[2] / starts[0]
    );

    let stage = Stage::new(&day, 1, 2 + TIMES as u64);
    let (_store, archives) = stage.start();
    let archive = &archives[0];
    let hour = median(|| {
        let oldest = archive.recordings().unwrap().hours[0];
        timed(|| archive.expire_hour(&oldest).unwrap()).0
    });
    let mut keep = u8::try_from(TIMES).unwrap();
    let whole = median(|| {
        let (time, deleted) = timed(|| archive.expire(keep).unwrap());
        assert_eq!(deleted.len(), 1);
        keep -= 1;
        time
    });
    println!(
        "delete the oldest hour of a day of 24 h: {} ms; a whole day: {} ms",
        ms(hour),
        ms(whole)
    );
}
