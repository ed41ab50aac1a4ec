//! One day of one camera: its folder, and what is known of it in memory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use dayreel_core::{Day, GapCause, MediaTime, TrackKind};
use dayreel_manifest::{DayTimeline, GAP_90K, Init, Segment, Sequence, Slice, folder_playlist};
use parking_lot::{MappedRwLockReadGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::{
    MediaSlice, Result, aside,
    data_dir::DataDir,
    day_state::{KINDS, State},
    index,
    index_file::{IndexFile, replace},
    recovery::{self, Mend},
    track_writer::index_name,
};

/// The playlist of all tracks.
pub(crate) const MULTIVARIANT: &str = "playlist.m3u8";

/// A day folder and its timeline. Written by the [`crate::Recorder`], read by everybody.
#[derive(Debug)]
pub struct DayFolder {
    day: Day,
    path: PathBuf,
    data_dir: Arc<DataDir>,
    /// The index of each track. Locked over I/O by those who write: the recorder and the expiry of
    /// an hour; never by readers. Locked before `state`.
    indexes: [Mutex<IndexFile>; TrackKind::COUNT],
    /// Locked for writing for the few microseconds in which a segment is added; never over I/O.
    state: RwLock<State>,
}

/// A stretch in which nothing was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The end of what was recorded before, or of the day before.
    pub start: MediaTime,
    /// The beginning of what was recorded next, or of the next day.
    pub end: MediaTime,
    /// Why; `None` if nobody knows.
    pub cause: Option<GapCause>,
}

impl DayFolder {
    /// A day of which nothing is on disk yet.
    pub(crate) fn new(path: PathBuf, day: Day, data_dir: Arc<DataDir>) -> Self {
        let state = State::new(day, Default::default());
        Self::with(path, day, data_dir, state)
    }

    /// Reads the folder at `path`. Changes nothing in it: somebody may just be copying it here.
    pub(crate) fn load(path: PathBuf, day: Day, data_dir: Arc<DataDir>) -> Result<Self> {
        let recovered = recovery::load(&path, day, Mend::No)?;
        Ok(Self::with(path, day, data_dir, recovered.state))
    }

