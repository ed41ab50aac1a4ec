//! The archive on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clocks;
mod common;
mod corpus;
mod days;
mod exports;
mod gaps;
mod hands;
mod missing;
mod moments;
mod recorder;
mod recovery;
mod retention;
mod verify;
