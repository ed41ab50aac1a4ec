//! What is kept and what goes: by age, by bytes, by room on the disk.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::common::{CHUNK_90K, chunk, init, media, sound_init, wall};
use chrono_tz::Tz;
use dayreel_archive::{
    CameraArchive, Disk, Limits, Piece, Recorder, Result, Retention, Space, Store,
};
use dayreel_core::{
    ManualClock,
    TrackKind::{Audio, Video},
};
use dayreel_manifest::{Encoding, Extent, media_playlist};

const NO_LIMITS: Limits = Limits {
    days_to_keep: 6,
    max_bytes: None,
    moments_days_to_keep: None,
    timelapse_days_to_keep: None,
};
const HOUR_90K: u64 = 3600 * 90_000;

/// A disk of so many bytes, on which nothing but the folder is.
#[derive(Debug)]
struct SmallDisk(Arc<AtomicU64>);

impl Disk for SmallDisk {
    fn space(&self, folder: &Path) -> Result<Space> {
        let total_bytes = self.0.load(Ordering::Relaxed);
        let free_bytes = total_bytes.saturating_sub(bytes_below(folder));
        Ok(Space {
            total_bytes,
            free_bytes,
        })
    }
}

fn bytes_below(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let bytes = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => bytes_below(&entry.path()),
        false => entry.metadata().unwrap().len(),
    };
    entries.map(bytes).sum()
}

struct Stage {
    root: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
}

impl Stage {
    fn at(now: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(root.path()).unwrap(),
            clock: Arc::new(ManualClock::new(wall(now))),
            root,
        }
    }

    fn camera(&self, id: &str) -> Arc<CameraArchive> {
        let clock = Arc::clone(&self.clock) as _;
        self.store
            .camera(id.parse().unwrap(), Tz::UTC, clock)
            .unwrap()
    }

    fn day(&self, camera: &str, date: &str) -> PathBuf {
        self.root.path().join(camera).join("days").join(date)
    }

    /// Names of the hour files of a day.
    fn hours(&self, camera: &str, date: &str) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(self.day(camera, date)) else {
            return BTreeSet::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".mp4")).collect()
    }
}

/// Records a segment in each hour, from `from` on.
fn record_hours(recorder: &mut Recorder, from: &str, hours: u64) {
    let start = media(from);
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    for hour in 0..hours {
        for second in 0..4 {
            let at = start + hour * HOUR_90K + second * CHUNK_90K;
            recorder.append(Video, chunk(at, second == 0)).unwrap();
        }
    }
    recorder.finish().unwrap();
}

fn playlist(camera: &CameraArchive, date: &str) -> String {
    let folder = camera.day(date.parse().unwrap()).unwrap().unwrap();
    let timeline = folder.timeline();
    let document = media_playlist(&timeline, Video, false, Extent::Whole, Encoding::Identity);
    String::from_utf8(document.unwrap().to_vec()).unwrap()
}

fn header_number(text: &str, tag: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(tag));
    line.unwrap().parse().unwrap()
}

#[test]
fn the_oldest_hour_slides_out_of_a_day_that_is_being_recorded() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    let camera = stage.camera("cam");
    let mut recorder = camera.recorder();
    record_hours(&mut recorder, "2026-11-22T00:10:00Z", 5);
    let before = playlist(&camera, "2026-11-22");

    let oldest = camera.recordings().unwrap().hours[0];
    assert_eq!(
        (oldest.hour, oldest.date.to_string().as_str()),
        (0, "2026-11-22")
    );
    camera.expire_hour(&oldest).unwrap();

    let after = playlist(&camera, "2026-11-22");
    let number = |tag: &str| (header_number(&before, tag), header_number(&after, tag));
    assert_eq!(number("#EXT-X-MEDIA-SEQUENCE:"), (0, 1));
    assert_eq!(number("#EXT-X-DISCONTINUITY-SEQUENCE:"), (0, 1));
    let segments = |text: &str| -> Vec<String> {
        let names = text.lines().filter(|line| line.starts_with("../v-"));
        names.map(str::to_owned).collect()
    };
    assert_eq!(segments(&after), segments(&before)[1..]);
    let first = segments(&after)[0].clone();
    let (head, _) = after.split_once(&first).unwrap();
    assert!(head.contains("#EXT-X-MAP"), "{after}");
    assert!(!head.contains("#EXT-X-DISCONTINUITY\n"), "{after}");
    assert!(!stage.hours("cam", "2026-11-22").contains("video-00.mp4"));

    // The recorder goes on in the same index.
    recorder
        .append(Video, chunk(media("2026-11-22T05:30:00Z"), true))
        .unwrap();
    recorder.finish().unwrap();
    let text = fs::read_to_string(stage.day("cam", "2026-11-22").join("video.m3u8")).unwrap();
    assert_eq!(text.matches("#EXTINF").count(), 5, "{text}");
    assert!(text.contains("#EXT-X-MAP:URI=\"video-01.mp4\""), "{text}");
    assert!(!text.contains("video-00"), "{text}");
    assert!(!text.contains("EVENT"), "{text}");
    assert_eq!(header_number(&text, "#EXT-X-MEDIA-SEQUENCE:"), 1);
    assert_eq!(header_number(&text, "#EXT-X-DISCONTINUITY-SEQUENCE:"), 1);

    // A new start finds the same, but for the parts of the newest segments.
    let served = |camera: &CameraArchive| {
        let text = playlist(camera, "2026-11-22");
        let is_of_parts =
            |line: &&str| line.starts_with("#EXT-X-PART") || line.starts_with("#EXT-X-SERVER");
        let lines = text.lines().filter(|line| !is_of_parts(line));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = served(&camera);
    drop((recorder, camera));
    assert_eq!(served(&stage.camera("cam")), before);
}

