//! RTSP cameras for tests and the demo: on gst-rtsp-server, and [scripted] ones that do what no
//! server should.
//!
//! ```no_run
//! use std::time::Duration;
//! use dayreel_testcam::{Camera, Settings, Track};
//!
//! let mut camera = Camera::start(Settings::default())?;
//! println!("{}", camera.url());
//! // … let something connect, then ask what it was sent:
//! let record = camera.record().cloned().unwrap();
//! record.wait_until(Duration::from_secs(10), |units| units.len() >= 50);
//! for unit in camera.sent(Track::Video)? {
//!     println!("{} {} {}", unit.number, unit.rtp_timestamp, unit.sha256);
//! }
//! camera.stop()?; // the cable is pulled
//! camera.restart()?; // and plugged in again, same port
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! - A [`Camera`] shows a generated [picture](PictureSettings) or loops an MP4
//!   [file](Source::File); what it can be told is in [`Settings`].
//! - Generated pictures say in a machine-readable [`pattern`] which they are and when they were
//!   made. Their RTP timestamps advance by exactly the frame duration.
//! - The [`Record`] holds a [`Fingerprint`] of every access unit sent, in a normal form that
//!   [`normalise`] makes from what a foreign reader received.
//! - GStreamer from Debian 12 with the packages `gstreamer1.0-plugins-{base,good,bad,ugly}`.

mod camera;
mod demo;
mod feed;
mod font;
mod launch;
mod looping;
mod media_file;
mod normal_form;
mod parameter_sets;
pub mod pattern;
mod picture;
mod record;
mod run;
mod scenery;
pub mod scripted;
mod server;
mod settings;
mod sound;
mod tap;
mod timeline;

pub use camera::Camera;
pub use demo::{demo_cameras, demo_elements};
pub use normal_form::{Fingerprint, Format, fingerprint, normalise};
pub use pattern::PatternReading;
pub use picture::Look;
pub use record::{Record, SentUnit, Track};
pub use settings::{
    AudioCodec, Gop, Identity, Login, LoginMethod, ParameterSets, PictureSettings, Recording,
    Settings, Source, Transports, VideoCodec,
};
