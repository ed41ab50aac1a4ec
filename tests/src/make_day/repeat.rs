//! A loop laid out over days: segment after segment, each at its own time.

use anyhow::Result;
use dayreel_archive::Piece;
use dayreel_core::{MediaTime, TrackKind, WallTime};

use super::encode::Loop;

/// Hands out the segments of a loop that lies on the grid of media time.
pub(super) struct Repeat<'a> {
    of: &'a Loop,
    /// Where the loop began that is being handed out.
    begin: MediaTime,
    /// Number of the next segment in it.
    next: usize,
    /// Of the last chunk, ISO/IEC 14496-12 §8.8.5.
    sequence_number: u32,
}

impl<'a> Repeat<'a> {
    /// From the first segment on that begins at `from` or after it.
    pub(super) fn from(of: &'a Loop, from: WallTime) -> Self {
        let from = MediaTime::wall_to_media(from);
        let begin = MediaTime::from_ticks(from.ticks() / of.duration_90k * of.duration_90k);
        let mut repeat = Self {
            of,
            begin,
            next: 0,
            sequence_number: 0,
        };
        while repeat.next_start() < from {
            repeat.advance();
        }
        repeat
    }

    /// From its beginning, at `start`, wherever that lies on the grid.
    pub(super) fn at(of: &'a Loop, start: WallTime) -> Self {
        Self {
            of,
            begin: MediaTime::wall_to_media(start),
            next: 0,
            sequence_number: 0,
        }
    }

    pub(super) fn kind(&self) -> TrackKind {
        self.of.kind
    }

    pub(super) fn init(&self) -> Piece {
        Piece::Init(self.of.init.clone())
    }

    /// Where the next segment begins.
    pub(super) fn next_start(&self) -> MediaTime {
        self.begin
            .saturating_add(self.of.segments[self.next].start_90k)
    }

    /// The chunks of the next segment.
    ///
    /// # Errors
    /// There have been more than 2³² chunks.
    pub(super) fn next_segment(&mut self) -> Result<Vec<Piece>> {
        let segment = &self.of.segments[self.next];
        let mut pieces = Vec::with_capacity(segment.chunks.len());
        for (nth, chunk) in segment.chunks.iter().enumerate() {
            self.sequence_number = u32::try_from(u64::from(self.sequence_number) + 1)?;
            let start = self.begin.saturating_add(chunk.start_90k);
            let mut parts = Vec::with_capacity(1 + chunk.rest.len());
            parts.push(chunk.head.at(start.ticks(), self.sequence_number));
            parts.extend(chunk.rest.iter().cloned());
            pieces.push(Piece::Chunk {
                begins_segment: nth == 0,
                parts,
            });
        }
        self.advance();
        Ok(pieces)
    }

    fn advance(&mut self) {
        self.next += 1;
        if self.next == self.of.segments.len() {
            self.next = 0;
            self.begin = self.begin.saturating_add(self.of.duration_90k);
        }
    }
}
