//! One day of one camera: its folder, and what is known of it in memory.

use std::path::{Path, PathBuf};

use dayreel_core::{Day, TrackKind};
use dayreel_manifest::{DayTimeline, Init, Segment, Sequence, Slice};
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};

use crate::{
    MediaSlice, Result,
    index::{Entry, FileRange},
    recovery,
};

/// A day folder and its timeline. Written by the [`crate::Recorder`], read by everybody.
#[derive(Debug)]
pub struct DayFolder {
    day: Day,
    path: PathBuf,
    /// Locked for writing for the few microseconds in which a segment is added; never over I/O.
    state: RwLock<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) timeline: DayTimeline,
    /// Names of the hour files of each track; [`Slice::file`] counts in them.
    files: [Vec<String>; 2],
}

impl State {
    pub(crate) fn new(day: Day, video: Sequence, audio: Sequence) -> Self {
        Self {
            timeline: DayTimeline::new(day, video, audio),
            files: [Vec::new(), Vec::new()],
        }
    }

    /// The number of the file `name`; a new one is added.
    pub(crate) fn file_number(&mut self, kind: TrackKind, name: &str) -> u16 {
        let files = &mut self.files[kind as usize];
        let index = files
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| {
                files.push(name.to_owned());
                files.len() - 1
            });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    fn file_name(&self, kind: TrackKind, file: u16) -> &str {
        self.files[kind as usize]
            .get(usize::from(file))
            .map_or("", String::as_str)
    }

    /// Adds a finished segment, whose bytes are in its hour file, and returns its index entry.
    pub(crate) fn append(&mut self, kind: TrackKind, segment: Segment) -> Entry {
        let before = self
            .timeline
            .track(kind)
            .segments()
            .last()
            .map(|last| last.init);
        let discontinuity = self.timeline.append(kind, segment);
        let init = self
            .timeline
            .track(kind)
            .inits()
            .get(usize::from(segment.init));
        let map = init
            .filter(|_| before != Some(segment.init))
            .map(|init| FileRange {
                file: self.file_name(kind, init.location.file).to_owned(),
                offset: init.location.offset,
                len_bytes: init.location.len_bytes,
            });
        let file = self.file_name(kind, segment.bytes.file).to_owned();
        Entry::new(&segment, discontinuity, map, file)
    }
}

impl DayFolder {
    /// A day of which nothing is on disk yet.
    pub(crate) fn new(path: PathBuf, day: Day) -> Self {
        let state = State::new(day, Sequence::default(), Sequence::default());
        Self {
            day,
            path,
            state: RwLock::new(state),
        }
    }

    /// Reads the folder at `path`, and first mends what a crash left behind.
    pub(crate) fn load(path: PathBuf, day: Day) -> Result<Self> {
        let state = RwLock::new(recovery::load(&path, day)?);
        Ok(Self { day, path, state })
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