#[test]
fn a_crash_between_the_steps_of_an_expiry_is_mended() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    record_hours(
        &mut stage.camera("cam").recorder(),
        "2026-11-22T00:10:00Z",
        5,
    );
    let day = stage.day("cam", "2026-11-22");
    let whole = fs::read(day.join("video.m3u8")).unwrap();
    let camera = stage.camera("cam");
    let oldest = camera.recordings().unwrap().hours[0];
    let hour_file = fs::read(day.join("video-00.mp4")).unwrap();
    camera.expire_hour(&oldest).unwrap();
    let served = playlist(&camera, "2026-11-22");
    let index = fs::read_to_string(day.join("video.m3u8")).unwrap();

    // The file is gone, the index not yet shorter.
    fs::write(day.join("video.m3u8"), &whole).unwrap();
    assert_eq!(playlist(&stage.camera("cam"), "2026-11-22"), served);
    let mended = fs::read_to_string(day.join("video.m3u8")).unwrap();
    assert_eq!(mended.replace("#EXT-X-PLAYLIST-TYPE:EVENT\n", ""), index);

    // The index is shorter, the file not yet gone: it is as if the hour had not been deleted yet,
    // and it is the next to go.
    fs::write(day.join("video-00.mp4"), &hour_file).unwrap();
    let camera = stage.camera("cam");
    let oldest = camera.recordings().unwrap().hours[0];
    assert_eq!(oldest.hour, 0);
    camera.expire_hour(&oldest).unwrap();
    assert!(!day.join("video-00.mp4").exists());
    let names = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("../v-"))
            .count()
    };
    assert_eq!(names(&playlist(&camera, "2026-11-22")), names(&served));
}

#[test]
fn a_segment_whose_file_was_deleted_under_it_is_not_listed() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    let camera = stage.camera("cam");
    let mut recorder = camera.recorder();
    record_hours(&mut recorder, "2026-11-22T00:10:00Z", 2);
    // Sound that stops in the first hour, with a segment open.
    recorder.append(Audio, Piece::Init(sound_init())).unwrap();
    recorder
        .append(Audio, chunk(media("2026-11-22T00:10:00Z"), true))
        .unwrap();
    let oldest = camera.recordings().unwrap().hours[0];
    camera.expire_hour(&oldest).unwrap();
    recorder
        .append(Audio, chunk(media("2026-11-22T01:10:00Z"), true))
        .unwrap();
    recorder.finish().unwrap();
    let day = stage.day("cam", "2026-11-22");
    let text = fs::read_to_string(day.join("audio.m3u8")).unwrap();
    assert_eq!(text.matches("\naudio-01.mp4\n").count(), 1, "{text}");
    assert!(!text.contains("audio-00"), "{text}");
}

