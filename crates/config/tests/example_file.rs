//! `config/dayreel.toml` documents every key, and every default it names is the program's.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use std::{collections::BTreeSet, fs, path::Path};

use common::load_text;
use dayreel_config::{Loaded, Warning};

fn example() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/dayreel.toml");
    fs::read_to_string(file).unwrap()
}

/// The file with the marks taken off that its head explains.
fn everything_set() -> String {
    let set = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    };
    example().lines().map(|line| set(line) + "\n").collect()
}

fn load(text: &str) -> Loaded {
    load_text(text, &[("TZ", "Europe/Berlin")]).unwrap()
}

/// `[server]` keys, `[[camera]]` keys.
fn keys(text: &str) -> [BTreeSet<String>; 2] {
    let table: toml::Table = text.parse().unwrap();
    [&table["server"], &table["camera"][0]].map(|table| {
        let table = table.as_table().unwrap();
        table.keys().cloned().collect()
    })
}

#[test]
fn as_it_is_it_wants_a_camera_and_nothing_else() {
    let message = load_text(&example(), &[]).unwrap_err();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("no camera"), "{message}");
}

#[test]
fn every_default_it_names_is_the_default() {
    let mut all = load(&everything_set());
    assert_eq!(all.warnings, []);
    let least = "[[camera]]\nid = \"front-door\"\n\
                 rtsp = \"rtsp://user:password@192.168.0.186:554/stream1\"\n";
    let least = load(least);
    let listen = least.settings.server.listen;
    assert_eq!(least.warnings, [Warning::OpenToNetwork { listen }]);
    // Keys without a default: one says on purpose what is so without it, the others are limits.
    all.settings.server.auth = least.settings.server.auth;
    let camera = &mut all.settings.cameras[0];
    assert!(camera.max_bytes.take().is_some());
    assert!(camera.moments_days_to_keep.take().is_some());
    assert!(camera.timelapse_days_to_keep.take().is_some());
    assert_eq!(all.settings, least.settings);
}

#[test]
fn no_key_is_missing() {
    // What the program knows is what it says is allowed.
    let message = load_text("[server]\nx = 1\n[[camera]]\nx = 1\n", &[]).unwrap_err();
    let allowed: Vec<BTreeSet<String>> = message
        .lines()
        .filter_map(|line| line.split_once("allowed here: "))
        .map(|(_, names)| names.split(", ").map(str::to_owned).collect())
        .collect();
    assert_eq!(keys(&everything_set()).to_vec(), allowed);
}

#[test]
fn variables_and_aliases_mean_the_same_as_keys() {
    let text = "[[camera]]\ncameraID = \"a\"\nrtsp = \"rtsp://h/s\"\ndaysToKeep = 2\n";
    let loaded = load_text(
        text,
        &[
            ("DAYREEL_LISTEN", "127.0.0.1:0"),
            ("DAYREEL_DATA_DIR", "/data"),
            ("DAYREEL_TIMEZONE", "America/New_York"),
            ("DAYREEL_AUTH", ""),
        ],
    )
    .unwrap();
    assert_eq!(loaded.warnings, []);
    let same = "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"/data\"\n\
                timezone = \"America/New_York\"\n\
                [[camera]]\nid = \"a\"\nrtsp = \"rtsp://h/s\"\ndays_to_keep = 2\n";
    assert_eq!(loaded.settings, load(same).settings);
    assert_eq!(
        loaded.settings.cameras[0].timezone.name(),
        "America/New_York"
    );
}

#[test]
fn a_variable_overrides_the_file() {
    let text = "[server]\nlisten = \"0.0.0.0:1\"\n[[camera]]\nid = \"a\"\nrtsp = \"rtsp://h/s\"\n";
    let loaded = load_text(text, &[("DAYREEL_LISTEN", "[::1]:2")]).unwrap();
    assert_eq!(loaded.settings.server.listen.to_string(), "[::1]:2");
    assert_eq!(loaded.warnings, []);
}
