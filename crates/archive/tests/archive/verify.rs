//! Every damage is found, named and mended, and no media is lost by it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::common::{CHUNK_90K, chunk, init, media, open, record};
use chrono_tz::Tz;
use dayreel_archive::{Damage, Error, Piece, verify};
use dayreel_core::TrackKind::Video;

const DAY: &str = "cam/days/2026-11-22";

/// Two hours with two segments each, of four chunks.
fn recorded() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-22T12:59:50Z");
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    record(&mut recorder, media("2026-11-22T12:59:52Z"), 4);
    recorder.finish().unwrap();
    root
}

fn day(root: &tempfile::TempDir) -> PathBuf {
    root.path().join(DAY)
}

fn index(root: &tempfile::TempDir) -> String {
    fs::read_to_string(day(root).join("video.m3u8")).unwrap()
}

/// What is wrong, by file name, after the question whether it was mended.
fn problems(root: &Path, repair: bool) -> Vec<(bool, String, Damage)> {
    let verified = verify(root, repair).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let problems = verified.problems.into_iter();
    problems
        .map(|problem| (problem.is_mended, name(&problem.path), problem.damage))
        .collect()
}

/// It is found without being touched, mended, and then sound; and the day has so many segments.
fn found_and_mended(root: &tempfile::TempDir, expected: &[(&str, Damage)], segments: u64) {
    let named = |is_mended: bool| -> Vec<(bool, String, Damage)> {
        let problem =
            |(name, damage): &(&str, Damage)| (is_mended, (*name).to_owned(), damage.clone());
        expected.iter().map(problem).collect()
    };
    let before = everything_below(root.path());
    assert_eq!(problems(root.path(), false), named(false));
    assert_eq!(
        everything_below(root.path()),
        before,
        "looking changes nothing"
    );
    assert_eq!(problems(root.path(), true), named(true));
    assert_eq!(problems(root.path(), false), []);
    assert_eq!(verify(root.path(), false).unwrap().segments, segments);
    // No byte of media is lost: what is not in the day is in lost+found.
    let bytes = |files: &[(PathBuf, Vec<u8>)]| -> usize {
        let media = files
            .iter()
            .filter(|(path, _)| path.to_string_lossy().contains(".mp4"));
        media.map(|(_, bytes)| bytes.len()).sum()
    };
    assert_eq!(bytes(&everything_below(root.path())), bytes(&before));
}

fn everything_below(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => all.append(&mut everything_below(&entry.path())),
            false => all.push((entry.path(), fs::read(entry.path()).unwrap())),
        }
    }
    all.sort();
    all
}

#[test]
fn sound_recordings_are_sound() {
    let root = recorded();
    let verified = verify(root.path(), false).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    assert_eq!(
        (verified.cameras, verified.days, verified.segments),
        (1, 1, 4)
    );
    assert!(!verified.is_live);
    let before = everything_below(root.path());
    assert!(verify(root.path(), true).unwrap().problems.is_empty());
    assert_eq!(everything_below(root.path()), before);
}

#[test]
fn a_torn_index_line() {
    let root = recorded();
    let whole = index(&root);
    fs::write(day(&root).join("video.m3u8"), &whole[..whole.len() - 5]).unwrap();
    let expected = [
        ("video.m3u8", Damage::TornIndex),
        ("video-13.mp4", Damage::Unlisted(1)),
    ];
    found_and_mended(&root, &expected, 4);
    assert_eq!(index(&root), whole);
}

#[test]
fn an_index_that_points_past_its_file() {
    let root = recorded();
    let hour = day(&root).join("video-13.mp4");
    let bytes = fs::read(&hour).unwrap();
    // The last segment loses its last chunk and a half.
    let chunk_bytes = (bytes.len() - init(40).len()) / 8;
    fs::write(&hour, &bytes[..bytes.len() - chunk_bytes * 3 / 2]).unwrap();
    let damage = verify(root.path(), false).unwrap().problems;
    assert_eq!(damage[0].damage, Damage::Missing(1));
    assert!(
        matches!(damage[1].damage, Damage::TornChunk(_)),
        "{damage:?}"
    );
    assert_eq!(damage[2].damage, Damage::Unlisted(1));
    verify(root.path(), true).unwrap();
    assert!(verify(root.path(), false).unwrap().problems.is_empty());
    assert_eq!(index(&root).matches("#EXTINF").count(), 4);
}

#[test]
fn an_hour_file_that_no_index_names() {
    let root = recorded();
    let whole = index(&root);
    fs::remove_file(day(&root).join("video.m3u8")).unwrap();
    let expected = [
        ("video-12.mp4", Damage::Unlisted(2)),
        ("video-13.mp4", Damage::Unlisted(2)),
    ];
    found_and_mended(&root, &expected, 4);
    assert_eq!(index(&root), whole);
}

#[test]
fn an_index_of_which_a_file_or_all_are_gone() {
    let root = recorded();
    fs::remove_file(day(&root).join("video-12.mp4")).unwrap();
    found_and_mended(&root, &[("video.m3u8", Damage::Missing(2))], 2);
    let left = index(&root);
    assert!(left.contains("#EXT-X-MEDIA-SEQUENCE:2\n"), "{left}");
    assert!(left.contains("#EXT-X-MAP:URI=\"video-13.mp4\""), "{left}");
    fs::remove_file(day(&root).join("video-13.mp4")).unwrap();
    let verified = verify(root.path(), true).unwrap();
    assert_eq!(verified.problems[0].damage, Damage::NothingLeft);
    // What is left is an empty folder.
    assert_eq!(
        problems(root.path(), true),
        [(true, "2026-11-22".to_owned(), Damage::EmptyFolder)]
    );
    assert!(!day(&root).exists());
    let lost = root.path().join("cam/lost+found/2026-11-22/video.m3u8");
    assert!(fs::read_to_string(lost).unwrap().contains("#EXTINF"));
}

