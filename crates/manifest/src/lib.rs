//! The timeline of a day and the documents that describe it to players: HLS (RFC 8216,
//! draft-pantos-hls-rfc8216bis) and MPEG-DASH (ISO/IEC 23009-1). Pure: no I/O, no clock.
//!
//! A [`DayTimeline`] is appended to, segment by segment. What it tells players is kept as text that
//! grows with it ([`GrowingText`]), so that a request costs the same at 0:01 and at 23:59.

mod ahead;
mod dash;
mod document;
mod edge;
mod growing;
mod hls;
mod holes;
mod keyframes;
mod live;
mod names;
mod number;
mod parts;
mod runs;
mod segment;
mod spans;
mod timeline;
mod track;

pub use ahead::{Expected, Prospect};
pub use dash::{Presentation, Version, manifest, patch};
pub use document::{Document, Encoding};
pub use edge::Edge;
pub use growing::GrowingText;
pub use hls::{Extent, folder_playlist, media_playlist, multivariant_playlist};
pub use keyframes::keyframe_playlist;
pub use live::{LiveSegment, live_playlist};
pub use names::{MediaName, init_name, keyframe_name, part_name, segment_name};
pub use number::rounded_seconds;
pub use parts::Part;
pub use segment::{Init, InitHash, Segment, Slice};
pub use timeline::{DayTimeline, GAP_90K, Recorded, Sequence};
pub use track::Track;
