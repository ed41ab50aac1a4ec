//! What the fuzzers found worth keeping, read again by every test run.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use dayreel_pipeline::fuzzing;

fn read_all(target: &str, read: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = fs::read_dir(folder).unwrap();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    let fails = |file: &&PathBuf| {
        let bytes = fs::read(file).unwrap();
        catch_unwind(|| read(&bytes)).is_err()
    };
    let failed: Vec<_> = files.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{failed:?}");
    files.len()
}

#[test]
fn cameras_are_recorded_after_any_description_of_the_corpus() {
    assert!(read_all("description", fuzzing::description) >= 10);
}

#[test]
fn cameras_are_recorded_after_any_packets_of_the_corpus() {
    assert!(read_all("rtp", fuzzing::rtp) >= 10);
}
