//! What a kill, a power cut or a hand leaves behind is mended.

use std::{fs, path::Path};

use crate::common::{CHUNK_90K, init, media, open, record};
use chrono_tz::Tz;
use dayreel_archive::Piece;
use dayreel_core::TrackKind::Video;

const NOON: &str = "2026-11-22T12:00:00Z";
const DAY: &str = "cam/days/2026-11-22";

/// Three segments of four chunks, cleanly closed; returns the folder of the data directory.
fn recorded() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    record(&mut recorder, media(NOON), 3);
    recorder.finish().unwrap();
    root
}

/// Starts and lengths in chunks of the segments that a new start finds.
fn found(root: &Path) -> Vec<(u64, u64)> {
    let camera = open(root, Tz::UTC, NOON);
    let Some(today) = camera.archive.today() else {
        return Vec::new();
    };
    let timeline = today.timeline();
    let segments = timeline.track(Video).segments();
    let chunks = |ticks: u64| ticks / CHUNK_90K;
    let origin = media(NOON);
    segments
        .iter()
        .map(|s| {
            (
                chunks(s.start.ticks() - origin),
                chunks(s.duration_90k.into()),
            )
        })
        .collect()
}

#[test]
fn a_write_torn_at_any_byte_of_the_last_segment_costs_its_last_chunk_at_most() {
    let whole = recorded();
    let hour = fs::read(whole.path().join(DAY).join("video-12.mp4")).unwrap();
    let index = fs::read_to_string(whole.path().join(DAY).join("video.m3u8")).unwrap();
    let last_group = index.rfind("#EXT-X-PROGRAM-DATE-TIME").unwrap();
    let segment_bytes = (hour.len() - init(40).len()) / 3;
    let begin = hour.len() - segment_bytes;
    // The first chunk of a segment is longer by its `styp`.
    let styp_bytes = 16;
    let chunk_bytes = (segment_bytes - styp_bytes) / 4;
    for torn in begin..=hour.len() {
        let root = tempfile::tempdir().unwrap();
        let day = root.path().join(DAY);
        fs::create_dir_all(&day).unwrap();
        fs::write(day.join("video-12.mp4"), &hour[..torn]).unwrap();
        fs::write(day.join("video.m3u8"), &index[..last_group]).unwrap();

        let whole_chunks = (torn - begin).saturating_sub(styp_bytes) / chunk_bytes;
        let mut expected = vec![(0, 4), (4, 4)];
        expected.extend((whole_chunks > 0).then_some((8, whole_chunks as u64)));
        assert_eq!(found(root.path()), expected, "torn at {torn}");
        let mended = fs::read(day.join("video-12.mp4")).unwrap();
        assert_eq!(
            mended.len(),
            if whole_chunks == 0 {
                begin
            } else {
                begin + styp_bytes + whole_chunks * chunk_bytes
            }
        );
        assert_eq!(found(root.path()), expected, "mending is done once");
    }
}

#[test]
fn an_index_torn_at_any_byte_is_mended_from_the_media() {
    let whole = recorded();
    let path = whole.path().join(DAY).join("video.m3u8");
    let index = fs::read(&path).unwrap();
    for torn in 0..index.len() {
        fs::write(&path, &index[..torn]).unwrap();
        assert_eq!(
            found(whole.path()),
            [(0, 4), (4, 4), (8, 4)],
            "torn at {torn}"
        );
        let mended = fs::read(&path).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&mended),
            String::from_utf8_lossy(&index)
        );
    }
}

#[test]
fn a_day_without_index_is_read_from_its_hour_files() {
    let whole = recorded();
    fs::remove_file(whole.path().join(DAY).join("video.m3u8")).unwrap();
    assert_eq!(found(whole.path()), [(0, 4), (4, 4), (8, 4)]);
    assert!(whole.path().join(DAY).join("video.m3u8").exists());
}

#[test]
fn entries_whose_bytes_are_gone_are_left_out() {
    let whole = recorded();
    let hour = whole.path().join(DAY).join("video-12.mp4");
    let len = fs::metadata(&hour).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&hour)
        .unwrap()
        .set_len(len - 1)
        .unwrap();
    // The last segment lost its last byte: its first three chunks are found again.
    assert_eq!(found(whole.path()), [(0, 4), (4, 4), (8, 3)]);
    fs::remove_file(&hour).unwrap();
    assert_eq!(found(whole.path()), []);
}

#[test]
fn foreign_files_and_folders_change_nothing() {
    let whole = recorded();
    let day = whole.path().join(DAY);
    fs::write(day.join("notes.txt"), "hello").unwrap();
    fs::write(day.join("video-25x.mp4"), "hello").unwrap();
    fs::write(day.join("video-13.mp4"), "no boxes at all").unwrap();
    fs::create_dir(day.join("@eaDir")).unwrap();
    fs::create_dir_all(whole.path().join("cam/days/lost")).unwrap();
    assert_eq!(found(whole.path()), [(0, 4), (4, 4), (8, 4)]);
    assert_eq!(
        fs::read_to_string(day.join("video-13.mp4")).unwrap(),
        "no boxes at all"
    );
}

/// A bad disk, another user's copy. Nothing of the next day could be recorded, and no day was listed.
#[test]
fn regression_a_day_that_cannot_be_read_stopped_the_next() {
    let whole = recorded();
    let index = whole.path().join(DAY).join("video.m3u8");
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    let camera = open(whole.path(), Tz::UTC, "2026-11-23T12:00:00Z");
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    record(&mut recorder, media("2026-11-23T12:00:00Z"), 2);
    recorder.finish().unwrap();
    let listed = camera.archive.summaries().unwrap();
    let dates: Vec<_> = listed.iter().map(|day| day.day.to_string()).collect();
    assert_eq!(dates, ["2026-11-23"]);
}

#[test]
fn recording_goes_on_after_recovery() {
    let whole = recorded();
    let hour = whole.path().join(DAY).join("video-12.mp4");
    let mut bytes = fs::read(&hour).unwrap();
    bytes.extend_from_slice(b"\0\0\0\x20moof torn");
    fs::write(&hour, bytes).unwrap();
    {
        let camera = open(whole.path(), Tz::UTC, NOON);
        let mut recorder = camera.archive.recorder();
        recorder.append(Video, Piece::Init(init(40))).unwrap();
        record(&mut recorder, media(NOON) + 20 * CHUNK_90K, 1);
        recorder.finish().unwrap();
    }
    assert_eq!(found(whole.path()), [(0, 4), (4, 4), (8, 4), (20, 4)]);
    assert_eq!(fs::read_dir(whole.path().join(DAY)).unwrap().count(), 3);
}