#[test]
fn a_torn_last_chunk() {
    let root = recorded();
    let hour = day(&root).join("video-13.mp4");
    let whole = fs::read(&hour).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(b"\0\0\0\x20moof torn");
    fs::write(&hour, torn).unwrap();
    found_and_mended(&root, &[("video-13.mp4", Damage::TornChunk(13))], 4);
    assert_eq!(fs::read(&hour).unwrap(), whole);
}

#[test]
fn entries_that_are_out_of_order_or_there_twice() {
    let root = recorded();
    let whole = index(&root);
    let groups: Vec<_> = whole
        .match_indices("#EXT-X-PROGRAM")
        .map(|(at, _)| at)
        .collect();
    let (first, second, third) = (
        &whole[groups[1]..groups[2]],
        &whole[groups[2]..groups[3]],
        &whole[groups[3]..],
    );
    let (head, path) = (&whole[..groups[1]], day(&root).join("video.m3u8"));
    fs::write(&path, format!("{head}{second}{first}{third}")).unwrap();
    let expected = [
        ("video.m3u8", Damage::Overlap(1)),
        ("video-12.mp4", Damage::Unlisted(1)),
    ];
    found_and_mended(&root, &expected, 4);
    assert_eq!(index(&root), whole);
    fs::write(&path, format!("{head}{first}{first}{second}{third}")).unwrap();
    found_and_mended(&root, &[("video.m3u8", Damage::Overlap(1))], 4);
}

#[test]
fn entries_that_are_not_what_the_file_has() {
    let root = recorded();
    let whole = index(&root);
    let wrong = whole.replacen("duration=360000", "duration=360001", 1);
    fs::write(day(&root).join("video.m3u8"), wrong).unwrap();
    let expected = [
        ("video.m3u8", Damage::NotAsListed(1)),
        ("video-12.mp4", Damage::Unlisted(1)),
    ];
    found_and_mended(&root, &expected, 4);
    assert_eq!(index(&root), whole);
}

#[test]
fn foreign_and_unreadable_files() {
    let root = recorded();
    let day = day(&root);
    fs::write(day.join("holiday.mp4"), "not ours").unwrap();
    fs::write(day.join("video-14.mp4"), "no boxes at all").unwrap();
    fs::create_dir(day.join("video-15.mp4")).unwrap();
    fs::create_dir(day.join("@eaDir")).unwrap();
    fs::write(day.join(".DS_Store"), "theirs").unwrap();
    let expected = [
        ("holiday.mp4", Damage::Foreign),
        ("video-14.mp4", Damage::NoMedia),
        (
            "video-15.mp4",
            Damage::Unreadable(std::io::ErrorKind::IsADirectory),
        ),
    ];
    found_and_mended(&root, &expected, 4);
    let lost = root.path().join("cam/lost+found/2026-11-22");
    assert_eq!(
        fs::read_to_string(lost.join("holiday.mp4")).unwrap(),
        "not ours"
    );
    assert!(lost.join("video-14.mp4").exists() && lost.join("video-15.mp4").exists());
    assert!(day.join("@eaDir").exists() && day.join(".DS_Store").exists());
    // What is there already is not overwritten.
    fs::write(day.join("holiday.mp4"), "another").unwrap();
    verify(root.path(), true).unwrap();
    assert_eq!(
        fs::read_to_string(lost.join("holiday.mp4")).unwrap(),
        "not ours"
    );
    assert_eq!(
        fs::read_to_string(lost.join("holiday.mp4.2")).unwrap(),
        "another"
    );
}

#[test]
fn an_index_that_does_not_open() {
    let root = recorded();
    let path = day(&root).join("video.m3u8");
    let whole = index(&root);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let found = problems(root.path(), false);
    assert!(matches!(found[0].2, Damage::Unreadable(_)), "{found:?}");
    assert!(
        problems(root.path(), true)
            .iter()
            .all(|(is_mended, ..)| *is_mended)
    );
    assert_eq!(index(&root), whole);
}

#[test]
fn while_a_server_records_it_only_looks_and_does_not_judge_what_is_being_written() {
    let root = tempfile::tempdir().unwrap();
    let camera = open(root.path(), Tz::UTC, "2026-11-22T12:59:50Z");
    let mut recorder = camera.archive.recorder();
    recorder.append(Video, Piece::Init(init(40))).unwrap();
    let next = record(&mut recorder, media("2026-11-22T12:00:00Z"), 3);
    recorder.append(Video, chunk(next, true)).unwrap();
    recorder
        .append(Video, chunk(next + CHUNK_90K, false))
        .unwrap();
    let verified = verify(root.path(), false).unwrap();
    assert!(verified.is_live);
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    let refused = verify(root.path(), true);
    assert!(matches!(refused, Err(Error::InUse(_))), "{refused:?}");
    let missing = verify(&root.path().join("nowhere"), true);
    assert!(matches!(missing, Err(Error::Io { .. })), "{missing:?}");
    assert!(!root.path().join("nowhere").exists());
}
