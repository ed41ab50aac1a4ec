//! The data directory goes away and comes back.

use std::{fs, path::Path};

use crate::common::{CHUNK_90K, chunk, init, media, open, record};
use chrono::DateTime;
use chrono_tz::Tz;
use dayreel_archive::{Error, Piece, Store};
use dayreel_core::{Kind, TrackKind::Video};

const NOON: &str = "2026-11-22T12:00:00Z";
const DAY: &str = "cam/days/2026-11-22";

fn files_below(path: &Path) -> usize {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let count = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => files_below(&entry.path()),
        false => 1,
    };
    entries.map(count).sum()
}

/// What an unmount leaves: an empty folder where the data directory was.
#[test]
fn nothing_is_written_into_the_empty_mount_point() {
    let parent = tempfile::tempdir().unwrap();
    let (data, away) = (parent.path().join("data"), parent.path().join("away"));
    let camera = open(&data, Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    let next = record(&mut recorder, media(NOON), 2);

    fs::rename(&data, &away).unwrap();
    fs::create_dir(&data).unwrap();
    for piece in 0..8 {
        let error = recorder
            .append(Video, chunk(next + piece * CHUNK_90K, piece % 4 == 0))
            .unwrap_err();
        match piece % 4 {
            0 => {
                assert!(matches!(error, Error::Missing(_)), "{error}");
                assert_eq!(error.disk_code(), Some("disk_missing"));
                assert_eq!(error.kind(), Kind::Unavailable);
            }
            _ => assert!(matches!(error, Error::Orphan(_)), "{error}"),
        }
    }
    // Neither does the end of the session, or the next hour.
    assert!(matches!(recorder.finish(), Err(Error::Missing(_))));
    let later = media("2026-11-22T14:00:00Z");
    assert!(recorder.append(Video, chunk(later, true)).is_err());
    // Nor a moment.
    let moments = camera.archive.moments();
    let time = DateTime::parse_from_rfc3339(NOON).unwrap();
    let refused = moments.claim(time).map(drop);
    assert!(matches!(refused, Err(Error::Missing(_))), "{refused:?}");
    let refused = moments.put_gif(time, b"GIF89a");
    assert!(matches!(refused, Err(Error::Missing(_))), "{refused:?}");
    assert_eq!(files_below(&data), 0);

    fs::remove_dir(&data).unwrap();
    fs::rename(&away, &data).unwrap();
    record(&mut recorder, later, 1);
    recorder.finish().unwrap();
    let index = fs::read_to_string(data.join(DAY).join("video.m3u8")).unwrap();
    assert_eq!(index.matches("#EXTINF").count(), 3, "{index}");
    assert_eq!(
        index.matches("#EXT-X-DISCONTINUITY\n").count(),
        1,
        "{index}"
    );
}

/// A file system that was pulled out and is mounted again: what is open is of the old mount, and what
/// it had not written yet is gone.
#[test]
fn what_is_mounted_again_is_read_again() {
    let parent = tempfile::tempdir().unwrap();
    let (data, old) = (parent.path().join("data"), parent.path().join("old"));
    let camera = open(&data, Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    let next = record(&mut recorder, media(NOON), 4);

    // The new mount has what was on the disk: other inodes, the last index group is torn.
    fs::rename(&data, &old).unwrap();
    fs::create_dir_all(data.join(DAY)).unwrap();
    fs::copy(old.join(".dayreel"), data.join(".dayreel")).unwrap();
    fs::copy(
        old.join(DAY).join("video-12.mp4"),
        data.join(DAY).join("video-12.mp4"),
    )
    .unwrap();
    let index = fs::read(old.join(DAY).join("video.m3u8")).unwrap();
    fs::write(
        data.join(DAY).join("video.m3u8"),
        &index[..index.len() - 20],
    )
    .unwrap();

    record(&mut recorder, next, 2);
    recorder.finish().unwrap();
    let index = fs::read_to_string(data.join(DAY).join("video.m3u8")).unwrap();
    assert_eq!(index.matches("#EXTINF").count(), 6, "{index}");
    assert_eq!(
        index.matches("#EXT-X-DISCONTINUITY\n").count(),
        0,
        "{index}"
    );
    let today = camera.archive.today().unwrap();
    assert_eq!(today.timeline().track(Video).segments().len(), 6);
    // The new mount is locked as the old one was.
    assert!(matches!(Store::open(&data), Err(Error::InUse(_))));
}

#[test]
fn another_disk_in_its_place_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (data, away) = (parent.path().join("data"), parent.path().join("away"));
    let camera = open(&data, Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    fs::rename(&data, &away).unwrap();
    drop(Store::open(&data).unwrap());
    let refused = recorder.append(Video, chunk(media(NOON), true));
    assert!(matches!(refused, Err(Error::Missing(_))), "{refused:?}");
    assert_eq!(files_below(&data), 1, "its marker");
}

#[test]
fn a_directory_that_must_have_its_marker_is_not_begun_anew() {
    let root = tempfile::tempdir().unwrap();
    let refused = Store::open_marked(root.path());
    assert!(matches!(refused, Err(Error::Missing(_))), "{refused:?}");
    assert_eq!(files_below(root.path()), 0);
    fs::write(root.path().join(".dayreel"), "").unwrap();
    Store::open_marked(root.path()).unwrap();
}

/// What is mended would be recorded into from then on, on the boot disk.
#[test]
fn regression_verify_marked_the_mount_point_of_a_disk_that_is_away() {
    let root = tempfile::tempdir().unwrap();
    let refused = dayreel_archive::verify(root.path(), true).map(drop);
    assert!(matches!(refused, Err(Error::Missing(_))), "{refused:?}");
    assert_eq!(files_below(root.path()), 0);
}