    /// Reads the folder at `path` to go on with it, and first mends what a crash left behind. For
    /// its writer alone.
    pub(crate) fn mend(path: PathBuf, day: Day, data_dir: Arc<DataDir>) -> Result<Self> {
        let recovered = recovery::load(&path, day, Mend::Yes)?;
        let folder = Self::with(path, day, data_dir, recovered.state);
        for (kind, fix) in KINDS.into_iter().zip(recovered.fixes) {
            let first = folder.timeline().track(kind).first();
            // What is in memory is right in any case.
            if let Err(error) = folder.index(kind).fix(fix, first) {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "an index is not mended yet");
            }
        }
        Ok(folder)
    }

    fn with(path: PathBuf, day: Day, data_dir: Arc<DataDir>, state: State) -> Self {
        let index = |kind| Mutex::new(IndexFile::new(path.join(index_name(kind))));
        Self {
            day,
            data_dir,
            indexes: KINDS.map(index),
            state: RwLock::new(state),
            path,
        }
    }

    /// The local day.
    pub const fn day(&self) -> Day {
        self.day
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is recorded. Hold it only while reading from memory: the recorder waits for it.
    pub fn timeline(&self) -> MappedRwLockReadGuard<'_, DayTimeline> {
        RwLockReadGuard::map(self.state.read(), |state| &state.timeline)
    }

    /// Where the bytes of `slice` of the track `kind` are.
    pub fn media(&self, kind: TrackKind, slice: &Slice) -> MediaSlice {
        let state = self.state.read();
        MediaSlice {
            path: self.path.join(state.file_name(kind, slice.file)),
            offset: slice.offset,
            len_bytes: slice.len_bytes.into(),
        }
    }

    /// Sets aside what is listed of the track `kind` after `from`; returns how many segments. Nothing
    /// may be open in the folder: its files get other numbers.
    pub(crate) fn set_aside(&self, kind: TrackKind, from: MediaTime) -> Result<usize> {
        let mut indexes = KINDS.map(|kind| self.index(kind));
        let count = aside::set_aside(&self.path, kind, from)?;
        let recovered = recovery::load(&self.path, self.day, Mend::Yes)?;
        *self.state.write() = recovered.state;
        for ((kind, index), fix) in KINDS.into_iter().zip(&mut indexes).zip(recovered.fixes) {
            index.reopen();
            index.fix(fix, self.timeline().track(kind).first())?;
        }
        Ok(count)
    }

    /// Writes the playlist of all tracks, so that a static file server needs no more than the
    /// folder. Its names are those of the indexes.
    pub(crate) fn write_multivariant(&self) -> Result<()> {
        let text = folder_playlist(&self.timeline());
        text.map_or(Ok(()), |text| replace(&self.path.join(MULTIVARIANT), &text))
    }

    /// The stretches of the day in which nothing was recorded although the camera was to be, in
    /// order: between what is recorded; before and after it where a cause says that something is
    /// missing; and up to the end of a `finished` day. Of the picture.
    pub fn gaps(&self, finished: bool) -> Vec<Gap> {
        let timeline = self.timeline();
        let (Some(first), Some(last)) = (timeline.recorded().first(), timeline.recorded().last())
        else {
            return Vec::new();
        };
        let begin = MediaTime::wall_to_media(self.day.start());
        let before = first.after.map(|cause| Gap {
            start: begin,
            end: first.start,
            cause: Some(cause),
        });
        let between = timeline.recorded().windows(2).map(|pair| Gap {
            start: pair[0].end,
            end: pair[1].start,
            cause: pair[1].after,
        });
        let after = finished.then(|| Gap {
            start: last.end,
            end: MediaTime::wall_to_media(self.day.end()),
            cause: timeline.ends_with(),
        });
        let gaps = before.into_iter().chain(between).chain(after);
        gaps.filter(|gap| gap.end.saturating_since(gap.start) > GAP_90K)
            .collect()
    }

    /// The end of the last segment of a track.
    pub(crate) fn end(&self, kind: TrackKind) -> Option<MediaTime> {
        self.timeline().track(kind).end()
    }

    pub(crate) fn is_closed(&self, kind: TrackKind) -> bool {
        self.state.read().closed[kind as usize]
    }

    /// The index of a track, for writing.
    pub(crate) fn index(&self, kind: TrackKind) -> MutexGuard<'_, IndexFile> {
        self.indexes[kind as usize].lock()
    }

    /// Asked before a file is created in the folder.
    pub(crate) fn ensure_there(&self) -> Result<()> {
        self.data_dir.ensure_there()
    }

    /// Lists a finished segment, whose bytes are in its hour file: in memory, for viewers, and then
    /// in the index. One whose file was deleted meanwhile is forgotten.
    /// `after` is why nothing was recorded before it, if there is a gap.
    pub(crate) fn list(
        &self,
        kind: TrackKind,
        segment: Segment,
        after: Option<GapCause>,
    ) -> Result<()> {
        let mut index = self.index(kind);
        let entry = self.change(|state| {
            let is_gone = state.is_gone(kind, segment.bytes.file);
            // A day that goes on, because the clock had been ahead, is open again.
            state.closed[kind as usize] = false;
            (!is_gone).then(|| state.append(kind, segment, after, None))
        });
        let Some(entry) = entry else {
            return Ok(());
        };
        index.take(&entry.to_text(), segment.duration_90k);
        self.ensure_there()?;
        index.write(self.timeline().track(kind).first())
    }

    /// Ends the index of a day that is over. `ends_with` is why nothing was recorded up to its end, if
    /// something is missing.
    pub(crate) fn close(&self, kind: TrackKind, ends_with: Option<GapCause>) -> Result<()> {
        let is_empty = self.timeline().track(kind).segments().is_empty();
        if is_empty || self.is_closed(kind) {
            return Ok(());
        }
        self.ensure_there()?;
        let first = self.timeline().track(kind).first();
        self.index(kind).close(&index::ending(ends_with), first)?;
        self.change(|state| {
            state.closed[kind as usize] = true;
            if let Some(cause) = ends_with.filter(|_| kind == TrackKind::Video) {
                state.timeline.explain_end(cause);
            }
        });
        Ok(())
    }

    pub(crate) fn is_gone(&self, kind: TrackKind, file: u16) -> bool {
        self.state.read().is_gone(kind, file)
    }

    /// Where what is listed or set aside ends in the file of that number; `None` if nothing is.
    pub(crate) fn listed_bytes(&self, kind: TrackKind, file: u16) -> Option<u64> {
        let state = self.state.read();
        let mut newest_first = state.timeline.track(kind).segments().iter().rev();
        let last = newest_first.find(|segment| segment.bytes.file == file);
        let end = last.map(|last| last.bytes.offset + u64::from(last.bytes.len_bytes));
        let aside = state.aside[kind as usize].get(state.file_name(kind, file));
        end.max(aside.copied())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write())
    }

    /// The numbers and the end of the track, for the day that follows.
    pub(crate) fn end_of(&self, kind: TrackKind) -> Option<(Sequence, Segment, Init)> {
        let timeline = self.timeline();
        let track = timeline.track(kind);
        let last = *track.segments().last()?;
        let init = track.inits().get(usize::from(last.init))?.clone();
        Some((timeline.next_sequence(kind), last, init))
    }
}
