//! Holds the table of oddities to the tests.

use std::collections::BTreeSet;

/// Names in the last column of the table.
fn listed() -> BTreeSet<String> {
    let rows = include_str!("../ODDITIES.md").lines();
    let rows = rows.filter(|line| line.starts_with('|'));
    let names = rows.skip(2).map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        cells[3].trim_matches('`').to_owned()
    });
    let all: Vec<_> = names.collect();
    let names: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(names.len(), all.len(), "a test is listed twice");
    names
}

/// Tests in the files of this folder, by module and name.
fn written() -> BTreeSet<String> {
    let modules = [
        ("answers", include_str!("answers.rs")),
        ("captures", include_str!("captures.rs")),
        ("datagrams", include_str!("datagrams.rs")),
        ("media", include_str!("media.rs")),
        ("refusals", include_str!("refusals.rs")),
        ("sessions", include_str!("sessions.rs")),
        ("times", include_str!("times.rs")),
        ("transports", include_str!("transports.rs")),
        ("relay", include_str!("../../../../tests/relay.rs")),
        ("vlc", include_str!("../../../../tests/vlc.rs")),
    ];
    let of_module = |(module, text): (&'static str, &'static str)| {
        let tests = text.split("#[test]\nfn ").skip(1);
        tests.map(move |test| format!("{module}::{}", test.split('(').next().unwrap_or_default()))
    };
    modules.into_iter().flat_map(of_module).collect()
}

#[test]
fn every_row_names_a_test_and_every_test_has_a_row() {
    let (listed, written) = (listed(), written());
    let missing: Vec<_> = written.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&written).collect();
    assert!(missing.is_empty(), "not listed: {missing:#?}");
    assert!(gone.is_empty(), "no such test: {gone:#?}");
    assert!(written.len() > 50);
}
