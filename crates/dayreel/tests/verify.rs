//! `dayreel verify`: what it prints, and its exit codes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use dayreel_archive::Store;

fn verify(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dayreel"))
        .arg("verify")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn problems_are_printed_and_counted_until_they_are_mended() {
    let folder = tempfile::tempdir().unwrap();
    let day = folder.path().join("data/cam/days/2026-11-22");
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join("video-07.mp4"), "no media").unwrap();
    let found = verify(folder.path(), &[], &["--data", "data"]);
    assert_eq!(found.status.code(), Some(3), "{found:?}");
    assert_eq!(
        text(&found.stdout),
        "cam/days/2026-11-22/video-07.mp4: has no init segment at its beginning\n\
         cameras 1, days 1, sound segments 0, bytes 0; problems 1, mended 0\n"
    );
    // The default directory, and the variable.
    for (variables, arguments) in [
        (&[][..], &[][..]),
        (&[("DAYREEL_DATA_DIR", "./data")][..], &[][..]),
    ] {
        let same = verify(folder.path(), variables, arguments);
        assert_eq!(same.status.code(), Some(3), "{same:?}");
    }
    let mended = verify(folder.path(), &[], &["--data", "data", "--repair"]);
    assert_eq!(mended.status.code(), Some(0), "{mended:?}");
    assert!(text(&mended.stdout).contains("(mended)\n"), "{mended:?}");
    let lost = "data/cam/lost+found/2026-11-22/video-07.mp4";
    assert!(folder.path().join(lost).exists());
    // The folder is empty now.
    assert_eq!(verify(folder.path(), &[], &[]).status.code(), Some(3));
    verify(folder.path(), &[], &["--repair"]);
    let sound = verify(folder.path(), &[], &[]);
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
}

#[test]
fn what_is_recorded_into_is_not_repaired_and_what_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data")).unwrap();
    let refused = verify(folder.path(), &[], &["--repair"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains("in use"), "{refused:?}");
    let looked = verify(folder.path(), &[], &[]);
    assert_eq!(looked.status.code(), Some(0), "{looked:?}");
    assert!(text(&looked.stdout).contains("is recording"), "{looked:?}");
    drop(store);
    for arguments in [
        &["--data", "nowhere"][..],
        &["--data", "nowhere", "--repair"],
    ] {
        let missing = verify(folder.path(), &[], arguments);
        assert_eq!(missing.status.code(), Some(1), "{missing:?}");
        assert!(!folder.path().join("nowhere").exists());
    }
    fs::write(folder.path().join("bad.toml"), "[server]\nx = 1\n").unwrap();
    let bad = verify(folder.path(), &[], &["--config", "bad.toml"]);
    assert_eq!(bad.status.code(), Some(2), "{bad:?}");
}
