//! Real cameras and real clients, in one process.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod client;
mod files;
mod lifecycle;
mod login;
mod pictures;
mod scripted;
mod streams;
