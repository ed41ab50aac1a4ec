//! The words every other crate uses: camera ids, local days, media time, the clock seam, track
//! formats, causes of gaps and error kinds. No I/O.

mod camera_id;
mod clock;
mod day;
mod error;
mod gap;
mod time;
mod track;

pub use camera_id::{CameraId, InvalidCameraId, RESERVED_IDS};
pub use clock::{Clock, ManualClock, SystemClock};
pub use day::Day;
pub use error::Kind;
pub use gap::{GapCause, UnknownCause};
pub use time::{MediaTime, TICKS_PER_SECOND, WallTime};
pub use track::{AudioFormat, Rational, TrackFormat, TrackKind, VideoFormat};
