//! What people do to day folders with their hands while the server runs.

use std::{fs, path::Path};

use chrono_tz::Tz;
use dayreel_archive::{Piece, Recorder};
use dayreel_core::{
    MediaTime,
    TrackKind::{Audio, Video},
};

use crate::common::{CHUNK_90K, Camera, chunk, init, media, open, record};

const NOON: &str = "2026-11-22T12:00:00Z";
const TODAY: &str = "cam/days/2026-11-22";

fn recording(root: &Path) -> (Camera, Recorder) {
    let camera = open(root, Tz::UTC, NOON);
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    (camera, recorder)
}

fn dates(camera: &Camera) -> Vec<String> {
    let summaries = camera.archive.summaries().unwrap();
    summaries.iter().map(|one| one.day.to_string()).collect()
}

fn segments(camera: &Camera, date: &str) -> Option<usize> {
    let folder = camera.archive.day(date.parse().unwrap()).unwrap()?;
    Some(folder.timeline().track(Video).segments().len())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn recording_goes_on_when_today_is_deleted() {
    let root = tempfile::tempdir().unwrap();
    let (camera, mut recorder) = recording(root.path());
    let next = record(&mut recorder, media(NOON), 5);
    let before = camera.archive.today().unwrap();
    let numbers = before.timeline().next_sequence(Video);
    fs::remove_dir_all(root.path().join(TODAY)).unwrap();
    assert_eq!(dates(&camera), [""; 0]);
    assert!(camera.archive.today().is_none(), "it is not there any more");

    let next = record(&mut recorder, next, 3);
    recorder.finish().unwrap();
    assert_eq!(segments(&camera, "2026-11-22"), Some(3));
    let today = camera.archive.today().unwrap();
    let first = today.timeline().track(Video).first();
    // One segment was open when the folder went; a player sees the others slide out.
    assert_eq!(first.media, numbers.media + 1);
    assert!(first.discontinuity > numbers.discontinuity);
    let last = MediaTime::from_ticks(next - 4 * CHUNK_90K);
    let slice = camera.archive.segment(Video, last).unwrap().unwrap();
    assert!(fs::metadata(slice.path).unwrap().len() >= slice.offset + slice.len_bytes);
    drop((recorder, camera, today, before));
    let (camera, _) = recording(root.path());
    assert_eq!(segments(&camera, "2026-11-22"), Some(3));
}

#[test]
fn a_segment_of_a_deleted_today_is_gone_at_once() {
    let root = tempfile::tempdir().unwrap();
    let (camera, mut recorder) = recording(root.path());
    record(&mut recorder, media(NOON), 2);
    let first = MediaTime::from_ticks(media(NOON));
    assert!(camera.archive.segment(Video, first).unwrap().is_some());
    fs::remove_dir_all(root.path().join(TODAY)).unwrap();
    assert_eq!(camera.archive.segment(Video, first).unwrap(), None);
    assert!(camera.archive.today().is_none());
}

#[test]
fn a_moved_folder_is_written_to_no_more() {
    let root = tempfile::tempdir().unwrap();
    let (_camera, mut recorder) = recording(root.path());
    let next = record(&mut recorder, media(NOON), 2);
    let moved = root.path().join("moved");
    fs::rename(root.path().join(TODAY), &moved).unwrap();
    let next = record(&mut recorder, next, 1);
    let bytes = || {
        let files = fs::read_dir(&moved).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    let before = bytes();
    record(&mut recorder, next, 4);
    assert_eq!(bytes(), before);
    assert!(root.path().join(TODAY).join("video.m3u8").exists());
}

#[test]
fn an_index_that_is_deleted_is_made_again_from_the_media() {
    let root = tempfile::tempdir().unwrap();
    let (camera, mut recorder) = recording(root.path());
    recorder.append(Audio, Piece::Init(init(40))).unwrap_err();
    let next = record(&mut recorder, media(NOON), 3);
    fs::remove_file(root.path().join(TODAY).join("video.m3u8")).unwrap();
    let next = record(&mut recorder, next, 3);
    recorder.finish().unwrap();
    assert_eq!(segments(&camera, "2026-11-22"), Some(6));
    let text = fs::read_to_string(root.path().join(TODAY).join("video.m3u8")).unwrap();
    assert_eq!(text.matches("#EXTINF").count(), 6, "{text}");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 0, "{text}");
    recorder.append(Video, chunk(next, true)).unwrap();
}

#[test]
fn a_day_that_is_copied_here_is_served_and_can_go_again() {
    let elsewhere = tempfile::tempdir().unwrap();
    {
        let (_camera, mut recorder) = recording(elsewhere.path());
        record(&mut recorder, media(NOON), 7);
        recorder.finish().unwrap();
    }
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-23T12:00:00Z");
    assert_eq!(dates(&camera), [""; 0]);
    let here = root.path().join(TODAY);
    copy(&elsewhere.path().join(TODAY), &here);
    assert_eq!(dates(&camera), ["2026-11-22"]);
    assert_eq!(segments(&camera, "2026-11-22"), Some(7));
    let sunday = camera.archive.weekday(6).unwrap().unwrap();
    assert!(camera.archive.is_finished(&sunday));
    let first = MediaTime::from_ticks(media(NOON));
    assert!(camera.archive.segment(Video, first).unwrap().is_some());
    fs::remove_dir_all(&here).unwrap();
    assert_eq!(dates(&camera), [""; 0]);
    assert!(camera.archive.weekday(6).unwrap().is_none());
    assert_eq!(camera.archive.segment(Video, first).unwrap(), None);
}

/// A reader that mended what is half copied would tear it: the copier writes where it stands.
#[test]
fn a_day_is_not_touched_while_it_is_copied() {
    let elsewhere = tempfile::tempdir().unwrap();
    {
        let (_camera, mut recorder) = recording(elsewhere.path());
        record(&mut recorder, media(NOON), 6);
        recorder.finish().unwrap();
    }
    let from = elsewhere.path().join(TODAY);
    let hour = fs::read(from.join("video-12.mp4")).unwrap();
    let index = fs::read(from.join("video.m3u8")).unwrap();
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-23T12:00:00Z");
    let here = root.path().join(TODAY);
    fs::create_dir_all(&here).unwrap();
    let mut seen = Vec::new();
    for part in (0..=8).map(|eighth| hour.len() * eighth / 8) {
        fs::write(here.join("video-12.mp4"), &hour[..part]).unwrap();
        seen.push(segments(&camera, "2026-11-22").unwrap());
        assert_eq!(dates(&camera).len(), usize::from(seen.last() > Some(&0)));
        assert_eq!(fs::read(here.join("video-12.mp4")).unwrap(), hour[..part]);
        assert_eq!(fs::read_dir(&here).unwrap().count(), 1);
    }
    for part in (0..=8).map(|eighth| index.len() * eighth / 8) {
        fs::write(here.join("video.m3u8"), &index[..part]).unwrap();
        assert_eq!(segments(&camera, "2026-11-22"), Some(6));
        assert_eq!(fs::read(here.join("video.m3u8")).unwrap(), index[..part]);
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!((seen[0], seen[8]), (0, 6));
}
