//! Recordings on disk. A day of a camera is a folder that any player can open and that nothing else
//! refers to:
//!
//! ```text
//! data/front-door/days/2026-11-22/
//!   video.m3u8              the index: a static HLS playlist, append-only
//!   video-00.mp4 … -23.mp4  one fragmented MP4 an hour
//!   audio.m3u8, audio-00.mp4 …
//!   playlist.m3u8           both tracks, written when a session or the day ends
//!   video.aside-1.m3u8      what a clock recorded that was ahead, and was set back
//! data/front-door/moments/
//!   2026/11/22/17-03-05.mp4 progressive, and complete when it has its name
//! ```
//!
//! [`Recorder`] is the one writer of a camera; [`CameraArchive`] is what everybody else reads.

mod aside;
mod camera;
mod chunks;
mod clip;
mod cmaf;
mod data_dir;
mod dated;
mod day_folder;
mod day_state;
mod error;
mod expiry;
mod export;
mod forecast;
mod fragment;
mod front_to_back;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod index_file;
mod init;
mod keyframe;
mod limits;
mod moments;
mod picture;
mod piece;
mod recorder;
mod recovery;
mod retention;
mod space;
mod store;
mod timelapse;
mod track_writer;
mod verify;
mod walker;

pub use camera::{CameraArchive, DaySummary, MediaSlice};
pub use clip::{AudioClip, Clip, Colour, Sample, Tags, VideoClip, VideoCodec};
pub use cmaf::{ChunkInfo, read_chunk};
pub use data_dir::MARKER;
pub use day_folder::{DayFolder, Gap};
pub use error::{Error, Result};
pub use expiry::{RecordedHour, Recordings};
pub use export::{Export, ExportReader, ExportZip, Exported, Gaps};
pub use forecast::Forecast;
pub use init::{VideoConfig, read_init, video_config};
pub use keyframe::{Keyframe, KeyframeReader};
pub use limits::Limits;
pub use moments::{Claim, Moment, MomentFacts, MomentFile, MomentName, Moments, NoMomentName};
pub use picture::{AccessUnit, Found, Pick, RecordedPicture, picture_in};
pub use piece::Piece;
pub use recorder::{Recorder, SET_BACK_90K, StreamRecorder};
pub use retention::{Retention, Storage};
pub use space::{Disk, Space, SystemDisk};
pub use store::Store;
pub use timelapse::{FilmFormat, Group, Growing, Recipe, Timelapse, Timelapses};
pub use verify::{Damage, Problem, Verified, verify};
