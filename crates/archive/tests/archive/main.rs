//! The archive on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clocks;
mod common;
mod gaps;
mod hands;
mod moments;
mod recorder;
mod recovery;
