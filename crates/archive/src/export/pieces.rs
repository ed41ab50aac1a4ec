//! Which segments go into a file, cut to chunks at both ends, and when they are shown.

use std::{ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use dayreel_core::{Day, MediaTime, TrackKind};
use dayreel_manifest::{GAP_90K, InitHash};

use super::{Exported, Gaps};
use crate::{
    CameraArchive, DayFolder, MediaSlice, Result,
    chunks::{ChunkPlace, read_chunks},
};

/// A segment, or what is left of it.
#[derive(Clone, Debug)]
pub(super) struct SourcePiece {
    pub(super) track: TrackKind,
    /// Decode time of its first access unit.
    pub(super) start: MediaTime,
    /// The instant after its last.
    pub(super) end: MediaTime,
    /// Index into [`Stretch::paths`].
    pub(super) path: u16,
    /// First byte in the hour file.
    pub(super) offset: u64,
    pub(super) len_bytes: u64,
    init: InitHash,
}

/// The pieces of both tracks within an asked stretch.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    /// In the order of the file: by their starts.
    pub(super) pieces: Vec<SourcePiece>,
    pub(super) paths: Vec<PathBuf>,
    /// The init segments of the tracks.
    pub(super) inits: [Option<Bytes>; 2],
    /// The instants at which a track goes on with another init segment.
    changes: Vec<MediaTime>,
}

/// When the pieces are decoded in the file.
pub(super) struct Placed {
    /// Of each piece: what is taken off its decode times, 1/90000 s.
    pub(super) earlier_90k: Vec<u64>,
    /// What is shown, on the file's own timeline, 1/90000 s.
    pub(super) shown_90k: Range<u64>,
}

/// What is needed to see and hear `asked`, and what there is of it to be seen; or what is around it.
/// Reads the heads of the chunks of the outermost segments.
pub(super) fn collect(
    archive: &CameraArchive,
    asked: &Range<MediaTime>,
) -> Result<std::result::Result<(Stretch, Range<MediaTime>), Exported>> {
    let day = |at: MediaTime| Day::containing(at.media_to_wall(), archive.zone());
    // Until the first segment of a day is complete, the one that runs over midnight is listed in
    // the day before only.
    let (first, last) = (day(asked.start).before(1), day(asked.end));
    let dates = archive.dates()?.into_iter();
    let dates = dates.filter(|date| (first.date()..=last.date()).contains(date));
    let folders = dates.map(|date| archive.day(date));
    let folders: Vec<_> = folders
        .filter_map(Result::transpose)
        .collect::<Result<_>>()?;
    let mut stretch = Stretch::default();
    for folder in &folders {
        stretch.add(folder, TrackKind::Video, asked);
    }
    if stretch.pieces.is_empty() {
        return Ok(Err(around(&folders, asked)));
    }
    let shown = stretch.trim_video(asked)?;
    // Sound to all of the picture, also to what comes before the first that is asked for, and to nothing else.
    let first = stretch.pieces.first();
    let heard = first.map_or(asked.start, |first| first.start)..shown.end;
    for folder in &folders {
        stretch.add(folder, TrackKind::Audio, &heard);
    }
    stretch.trim_audio(&heard)?;
    stretch
        .pieces
        .sort_by_key(|piece| (piece.start, piece.track as usize));
    Ok(Ok((stretch, shown)))
}

/// What is recorded before and after `asked`, in which nothing is.
fn around(folders: &[Arc<DayFolder>], asked: &Range<MediaTime>) -> Exported {
    let stretches = folders
        .iter()
        .flat_map(|folder| folder.timeline().recorded().to_vec());
    let (mut before, mut after) = (None, None);
    for recorded in stretches {
        if recorded.end <= asked.start {
            before = before.max(Some(recorded.end));
        } else if recorded.start >= asked.end && after.is_none() {
            after = Some(recorded.start);
        }
    }
    Exported::Nothing { before, after }
}

impl Stretch {
    /// Adds what `folder` lists of the track `kind` within `asked`.
    fn add(&mut self, folder: &DayFolder, kind: TrackKind, asked: &Range<MediaTime>) {
        let last = self.pieces.iter().rfind(|piece| piece.track == kind);
        // One that runs over midnight is in both days.
        let from = last.map_or(asked.start, |last| last.end.max(asked.start));
        let (listed, inits) = {
            let timeline = folder.timeline();
            let track = timeline.track(kind);
            let segments = track.segments();
            let begin = segments.partition_point(|segment| segment.end() <= from);
            let end = segments.partition_point(|segment| segment.start < asked.end);
            let listed = segments.get(begin..end).unwrap_or_default().to_vec();
            (listed, track.inits().to_vec())
        };
        let mut init = last.map(|last| last.init);
        let mut file: Option<(u16, u16)> = None;
        for segment in listed {
            let Some(needed) = inits.get(usize::from(segment.init)) else {
                continue;
            };
            if init.is_some_and(|init| init != needed.hash) {
                self.changes.push(segment.start);
            }
            init = Some(needed.hash);
            self.inits[kind as usize].get_or_insert_with(|| needed.bytes.clone());
            let path = match file {
                Some((number, path)) if number == segment.bytes.file => path,
                _ => {
                    self.paths.push(folder.media(kind, &segment.bytes).path);
                    u16::try_from(self.paths.len() - 1).unwrap_or(u16::MAX)
                }
            };
            file = Some((segment.bytes.file, path));
            self.pieces.push(SourcePiece {
                track: kind,
                start: segment.start,
                end: segment.end(),
                path,
                offset: segment.bytes.offset,
                len_bytes: segment.bytes.len_bytes.into(),
                init: needed.hash,
            });
        }
    }

