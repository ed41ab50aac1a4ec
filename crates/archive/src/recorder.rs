//! The one writer of a camera's recordings.

mod stream;

use std::{fs::File, os::unix::fs::FileExt as _, sync::Arc};

use bytes::Bytes;
use dayreel_core::{Clock, Day, GapCause, MediaTime, TICKS_PER_SECOND, TrackKind};
use dayreel_manifest::{GAP_90K, InitHash, Segment};
use tracing::warn;

use crate::{
    CameraArchive, ChunkInfo, DayFolder, Error, Piece, Result,
    cmaf::read_chunk,
    error::IoContext as _,
    init::{read_init, without_times},
    track_writer::{TrackInit, TrackWriter},
};

pub use stream::StreamRecorder;

/// Media time goes back by more than this, or not at all: 10 s. Then the clock was set back.
pub const SET_BACK_90K: u64 = 10 * TICKS_PER_SECOND;

/// Appends what a camera's muxers make. One at a time for each camera; used by one thread, or by one
/// for each stream, in turn: see [`Recorder::split`].
pub struct Recorder {
    archive: Arc<CameraArchive>,
    tracks: [Track; TrackKind::COUNT],
    /// How often the data directory had come back when the files were opened.
    returns: u64,
}

#[derive(Default)]
struct Track {
    init: Option<TrackInit>,
    writer: Option<TrackWriter>,
    /// Whether chunks are appended to a segment; otherwise they wait for the next to begin.
    in_segment: bool,
    /// Whether this recorder has begun a segment: before, what is missing is for a restart.
    has_begun: bool,
    /// Why nothing comes, in case a gap becomes of it.
    interruption: Option<GapCause>,
    /// Whether the next segment is the first of a session. What is still written of the last one
    /// does not end an interruption.
    is_new_session: bool,
    /// The day that was being written until somebody deleted it; its numbers go on.
    gone: Option<Arc<DayFolder>>,
}

