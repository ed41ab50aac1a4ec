//! One camera: its GStreamer pipeline, branches and states. No other crate knows GStreamer.
//!
//! ```text
//! rtspsrc ─ depay ─ parse ─ stamp ─ timestamper ─ tee ┬ record   cmafmux ─ appsink ─▶ writer ─▶ archive
//!                                                     └ ring     appsink ─▶ the last seconds ─▶ frame, moment
//! ```
//!
//! - [`init`] once, then [`Camera::start`] for each camera; [`Camera::status`] asks it.
//! - A supervisor thread owns the camera's state and its sessions; a writer thread owns its
//!   recorder; streaming threads only pass on references.
//! - Media time is the [`MediaClock`]'s.

mod branches;
mod camera;
mod classify;
mod elements;
mod error;
pub mod frame;
mod large_reads;
pub mod media_clock;
mod meter;
pub mod moment;
mod offer;
mod retry;
mod rtp_clock;
mod session;
mod settings;
mod shared;
mod status;
mod straight;
mod supervisor;
pub mod timelapse;
mod track;
mod writer;

pub use branches::ring::{Cut, Gop, Missing, Newest, Ring, RingSettings, RingStats, Seam, Window};
pub use camera::Camera;
pub use elements::{MissingElement, init};
pub use error::Error;
pub use media_clock::MediaClock;
pub use settings::{CameraSettings, Timing};
pub use status::{
    AudioStatus, CameraState, CameraStatus, IgnoredReason, IgnoredTrack, RecordingError,
    VideoStatus,
};
pub use writer::PieceSink;
