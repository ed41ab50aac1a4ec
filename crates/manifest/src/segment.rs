//! Segments and init segments, and where their bytes are.

use bytes::Bytes;
use dayreel_core::{MediaTime, TrackFormat};

/// Where bytes lie on disk: a file of the day folder, and a range in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Which file: an index into the day folder's list of files of this track.
    pub file: u16,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len_bytes: u32,
}

/// One recorded segment, as the day index lists it. Added only after its bytes are in the hour file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Decode time of the first access unit (`tfdt`), 1/90000 s since the Unix epoch.
    pub start: MediaTime,
    /// Sum of its access units' durations, 1/90000 s; from the next DTS, never from a frame rate.
    /// Always > 0.
    pub duration_90k: u32,
    /// How many access units it holds.
    pub access_units: u32,
    /// Which init segment it needs: an index into [`crate::Track::inits`].
    pub init: u16,
    /// Where the bytes are.
    pub bytes: Slice,
}

impl Segment {
    /// The instant after its last access unit.
    pub const fn end(&self) -> MediaTime {
        self.start.saturating_add(self.duration_90k as u64)
    }

    /// The instant half-way. What a segment of one track belongs to that begins within it in the
    /// other track (a span, a Period) is decided by where most of it is.
    pub(crate) const fn middle(&self) -> MediaTime {
        self.start.saturating_add(self.duration_90k as u64 / 2)
    }
}

/// Identifies an init segment by its bytes: FNV-1a, 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InitHash(pub u64);

impl InitHash {
    /// The hash of an init segment's bytes. Stable for ever: it is part of URLs that are cached.
    pub fn of(bytes: &[u8]) -> Self {
        let fnv_1a =
            |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv_1a))
    }
}

/// An init segment (`ftyp` + `moov`) and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Its identity.
    pub hash: InitHash,
    /// Its bytes; a few hundred.
    pub bytes: Bytes,
    /// How to play what needs it.
    pub format: TrackFormat,
}
