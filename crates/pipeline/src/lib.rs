//! One camera: its GStreamer pipeline, branches and states. No other crate knows GStreamer.
//!
//! ```text
//! source ─ depay ─ parse ─ stamp ─ timestamper ─ tee ┬ record   cmafmux ─ appsink ─▶ writer ─▶ archive
//!                                                     └ ring     appsink ─▶ the last seconds ─▶ frame, moment, live
//! ```
//!
//! - [`init`] once, then [`Camera::start`] for each camera; [`Camera::status`] asks it.
//! - A supervisor thread owns the camera's state and its sessions; a writer thread owns its
//!   recorder; streaming threads only pass on references.
//! - Media time is the [`MediaClock`]'s.

mod alignment;
mod branches;
mod camera;
mod counts;
mod elements;
mod error;
mod events;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod live;
mod log;
pub mod media_clock;
mod meter;
pub mod moment;
mod offer;
mod pace;
mod panics;
mod probe;
mod retry;
mod rtp_clock;
mod session;
mod settings;
mod shared;
mod source;
mod status;
mod supervisor;
pub mod timelapse;
mod track;
mod transcode;
mod writer;

pub use branches::ring::{Cut, Gop, Missing, Newest, Ring, RingSettings, RingStats, Seam, Window};
pub use camera::Camera;
pub use counts::{CameraCounts, DURATION_CLASSES_S, Durations};
pub use elements::{MissingElement, init, plugin_files};
pub use error::Error;
pub use events::{CameraEvent, EventKind};
pub use live::{LiveError, LiveView};
pub use log::log_to_tracing;
pub use media_clock::MediaClock;
pub use probe::{Probe, probe};
pub use settings::{CameraSettings, Timing};
pub use source::{RtpClockReport, SenderReports, TlsSettings};
pub use status::{
    AudioStatus, CameraState, CameraStatus, IgnoredReason, IgnoredTrack, RecordingError,
    VideoStatus,
};
pub use writer::PieceSink;