#[test]
fn where_room_is_wanted_the_oldest_hour_of_all_cameras_goes_first() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    let (a, b) = (stage.camera("a"), stage.camera("b"));
    record_hours(&mut a.recorder(), "2026-11-21T20:10:00Z", 9);
    record_hours(&mut b.recorder(), "2026-11-22T00:10:00Z", 5);
    let used = bytes_below(stage.root.path());
    let size = Arc::new(AtomicU64::new(used + 100));
    let disk = Box::new(SmallDisk(Arc::clone(&size)));
    let cameras = [(Arc::clone(&a), NO_LIMITS), (Arc::clone(&b), NO_LIMITS)];
    let retention = Retention::new(cameras, 100, disk);
    retention.step(Instant::now());
    assert_eq!(a.recordings().unwrap().hours.len(), 9, "there is room");

    // For three hours less: all of the 21st is older than anything of b.
    let hour = a.recordings().unwrap().hours[0].bytes;
    size.store(used + 100 - 3 * hour, Ordering::Relaxed);
    retention.step(Instant::now());
    assert_eq!(stage.hours("a", "2026-11-21").len(), 1);
    assert_eq!(b.recordings().unwrap().hours.len(), 5);
    // Then both in turn; a day without hours is no day.
    size.store(used + 100 - 8 * hour, Ordering::Relaxed);
    retention.step(Instant::now());
    assert!(!stage.day("a", "2026-11-21").exists());
    let (of_a, of_b) = (a.recordings().unwrap(), b.recordings().unwrap());
    assert_eq!((of_a.hours.len() + of_b.hours.len()), 14 - 8);
    assert!(of_a.hours.len().abs_diff(of_b.hours.len()) <= 1);
    assert_eq!(retention.storage().problem, None);

    // The newest hour of each stays, and it is said that it does not help.
    size.store(1000, Ordering::Relaxed);
    retention.step(Instant::now());
    assert_eq!(
        stage.hours("a", "2026-11-22"),
        BTreeSet::from(["video-04.mp4".to_owned()])
    );
    assert_eq!(
        stage.hours("b", "2026-11-22"),
        BTreeSet::from(["video-04.mp4".to_owned()])
    );
    assert_eq!(retention.storage().problem.unwrap().0, "disk_low");
}

#[test]
fn a_camera_keeps_no_more_bytes_than_it_may() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    let (a, b) = (stage.camera("a"), stage.camera("b"));
    record_hours(&mut a.recorder(), "2026-11-21T20:10:00Z", 9);
    record_hours(&mut b.recorder(), "2026-11-21T20:10:00Z", 9);
    let all = a.recordings().unwrap().bytes;
    let limits = Limits {
        max_bytes: Some(all / 2),
        ..NO_LIMITS
    };
    let disk = Box::new(SmallDisk(Arc::new(AtomicU64::new(1 << 40))));
    let cameras = [(Arc::clone(&a), limits), (Arc::clone(&b), NO_LIMITS)];
    let retention = Retention::new(cameras, 0, disk);
    retention.step(Instant::now());
    let kept = a.recordings().unwrap();
    assert!(
        kept.bytes <= all / 2 && kept.bytes > all / 4,
        "{} of {all}",
        kept.bytes
    );
    assert_eq!(kept.hours.last().unwrap().hour, 4);
    assert_eq!(b.recordings().unwrap().hours.len(), 9);
}

#[test]
fn a_day_goes_some_minutes_after_midnight_and_moments_when_they_are_told_to() {
    let stage = Stage::at("2026-11-22T23:50:00Z");
    let camera = stage.camera("cam");
    let mut recorder = camera.recorder();
    record_hours(&mut recorder, "2026-11-21T20:10:00Z", 2);
    record_hours(&mut recorder, "2026-11-22T20:10:00Z", 2);
    let moment = stage
        .root
        .path()
        .join("cam/moments/2026/11/20/17-03-05.mp4");
    let timelapse = stage.root.path().join("cam/timelapse/2026/11/20.mp4");
    for file in [&moment, &timelapse] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "x").unwrap();
    }
    let step = |limits: Limits| {
        let disk = Box::new(SmallDisk(Arc::new(AtomicU64::new(1 << 40))));
        Retention::new([(Arc::clone(&camera), limits)], 0, disk).step(Instant::now());
    };
    let one_day = Limits {
        days_to_keep: 1,
        ..NO_LIMITS
    };
    let dates = || -> Vec<String> {
        let dates = camera.dates().unwrap();
        dates.iter().map(ToString::to_string).collect()
    };
    step(one_day);
    assert_eq!(dates(), ["2026-11-21", "2026-11-22"]);
    // The last segment of the old day may still come.
    stage.clock.set(wall("2026-11-23T00:04:00Z"));
    step(one_day);
    assert_eq!(dates(), ["2026-11-21", "2026-11-22"]);
    stage.clock.set(wall("2026-11-23T00:06:00Z"));
    step(one_day);
    assert_eq!(dates(), ["2026-11-22"]);
    assert!(moment.exists() && timelapse.exists());
    step(Limits {
        timelapse_days_to_keep: Some(3),
        moments_days_to_keep: Some(2),
        ..one_day
    });
    assert!(!moment.exists() && timelapse.exists());
}

