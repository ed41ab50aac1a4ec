//! What the fuzzers found worth keeping, read again by every test run.

use std::{fs, path::Path};

use dayreel_archive::fuzzing;

use crate::common::{CHUNK_90K, bytes_of, chunk, init, media, open, record, sound_init};

fn read_all(target: &str, read: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| read(&fs::read(file.unwrap().path()).unwrap()))
        .count()
}

#[test]
fn every_index_of_the_corpus_is_read() {
    assert!(read_all("index", fuzzing::index) >= 10);
}

#[test]
fn every_hour_file_of_the_corpus_is_read() {
    assert!(read_all("boxes", fuzzing::boxes) >= 10);
}

/// One byte changed anywhere, and each length: what a fuzzer would try first.
#[test]
fn an_hour_file_and_its_index_may_be_damaged_anywhere() {
    let root = tempfile::tempdir().unwrap();
    let noon = "2026-11-22T12:00:00Z";
    let camera = open(root.path(), chrono_tz::Tz::UTC, noon);
    let mut recorder = camera.archive.recorder();
    let piece = dayreel_archive::Piece::Init(init(40));
    recorder
        .append(dayreel_core::TrackKind::Video, piece)
        .unwrap();
    record(&mut recorder, media(noon), 2);
    recorder.finish().unwrap();
    let day = root.path().join("cam/days/2026-11-22");
    let hour = fs::read(day.join("video-12.mp4")).unwrap();
    let index = fs::read(day.join("video.m3u8")).unwrap();
    for (bytes, read) in [
        (hour, fuzzing::boxes as fn(&[u8])),
        (index, fuzzing::index as fn(&[u8])),
        (sound_init().to_vec(), fuzzing::boxes as fn(&[u8])),
        (
            bytes_of(&chunk(CHUNK_90K, true)),
            fuzzing::boxes as fn(&[u8]),
        ),
    ] {
        for at in 0..bytes.len() {
            read(&bytes[..at]);
            for value in [0, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1)] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                read(&damaged);
            }
        }
    }
}