impl Recorder {
    pub(crate) fn new(archive: Arc<CameraArchive>) -> Self {
        Self {
            returns: archive.returns(),
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
                if let Err(error) = &appended {
                    let track = &mut self.tracks[kind as usize];
                    track.in_segment = false;
                    if matches!(error, Error::Io { .. } | Error::Missing(_)) {
                        track.interruption.get_or_insert(GapCause::Disk);
                    }
                }
                appended
            }
        }
    }

    /// Says why nothing comes. If a gap becomes of it, it is listed with this cause, unless the disk
    /// was the reason before. The last one that is said counts.
    pub fn interrupted(&mut self, cause: GapCause) {
        self.interrupted_of(&TrackKind::ALL, cause);
    }

    /// The same of some tracks.
    pub(crate) fn interrupted_of(&mut self, kinds: &[TrackKind], cause: GapCause) {
        for kind in kinds {
            let track = &mut self.tracks[*kind as usize];
            if track.interruption != Some(GapCause::Disk) {
                track.interruption = Some(cause);
            }
        }
    }

    /// The end of what is recorded, for the clock of a camera to go on from. If it is ahead of the
    /// wall clock, either was wrong once.
    ///
    /// # Errors
    /// [`Error::Io`] if the days cannot be read.
    pub fn recorded_until(&self) -> Result<MediaTime> {
        self.archive.recorded_until()
    }

    /// Ends a session: completes the open segments and forces all to the disk. The recorder can go
    /// on with a new session.
    ///
    /// # Errors
    /// The first error; all tracks are tried.
    pub fn finish(&mut self) -> Result<()> {
        self.finish_of(&TrackKind::ALL)
    }

    /// The same of some tracks: those of one session.
    pub(crate) fn finish_of(&mut self, kinds: &[TrackKind]) -> Result<()> {
        // Where the disk is away, what was open has been let go of: it is not complete.
        let mut result = self.archive.ensure_there();
        for kind in kinds {
            let track = &mut self.tracks[*kind as usize];
            track.in_segment = false;
            track.is_new_session = true;
            if let Some(writer) = &mut track.writer {
                result = result.and(writer.finish_segment()).and(writer.sync());
                if *kind != TrackKind::Preview {
                    writer.folder().change(|state| state.timeline.interrupt());
                }
            }
        }
        if let Some(video) = &self.tracks[TrackKind::Video as usize].writer {
            self.write_multivariant(video.folder());
        }
        self.archive.has_grown();
        result
    }

    /// Nothing of ours needs that playlist: without it the recording goes on.
    fn write_multivariant(&self, folder: &DayFolder) {
        if let Err(error) = folder.write_multivariant() {
            warn!(camera = %self.archive.id(), error = &error as &dyn std::error::Error,
                "the playlist for other servers is not written");
        }
    }

    fn append_chunk(&mut self, kind: TrackKind, begins: bool, parts: &[Bytes]) -> Result<()> {
        let head = parts.first().map_or(&[][..], |head| head);
        let info = read_chunk(kind, head)?;
        if begins {
            self.begin_segment(kind, &info)?;
        }
        let track = &mut self.tracks[kind as usize];
        match track.writer.as_mut().filter(|_| track.in_segment) {
            Some(writer) => writer.append_chunk(parts, &info)?,
            None => return Err(Error::Orphan(kind)),
        }
        self.archive.has_grown();
        Ok(())
    }

    fn begin_segment(&mut self, kind: TrackKind, info: &ChunkInfo) -> Result<()> {
        if let Err(error) = self.archive.ensure_there() {
            if matches!(error, Error::Missing(_)) {
                self.archive.let_go();
                self.tracks.iter_mut().for_each(|track| track.writer = None);
            }
            return Err(error);
        }
        if self.returns != self.archive.returns() {
            // What is open lies on a mount that is gone; the days are what is found on the new one.
            for track in &mut self.tracks {
                (track.writer, track.in_segment) = (None, false);
                track.interruption = Some(GapCause::Disk);
            }
            self.archive.reload()?;
            self.returns = self.archive.returns();
        }
        self.let_go_of_gone(kind);
        let track = &mut self.tracks[kind as usize];
        track.in_segment = false;
        if let Some(writer) = &mut track.writer {
            writer.finish_segment()?;
        }
        let init = track.init.clone().ok_or(Error::Orphan(kind))?;
        let here = track.writer.as_ref().map(TrackWriter::folder);
        if here.is_some_and(|here| overlap_90k(here, kind, info.start) > SET_BACK_90K) {
            self.close_files();
        }
        let mut after = self.enter_day(kind, info.start)?;
        let track = &self.tracks[kind as usize];
        let writer = track.writer.as_ref().ok_or(Error::Orphan(kind))?;
        let folder = Arc::clone(writer.folder());
        if overlap_90k(&folder, kind, info.start) > SET_BACK_90K {
            self.close_files();
            let segments = folder.set_aside(kind, info.start)?;
            self.archive.announce_length(&folder);
            warn!(camera = %self.archive.id(), track = %kind, segments, day = %folder.day(),
                "the clock was set back: what it had recorded ahead is set aside");
            after = self.enter_day(kind, info.start)?;
        }
        let overlap_90k = overlap_90k(&folder, kind, info.start);
        let track = &mut self.tracks[kind as usize];
        let writer = track.writer.as_mut().ok_or(Error::Orphan(kind))?;
        if overlap_90k > 0 {
            return Err(Error::Overlap {
                track: kind,
                overlap_90k,
            });
        }
        writer.begin_segment(&init, info, after)?;
        if let (TrackKind::Video, Some(cause)) = (kind, after) {
            self.archive.note_gap(cause);
        }
        track.in_segment = true;
        track.has_begun = true;
        if std::mem::take(&mut track.is_new_session) || after.is_some() {
            track.interruption = None;
        }
        Ok(())
    }

    /// Completes what is open in any track and lets go of the files. The others go on with their next
    /// segments.
    fn close_files(&mut self) {
        for track in &mut self.tracks {
            track.in_segment = false;
            if let Some(mut writer) = track.writer.take()
                && let Err(error) = writer.finish_segment()
            {
                warn!(camera = %self.archive.id(), error = &error as &dyn std::error::Error, "a segment is not listed");
            }
        }
    }

    /// If somebody has deleted the day that is being written, or files of it: lets go of it.
    /// What is left of it is mended before the recording goes on, so the other track lets go, too.
    fn let_go_of_gone(&mut self, kind: TrackKind) {
        let writer = self.tracks[kind as usize].writer.as_ref();
        let Some(gone) = writer.filter(|writer| writer.is_gone()) else {
            return;
        };
        let gone = Arc::clone(gone.folder());
        warn!(camera = %self.archive.id(), path = %gone.path().display(),
            "the day was deleted while it was recorded; going on in a new folder");
        for track in &mut self.tracks {
            let is_in_it = |writer: &mut TrackWriter| Arc::ptr_eq(writer.folder(), &gone);
            if let Some(mut writer) = track.writer.take_if(is_in_it) {
                // It is no loss if that fails: the folder is gone.
                let _ = writer.finish_segment();
                track.in_segment = false;
                track.interruption = Some(GapCause::Disk);
                track.gone = Some(Arc::clone(&gone));
            }
        }
        self.archive.forget(&gone);
    }

    /// Makes the writer the one for a segment that starts at `start`: another one when the day is
    /// over, or after [`Recorder::close_files`]. Returns why nothing was recorded before the segment,
    /// if there is a gap.
    fn enter_day(&mut self, kind: TrackKind, start: MediaTime) -> Result<Option<GapCause>> {
        let archive = Arc::clone(&self.archive);
        let track = &mut self.tracks[kind as usize];
        let wall = start.media_to_wall();
        let cause = match (track.has_begun, track.interruption) {
            (false, _) => GapCause::Restart,
            (true, interruption) => interruption.unwrap_or(GapCause::Camera),
        };
        let is_gap = |end: MediaTime| end.saturating_add(GAP_90K) < start;
        let here = track.writer.as_mut();
        if let Some(here) = here.filter(|writer| wall < writer.folder().day().end()) {
            let end = here.folder().end(kind);
            return Ok(end.filter(|end| is_gap(*end)).map(|_| cause));
        }
        let day = Day::containing(wall, archive.zone());
        let folder = archive.folder_to_write(day)?;
        if let Some(done) = &mut track.writer {
            let midnight = MediaTime::wall_to_media(done.folder().day().end());
            let end = done.folder().end(kind).unwrap_or_default();
            let is_missing = midnight.saturating_since(end) > GAP_90K;
            done.close_day(is_missing.then_some(cause))?;
            let done = Arc::clone(done.folder());
            self.write_multivariant(&done);
        }
        let track = &mut self.tracks[kind as usize];
        let mut next = TrackWriter::new(kind, folder, Arc::clone(archive.clock()));
        let end = match (next.folder().end(kind), track.gone.take()) {
            (Some(end), _) => Some(end),
            (None, Some(gone)) => {
                let mut first = gone.timeline().next_sequence(kind);
                first.discontinuity += 1;
                next.folder()
                    .change(|state| state.timeline.number_from(kind, first));
                None
            }
            (None, None) => continue_numbering(&archive, &mut next, kind, start)?,
        };
        track.writer = Some(next);
        Ok(end.filter(|end| is_gap(*end)).map(|_| cause))
    }
}

