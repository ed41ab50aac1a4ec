//! A real file system in trouble: a tmpfs that is full, an ext4 on a loop device that is frozen,
//! that turns read-only after an error of its own, or is unmounted. Needs root; where the machine
//! does not allow it the tests fail and say so, unless `DAYREEL_TEST_NO_MOUNT` says that it is known.
//!
//! Starts programs, which hold our locks and our files for a moment, so it is a test binary of its
//! own, and one test at a time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "archive/common.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use chrono_tz::Tz;
use common::{CHUNK_90K, Camera, chunk, init, media, open, record};
use dayreel_archive::{Error, Limits, Piece, Recorder, Retention, SystemDisk, verify};
use dayreel_core::{Kind, TrackKind::Video};
use parking_lot::{Mutex, MutexGuard};

const NOON: &str = "2026-11-22T12:00:00Z";
const DAY: &str = "cam/days/2026-11-22";
const HOUR_90K: u64 = 3600 * 90_000;

/// Held by each test: until a program runs that another one starts, it has all our files open, and what is deleted
/// meanwhile takes room.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a program of util-linux or e2fsprogs.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// A file system of its own.
struct Mount {
    folder: tempfile::TempDir,
    image: Option<tempfile::NamedTempFile>,
    _alone: MutexGuard<'static, ()>,
}

impl Mount {
    /// `None` where it is known that nothing can be mounted.
    fn new(
        make: impl FnOnce(&Path) -> Result<Option<tempfile::NamedTempFile>, String>,
    ) -> Option<Self> {
        let alone = ONE_AT_A_TIME.lock();
        let folder = tempfile::tempdir().unwrap();
        match make(folder.path()) {
            Ok(image) => Some(Self {
                folder,
                image,
                _alone: alone,
            }),
            Err(error) => {
                let is_known = std::env::var_os("DAYREEL_TEST_NO_MOUNT").is_some();
                assert!(
                    is_known,
                    "this machine mounts nothing ({error}); if that is known, set \
                    DAYREEL_TEST_NO_MOUNT=1 and these faults go untested"
                );
                eprintln!("NOT TESTED: {error}");
                None
            }
        }
    }

    fn tmpfs(bytes: u64) -> Option<Self> {
        Self::new(|folder| {
            let size = format!("size={bytes}");
            let folder = folder.to_str().unwrap_or_default();
            run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", folder]).map(|()| None)
        })
    }

    fn ext4() -> Option<Self> {
        Self::new(|folder| {
            let image = tempfile::NamedTempFile::new().unwrap();
            image.as_file().set_len(24 << 20).unwrap();
            let path = image.path().to_str().unwrap_or_default();
            run("mkfs.ext4", &["-q", "-F", path])?;
            mount_image(path, folder)?;
            Ok(Some(image))
        })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn text(&self) -> &str {
        self.path().to_str().unwrap_or_default()
    }
}

fn mount_image(image: &str, folder: &Path) -> Result<(), String> {
    let folder = folder.to_str().unwrap_or_default();
    run("mount", &["-o", "loop,errors=remount-ro", image, folder])
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Thawed if a test failed in between; both fail where there is nothing to do.
        let _ = run("fsfreeze", &["-u", self.text()]);
        let _ = run("umount", &["-l", self.text()]);
        drop(self.image.take());
    }
}