    /// The instants at which a track goes on with another codec configuration, ascending.
    pub(super) fn changes(&self) -> Vec<MediaTime> {
        let mut changes = self.changes.clone();
        changes.sort_unstable();
        changes.dedup();
        changes
    }

    /// Leaves out the chunks of video that are not needed to see `asked`; returns what there is of it
    /// to be seen, from the start of a picture on. Before there is sound.
    fn trim_video(&mut self, asked: &Range<MediaTime>) -> Result<Range<MediaTime>> {
        let chunks = self.trim_end(0, asked.end)?;
        let at = keyframe_by(&chunks, asked.start);
        let chunks = &chunks[at..];
        self.cut_before(0, chunks);
        let (begin, end) = (
            self.pieces[0].start,
            self.pieces.last().map(|last| last.end),
        );
        // As late as its first picture is shown after it is decoded, so is its last.
        let first = presentations(chunks).min().unwrap_or(begin);
        let late_90k = first.saturating_since(begin);
        let end = end.unwrap_or(begin).saturating_add(late_90k);
        Ok(shown_at(chunks, asked.start)..asked.end.min(end))
    }

    /// Leaves out the chunks of sound that are not within `wanted`. It is what was added last.
    fn trim_audio(&mut self, wanted: &Range<MediaTime>) -> Result<()> {
        let is_audio = |piece: &SourcePiece| piece.track == TrackKind::Audio;
        let Some(first) = self.pieces.iter().position(is_audio) else {
            return Ok(());
        };
        let chunks = self.trim_end(first, wanted.end)?;
        let begins_before = |chunk: &ChunkPlace| chunk.start() <= wanted.start;
        let at = chunks.partition_point(begins_before).saturating_sub(1);
        self.cut_before(first, &chunks[at..]);
        Ok(())
    }

    /// Leaves out the chunks of the last piece that begin at `end` or after. Returns those of the piece at `first`,
    /// which may be the same: they are read once.
    fn trim_end(&mut self, first: usize, end: MediaTime) -> Result<Vec<ChunkPlace>> {
        let last = self.pieces.len() - 1;
        let mut chunks = self.chunks(last)?;
        let needed = chunks.partition_point(|chunk| chunk.start() < end).max(1);
        self.cut_after(last, &chunks, needed);
        if last > first {
            return self.chunks(first);
        }
        chunks.truncate(needed);
        Ok(chunks)
    }

    /// When each piece is decoded in the file, which begins with the first of them.
    pub(super) fn place(&self, shown: &Range<MediaTime>, gaps: Gaps) -> Placed {
        let begin = self.pieces.first().map_or(shown.start, |first| first.start);
        let mut earlier_90k = begin.ticks();
        let mut end = begin;
        let mut of_pieces = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            // Only what is a gap in both tracks can be closed without losing sync.
            let gap_90k = piece.start.saturating_since(end);
            if gaps == Gaps::Close && gap_90k > GAP_90K {
                earlier_90k += gap_90k;
            }
            end = end.max(piece.end);
            of_pieces.push(earlier_90k);
        }
        let from = shown.start.saturating_since(begin);
        let to = shown.end.ticks().saturating_sub(earlier_90k);
        Placed {
            earlier_90k: of_pieces,
            shown_90k: from..to.max(from + 1),
        }
    }

    /// The chunks of the piece at `index`.
    fn chunks(&self, index: usize) -> Result<Vec<ChunkPlace>> {
        let piece = &self.pieces[index];
        let media = MediaSlice {
            path: self.paths[usize::from(piece.path)].clone(),
            offset: piece.offset,
            len_bytes: piece.len_bytes,
        };
        read_chunks(piece.track, &media, piece.end)
    }

    /// Makes the piece at `index`, which has `chunks`, end with the first `needed` of them.
    fn cut_after(&mut self, index: usize, chunks: &[ChunkPlace], needed: usize) {
        let piece = &mut self.pieces[index];
        if let Some(next) = chunks.get(needed) {
            piece.len_bytes = next.offset - piece.offset;
            piece.end = next.start();
        }
    }

    /// Makes the piece at `index` begin with `chunks`, which are its last.
    fn cut_before(&mut self, index: usize, chunks: &[ChunkPlace]) {
        let piece = &mut self.pieces[index];
        if let Some(first) = chunks.first() {
            piece.len_bytes -= first.offset - piece.offset;
            (piece.offset, piece.start) = (first.offset, first.start());
        }
    }
}

/// Index of the chunk with the last keyframe that is shown by `at`; of the first if all are later.
fn keyframe_by(chunks: &[ChunkPlace], at: MediaTime) -> usize {
    let begins = |chunk: &ChunkPlace| {
        let first = chunk.units.first();
        first.is_some_and(|unit| unit.is_keyframe && unit.presentation <= at)
    };
    chunks.iter().rposition(begins).unwrap_or(0)
}

/// When the picture that is shown at `at` begins; the keyframe that `chunks` begin with if that is shown later. What is
/// shown before it refers to the GOP before.
fn shown_at(chunks: &[ChunkPlace], at: MediaTime) -> MediaTime {
    let keyframe = presentations(chunks).next().unwrap_or(at);
    let by_then = presentations(chunks).filter(|time| *time <= at).max();
    by_then.unwrap_or(keyframe).max(keyframe)
}

/// When each picture is shown, in decode order.
fn presentations(chunks: &[ChunkPlace]) -> impl Iterator<Item = MediaTime> {
    let units = chunks.iter().flat_map(|chunk| &chunk.units);
    units.map(|unit| unit.presentation)
}
