//! What a muxer hands over.

use bytes::Bytes;

/// A piece of a CMAF track, as `cmafmux` makes it. Bytes are shared with the pipeline, not copied.
#[derive(Clone, Debug)]
pub enum Piece {
    /// An init segment: `ftyp` + `moov`. The chunks that follow need it.
    Init(Bytes),
    /// A chunk: `[styp] moof mdat`.
    Chunk {
        /// Whether a new segment begins with it: its first access unit is a keyframe.
        begins_segment: bool,
        /// Its bytes, in order; the first part holds all of `[styp] moof`.
        parts: Vec<Bytes>,
    },
}