/// A machine whose clock is wrong after a cold start would delete everything.
#[test]
fn all_of_a_camera_is_not_deleted_before_the_clock_had_time_to_be_set() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    let camera = stage.camera("cam");
    record_hours(&mut camera.recorder(), "2026-11-21T20:10:00Z", 9);
    stage.clock.set(wall("2038-01-19T03:14:08Z"));
    let disk = Box::new(SmallDisk(Arc::new(AtomicU64::new(1 << 40))));
    let retention = Retention::new([(Arc::clone(&camera), NO_LIMITS)], 0, disk);
    let start = Instant::now();
    let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
    retention.step(start);
    retention.step(minutes(59));
    assert_eq!(camera.dates().unwrap().len(), 2);
    stage.clock.set(wall("2026-11-22T05:00:00Z"));
    retention.step(minutes(61));
    assert_eq!(camera.dates().unwrap().len(), 2);
    stage.clock.set(wall("2027-11-22T05:00:00Z"));
    retention.step(minutes(70));
    retention.step(minutes(129));
    assert_eq!(camera.dates().unwrap().len(), 2);
    retention.step(minutes(131));
    assert_eq!(camera.dates().unwrap().len(), 0, "it was right after all");
}

/// The camera records while the clock is wrong, so that not all it has is too old.
#[test]
fn regression_a_clock_that_was_set_ahead_while_it_was_recorded_deleted_all() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    let camera = stage.camera("cam");
    let mut recorder = camera.recorder();
    record_hours(&mut recorder, "2026-11-21T20:10:00Z", 9);
    stage.clock.set(wall("2027-11-22T05:00:00Z"));
    record_hours(&mut recorder, "2027-11-22T04:10:00Z", 1);
    let disk = Box::new(SmallDisk(Arc::new(AtomicU64::new(1 << 40))));
    let retention = Retention::new([(Arc::clone(&camera), NO_LIMITS)], 0, disk);
    let start = Instant::now();
    retention.step(start);
    retention.step(start + Duration::from_secs(3599));
    assert_eq!(camera.dates().unwrap().len(), 3);
    retention.step(start + Duration::from_secs(3601));
    assert_eq!(camera.dates().unwrap().len(), 1, "it was right after all");
}

/// An hour that cannot be deleted: of another user, of a disk with a bad block.
#[test]
fn regression_an_hour_that_cannot_be_deleted_kept_all_others() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    let (a, b) = (stage.camera("a"), stage.camera("b"));
    record_hours(&mut a.recorder(), "2026-11-21T19:10:00Z", 10);
    record_hours(&mut b.recorder(), "2026-11-21T20:10:00Z", 9);
    let stuck = stage.day("a", "2026-11-21").join("video-19.mp4");
    fs::remove_file(&stuck).unwrap();
    fs::create_dir(&stuck).unwrap();
    let all = bytes_below(stage.root.path());
    let most = a.recordings().unwrap().bytes * 3 / 4;
    let limits = Limits {
        max_bytes: Some(most),
        ..NO_LIMITS
    };
    let disk = Box::new(SmallDisk(Arc::new(AtomicU64::new(all))));
    let cameras = [(Arc::clone(&a), limits), (Arc::clone(&b), NO_LIMITS)];
    let retention = Retention::new(cameras, all / 2, disk);
    retention.step(Instant::now());
    let storage = retention.storage();
    assert!(storage.space.unwrap().free_bytes >= all / 2, "{storage:?}");
    assert!(a.recordings().unwrap().bytes <= most);
    assert!(stage.hours("b", "2026-11-21").is_empty());
}

#[test]
fn a_forecast_says_what_is_needed_and_whether_it_fits() {
    let stage = Stage::at("2026-11-22T05:00:00Z");
    let camera = stage.camera("front-door");
    record_hours(&mut camera.recorder(), "2026-11-21T20:10:00Z", 9);
    let found = camera.recordings().unwrap();
    let per_hour = found.hours[0].bytes;
    assert!(found.hours.iter().all(|hour| hour.bytes == per_hour));
    let size = Arc::new(AtomicU64::new(1 << 40));
    let disk = Box::new(SmallDisk(Arc::clone(&size)));
    let retention = Retention::new([(Arc::clone(&camera), NO_LIMITS)], 1000, disk);
    assert_eq!(retention.storage().fits(), None);
    retention.step(Instant::now());
    let storage = retention.storage();
    let [forecast] = storage.forecasts.as_slice() else {
        panic!("{storage:?}");
    };
    assert_eq!(forecast.bytes_per_day, Some(24 * per_hour));
    assert_eq!(forecast.needed_bytes(), Some(7 * 24 * per_hour));
    assert_eq!(storage.fits(), Some(true));
    let needed = forecast.needed_bytes().unwrap();
    let others = bytes_below(stage.root.path()) - found.bytes;
    // To the byte.
    for (bytes, fits) in [(needed, true), (needed - 1, false)] {
        size.store(bytes + others + 1000, Ordering::Relaxed);
        retention.step(Instant::now());
        assert_eq!(retention.storage().fits(), Some(fits));
    }
    let text = forecast.in_words(180_000_000_000);
    let said = "6 days and today of front-door need about 0.0 GB, it has 0.0 GB, 180 GB are free";
    assert_eq!(text, said);
}