fn recording(root: &Path) -> (Camera, Recorder) {
    let camera = open(root, Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    (camera, recorder)
}

/// Records until it fails; returns where the next segment starts and the error.
fn record_until_it_fails(recorder: &mut Recorder, start: u64, most: u64) -> (u64, Error) {
    for number in 0..most {
        let at = start + number * CHUNK_90K;
        if let Err(error) = recorder.append(Video, chunk(at, number % 4 == 0)) {
            return (start + (number / 4 + 1) * 4 * CHUNK_90K, error);
        }
    }
    panic!("{most} chunks fit");
}

fn segments(camera: &Camera) -> usize {
    let today = camera.archive.today().unwrap();
    let timeline = today.timeline();
    timeline.track(Video).segments().len()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn a_full_disk_stops_the_recording_and_room_lets_it_go_on() {
    let Some(disk) = Mount::tmpfs(256 << 10) else {
        return;
    };
    let (camera, mut recorder) = recording(disk.path());
    let (mut next, error) = record_until_it_fails(&mut recorder, media(NOON), 4000);
    assert_eq!(
        (error.kind(), error.disk_code()),
        (Kind::Full, Some("disk_full"))
    );
    let before = segments(&camera);
    // Again and again, into other hours, too: nothing is left behind by an attempt.
    let day = disk.path().join(DAY);
    let known = files(&day);
    for hours in [0, 0, 1, 2, 3] {
        let at = next + hours * HOUR_90K;
        assert!(recorder.append(Video, chunk(at, true)).is_err());
    }
    assert_eq!(files(&day), known);
    next += 4 * HOUR_90K;

    run("mount", &["-o", "remount,size=1048576", disk.text()]).unwrap();
    next = record(&mut recorder, next, 3);
    recorder.finish().unwrap();
    assert!(segments(&camera) >= before + 3);
    let served = segments(&camera);
    drop((recorder, camera));
    let verified = verify(disk.path(), false).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    let (again, mut recorder) = recording(disk.path());
    assert_eq!(segments(&again), served);
    record(&mut recorder, next, 1);
}

/// Nothing can be written any more, not even a shorter index: the oldest hours go all the same.
#[test]
fn on_a_full_disk_the_oldest_hour_makes_room() {
    let Some(disk) = Mount::tmpfs(512 << 10) else {
        return;
    };
    let camera = open(disk.path(), Tz::UTC, "2026-11-22T20:00:00Z");
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    for hour in 0..4 {
        record(
            &mut recorder,
            media("2026-11-22T10:00:00Z") + hour * HOUR_90K,
            12,
        );
    }
    let start = media("2026-11-22T15:00:00Z");
    let (next, error) = record_until_it_fails(&mut recorder, start, 4000);
    assert_eq!(error.kind(), Kind::Full);
    // To the last byte.
    let filler = disk.path().join("filler");
    assert!(fs::write(&filler, vec![0; 1 << 20]).is_err());
    let limits = Limits {
        days_to_keep: 6,
        max_bytes: None,
        moments_days_to_keep: None,
        timelapse_days_to_keep: None,
    };
    let cameras = [(std::sync::Arc::clone(&camera.archive), limits)];
    let retention = Retention::new(cameras, 40 << 10, Box::new(SystemDisk));
    retention.step(Instant::now());
    let storage = retention.storage();
    assert!(storage.space.unwrap().free_bytes >= 40 << 10, "{storage:?}");
    assert_eq!(storage.problem, None);
    let first = camera.archive.recordings().unwrap().hours[0].hour;
    assert!((11..15).contains(&first), "{first}");
    record(&mut recorder, next, 2);
    recorder.finish().unwrap();
    drop((recorder, retention, camera));
    let verified = verify(disk.path(), false).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}

#[test]
fn a_disk_that_turns_read_only_is_said_to_be_and_can_be_read() {
    let Some(disk) = Mount::ext4() else {
        return;
    };
    let (camera, mut recorder) = recording(disk.path());
    let next = record(&mut recorder, media(NOON), 3);
    // On the disk: what is not may be lost, as by a power cut.
    recorder.finish().unwrap();
    let listed = segments(&camera);
    // What ext4 does by itself after an error of its own, with files open for writing.
    let source = Command::new("findmnt")
        .args(["-n", "-o", "SOURCE", disk.text()])
        .output()
        .unwrap();
    let device = String::from_utf8(source.stdout).unwrap();
    let device = device.trim().trim_start_matches("/dev/");
    fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "test").unwrap();
    let (_, error) = record_until_it_fails(&mut recorder, next, 8);
    assert_eq!(error.disk_code(), Some("disk_read_only"), "{error:?}");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(recorder.finish().is_err());
    // What is there is served: today, and a day that a reader loads.
    assert!(segments(&camera) >= listed);
    let today = camera.archive.today().unwrap();
    let first = today.timeline().track(Video).segments()[0];
    let slice = camera.archive.segment(Video, first.start).unwrap().unwrap();
    assert!(fs::read(slice.path).unwrap().len() as u64 >= slice.offset + slice.len_bytes);
    assert_eq!(camera.archive.summaries().unwrap().len(), 1);
    drop((recorder, today, camera));

    // Unmounted, checked and mounted again it is as it was.
    run("umount", &[disk.text()]).unwrap();
    let image = disk.image.as_ref().unwrap().path().to_str().unwrap();
    // 1: errors were corrected.
    let _ = run("fsck.ext4", &["-p", image]);
    mount_image(image, disk.path()).unwrap();
    let (again, mut recorder) = recording(disk.path());
    assert!(segments(&again) >= listed);
    record(&mut recorder, next + 8 * CHUNK_90K, 2);
    recorder.finish().unwrap();
    drop((recorder, again));
    let verified = verify(disk.path(), false).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
}

/// Recording into an unmounted directory would fill the boot disk.
#[test]
fn an_unmounted_disk_is_not_written_to_and_goes_on_when_it_is_back() {
    let Some(disk) = Mount::ext4() else {
        return;
    };
    let (camera, mut recorder) = recording(disk.path());
    let next = record(&mut recorder, media(NOON), 3);
    let listed = segments(&camera);
    // As a disk that is pulled: what is open stays open, on a mount that nobody sees.
    run("umount", &["-l", disk.text()]).unwrap();
    let (next, error) = record_until_it_fails(&mut recorder, next, 5);
    assert!(matches!(error, Error::Missing(_)), "{error:?}");
    assert!(
        camera.archive.summaries().is_err(),
        "it is not known to be empty"
    );
    assert!(files(disk.path()).is_empty());

    let image = disk.image.as_ref().unwrap().path().to_str().unwrap();
    mount_image(image, disk.path()).unwrap();
    let next = record(&mut recorder, next, 2);
    recorder.finish().unwrap();
    assert!(
        segments(&camera) >= listed + 2,
        "{} of {listed}",
        segments(&camera)
    );
    let index = fs::read_to_string(disk.path().join(DAY).join("video.m3u8")).unwrap();
    assert_eq!(
        index.matches("#EXTINF").count(),
        segments(&camera),
        "{index}"
    );
    record(&mut recorder, next, 1);
}

/// A write that takes as long as the disk likes: readers do not wait for it.
#[test]
fn a_disk_that_hangs_stops_the_recorder_and_nobody_else() {
    let Some(disk) = Mount::ext4() else {
        return;
    };
    let (camera, mut recorder) = recording(disk.path());
    let next = record(&mut recorder, media(NOON), 3);
    run("fsfreeze", &["-f", disk.text()]).unwrap();
    let (done, written) = mpsc::channel();
    let writer = thread::spawn(move || {
        let next = record(&mut recorder, next, 1);
        done.send(next).unwrap();
        recorder
    });
    let hangs = written.recv_timeout(Duration::from_secs(2));
    assert_eq!(
        hangs,
        Err(mpsc::RecvTimeoutError::Timeout),
        "the write waits"
    );
    // Live playlists, segments and days are there meanwhile.
    let listed = segments(&camera);
    let today = camera.archive.today().unwrap();
    let first = today.timeline().track(Video).segments()[0].start;
    let slice = camera.archive.segment(Video, first).unwrap().unwrap();
    assert!(fs::read(slice.path).is_ok());
    assert_eq!(camera.archive.summaries().unwrap().len(), 1);
    run("fsfreeze", &["-u", disk.text()]).unwrap();
    let next = written.recv_timeout(Duration::from_secs(20)).unwrap();
    let mut recorder = writer.join().unwrap();
    record(&mut recorder, next, 1);
    recorder.finish().unwrap();
    assert_eq!(segments(&camera), listed + 2 + usize::from(listed == 2));
}
