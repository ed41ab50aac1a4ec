//! One day of one camera: its folder, and what is known of it in memory.

use std::path::{Path, PathBuf};

use dayreel_core::{Day, GapCause, MediaTime, TrackKind};
use dayreel_manifest::{DayTimeline, GAP_90K, Init, Segment, Sequence, Slice};
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};

use crate::{
    MediaSlice, Result, aside,
    index::{Entry, FileRange},
    recovery::{self, Mend},
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
    /// Whether the index of each track has its ending on disk.
    pub(crate) closed: [bool; 2],
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

impl State {
    pub(crate) fn new(day: Day, video: Sequence, audio: Sequence) -> Self {
        Self {
            timeline: DayTimeline::new(day, video, audio),
            files: [Vec::new(), Vec::new()],
            closed: [false; 2],
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
    /// `after` is why nothing was recorded before it, if there is a gap.
    pub(crate) fn append(
        &mut self,
        kind: TrackKind,
        segment: Segment,
        after: Option<GapCause>,
    ) -> Entry {
        let before = self
            .timeline
            .track(kind)
            .segments()
            .last()
            .map(|last| last.init);
        let discontinuity = self.timeline.append(kind, segment);
        self.explain(kind, after);
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
        Entry::new(&segment, after, discontinuity, map, file)
    }

    /// Notes why nothing was recorded before the segment that was just added. Gaps are those of the
    /// picture.
    pub(crate) fn explain(&mut self, kind: TrackKind, after: Option<GapCause>) {
        if let Some(cause) = after.filter(|_| kind == TrackKind::Video) {
            self.timeline.explain_gap(cause);
        }
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

    /// Reads the folder at `path`. Changes nothing in it: somebody may just be copying it here.
    pub(crate) fn load(path: PathBuf, day: Day) -> Result<Self> {
        let state = RwLock::new(recovery::load(&path, day, Mend::No)?);
        Ok(Self { day, path, state })
    }

    /// Reads the folder at `path` to go on with it, and first mends what a crash left behind. For
    /// its writer alone.
    pub(crate) fn mend(path: PathBuf, day: Day) -> Result<Self> {
        let state = RwLock::new(recovery::load(&path, day, Mend::Yes)?);
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

    /// Sets aside what is listed of the track `kind` after `from`; returns how many segments. Nothing
    /// may be open in the folder: its files get other numbers.
    pub(crate) fn set_aside(&self, kind: TrackKind, from: MediaTime) -> Result<usize> {
        let count = aside::set_aside(&self.path, kind, from)?;
        let state = recovery::load(&self.path, self.day, Mend::Yes)?;
        *self.state.write() = state;
        Ok(count)
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
