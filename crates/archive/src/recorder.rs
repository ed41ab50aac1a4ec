//! The one writer of a camera's recordings.

use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc};

use bytes::Bytes;
use dayreel_core::{Day, MediaTime, TrackKind};
use dayreel_manifest::{GAP_90K, InitHash};

use crate::{
    CameraArchive, ChunkInfo, Error, Piece, Result,
    cmaf::read_chunk,
    error::IoContext as _,
    init::{read_init, without_times},
    track_writer::{TrackInit, TrackWriter},
};

/// Appends what a camera's muxers make. One at a time for each camera; used by one thread.
pub struct Recorder {
    archive: Arc<CameraArchive>,
    tracks: [Track; 2],
}

#[derive(Default)]
struct Track {
    init: Option<TrackInit>,
    writer: Option<TrackWriter>,
    /// Whether chunks are appended to a segment; otherwise they wait for the next to begin.
    in_segment: bool,
}

impl Recorder {
    pub(crate) fn new(archive: Arc<CameraArchive>) -> Self {
        Self {
            archive,
            tracks: Default::default(),
        }
    }

    /// Appends one piece of the track `kind`.
    ///
    /// A chunk is in its hour file when this returns; a segment is listed when the next one of its
    /// track begins, or at [`Recorder::finish`].
    ///
    /// # Errors
    /// After an error the rest of the segment is refused with [`Error::Orphan`]; the next segment
    /// is tried again. What was appended before stays.
    pub fn append(&mut self, kind: TrackKind, piece: Piece) -> Result<()> {
        match piece {
            Piece::Init(bytes) => {
                let format = read_init(kind, &bytes)?;
                let bytes = without_times(&bytes);
                let hash = InitHash::of(&bytes);
                self.tracks[kind as usize].init = Some(TrackInit {
                    hash,
                    bytes,
                    format,
                });
                Ok(())
            }
            Piece::Chunk {
                begins_segment,
                parts,
            } => {
                let appended = self.append_chunk(kind, begins_segment, &parts);
                if appended.is_err() {
                    self.tracks[kind as usize].in_segment = false;
                }
                appended
            }
        }
    }

    /// Ends a session: completes the open segments and forces all to the disk. The recorder can go
    /// on with a new session.
    ///
    /// # Errors
    /// The first error; both tracks are tried.
    pub fn finish(&mut self) -> Result<()> {
        let mut result = Ok(());
        for track in &mut self.tracks {
            track.in_segment = false;
            if let Some(writer) = &mut track.writer {
                result = result.and(writer.finish_segment()).and(writer.sync());
            }
        }
        result
    }

    fn append_chunk(&mut self, kind: TrackKind, begins: bool, parts: &[Bytes]) -> Result<()> {
        let head = parts.first().map_or(&[][..], |head| head);
        let info = read_chunk(kind, head)?;
        if begins {
            self.begin_segment(kind, &info)?;
        }
        let track = &mut self.tracks[kind as usize];
        match track.writer.as_mut().filter(|_| track.in_segment) {
            Some(writer) => writer.append_chunk(parts, &info),
            None => Err(Error::Orphan(kind)),
        }
    }

    fn begin_segment(&mut self, kind: TrackKind, info: &ChunkInfo) -> Result<()> {
        let track = &mut self.tracks[kind as usize];
        track.in_segment = false;
        if let Some(writer) = &mut track.writer {
            writer.finish_segment()?;
        }
        let init = track.init.clone().ok_or(Error::Orphan(kind))?;
        let writer = self.writer_for(kind, info.start)?;
        let end = writer
            .folder()
            .timeline()
            .track(kind)
            .end()
            .unwrap_or_default();
        let overlap_90k = end.saturating_since(info.start);
        if overlap_90k > 0 {
            return Err(Error::Overlap {
                track: kind,
                overlap_90k,
            });
        }
        writer.begin_segment(&init, info)?;
        self.tracks[kind as usize].in_segment = true;
        Ok(())
    }

    /// The writer for a segment that starts at `start`: another one when the day is over. The day
    /// never goes back: if the wall clock does, the current day goes on.
    fn writer_for(&mut self, kind: TrackKind, start: MediaTime) -> Result<&mut TrackWriter> {
        let wall = start.media_to_wall();
        let track = &mut self.tracks[kind as usize];
        let over = |writer: &TrackWriter| wall >= writer.folder().day().end();
        if track.writer.as_ref().is_none_or(over) {
            let day = Day::containing(wall, self.archive.zone());
            let mut next = TrackWriter::new(kind, self.archive.folder_to_write(day)?);
            if let Some(done) = &mut track.writer {
                done.close_day()?;
            }
            continue_numbering(&self.archive, &mut next, kind, start)?;
            track.writer = Some(next);
        }
        track.writer.as_mut().ok_or(Error::Orphan(kind))
    }
}

/// Numbers the first segment of a day after the last of the day before; a segment that runs over
/// midnight is in both.
fn continue_numbering(
    archive: &CameraArchive,
    next: &mut TrackWriter,
    kind: TrackKind,
    start: MediaTime,
) -> Result<()> {
    let folder = Arc::clone(next.folder());
    if !folder.timeline().track(kind).segments().is_empty() {
        return Ok(());
    }
    let Some(before) = archive.day_before(folder.day())? else {
        return Ok(());
    };
    let Some((mut first, last, init)) = before.end_of(kind) else {
        return Ok(());
    };
    let runs_over = last.end().media_to_wall() > folder.day().start();
    if runs_over {
        first.media -= 1;
    } else if last.end().saturating_add(GAP_90K) < start {
        first.discontinuity += 1;
    }
    folder.change(|state| state.timeline.number_from(kind, first));
    if runs_over {
        let media = before.media(kind, &last.bytes);
        let mut bytes = vec![0; usize::try_from(media.len_bytes).unwrap_or(0)];
        let file = File::open(&media.path).context("open", &media.path)?;
        file.read_exact_at(&mut bytes, media.offset)
            .context("read", &media.path)?;
        next.adopt(&init, &last, bytes.into())?;
    }
    Ok(())
}
