//! What players are told about a day, re-read by parsers that are not ours (`m3u8-rs`,
//! `dash-mpd-core`, `flate2`), for days that are written by hand and for days made at random.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../../tests/src/rules/dash/apply.rs"]
mod apply;
mod camera;
mod dash_reader;
mod golden;
mod gzip;
mod hls_reader;
mod low_latency;
mod patches;
mod random_days;
mod random_rules;
mod rules;
