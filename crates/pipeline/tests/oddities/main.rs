//! Cameras that lie: one test for each oddity. `../ODDITIES.md` lists them all.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod answers;
mod captures;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod datagrams;
mod media;
mod refusals;
mod sessions;
mod table;
mod times;
mod transports;