/// By how much a segment that starts at `start` overlaps what is recorded in `folder`.
fn overlap_90k(folder: &DayFolder, kind: TrackKind, start: MediaTime) -> u64 {
    folder.end(kind).unwrap_or_default().saturating_since(start)
}

/// Closes the indexes of `folder`, a day that ended while nothing ran.
pub(crate) fn close_left_open(folder: &Arc<DayFolder>, clock: &Arc<dyn Clock>) -> Result<()> {
    let midnight = MediaTime::wall_to_media(folder.day().end());
    for kind in TrackKind::ALL {
        let end = folder.end(kind).unwrap_or_default();
        let is_missing = midnight.saturating_since(end) > GAP_90K;
        let cause = is_missing.then_some(GapCause::Restart);
        TrackWriter::new(kind, Arc::clone(folder), Arc::clone(clock)).close_day(cause)?;
    }
    folder.write_multivariant()
}

/// Numbers the first segment of a day after the last of the day before, and returns where that
/// ended; a segment that runs over midnight is in both.
fn continue_numbering(
    archive: &CameraArchive,
    next: &mut TrackWriter,
    kind: TrackKind,
    start: MediaTime,
) -> Result<Option<MediaTime>> {
    let folder = Arc::clone(next.folder());
    let Some(before) = archive.day_before(folder.day())? else {
        return Ok(None);
    };
    let Some((mut first, last, init)) = before.end_of(kind) else {
        return Ok(None);
    };
    let runs_over = last.end().media_to_wall() > folder.day().start();
    let copied = runs_over.then(|| read_segment(&before, kind, &last));
    let copied = copied.and_then(|read| match read {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            // The day begins all the same, a few seconds later.
            warn!(camera = %archive.id(), track = %kind, error = &error as &dyn std::error::Error,
                "the segment over midnight is not in the new day");
            None
        }
    });
    if copied.is_some() {
        first.media -= 1;
    } else if kind != TrackKind::Preview && last.end().saturating_add(GAP_90K) < start {
        first.discontinuity += 1;
    }
    // Where everything of the day was set aside, its numbers go on after that.
    let known = folder.timeline().track(kind).first();
    first.media = first.media.max(known.media);
    first.discontinuity = first.discontinuity.max(known.discontinuity);
    folder.change(|state| state.timeline.number_from(kind, first));
    folder.index(kind).renumber(first)?;
    if let Some(bytes) = copied {
        let parts = before.timeline().track(kind).newest_parts().to_vec();
        next.adopt(&init, &last, &parts, bytes)?;
    }
    Ok(Some(last.end()))
}

/// The bytes of a segment that is recorded in `folder`.
fn read_segment(folder: &DayFolder, kind: TrackKind, segment: &Segment) -> Result<Bytes> {
    let media = folder.media(kind, &segment.bytes);
    let mut bytes = vec![0; usize::try_from(media.len_bytes).unwrap_or(0)];
    let file = File::open(&media.path).context("open", &media.path)?;
    file.read_exact_at(&mut bytes, media.offset)
        .context("read", &media.path)?;
    Ok(bytes.into())
}
