//! What is known of a day in memory: its timeline, and the files that its segments are in.

use std::collections::HashMap;

use dayreel_core::{Day, GapCause, TrackKind};
use dayreel_manifest::{DayTimeline, Segment, Sequence};

use crate::index::{Entry, FileRange};

/// The tracks, in the order in which they are counted.
pub(crate) const KINDS: [TrackKind; TrackKind::COUNT] = TrackKind::ALL;

/// A day as its indexes list it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) timeline: DayTimeline,
    /// Names of the hour files of each track; [`dayreel_manifest::Slice::file`] counts in them. Of a file that was
    /// deleted the name is empty: one that is called the same has another number.
    files: [Vec<String>; TrackKind::COUNT],
    /// Where the bytes of what was set aside end, by file of each track.
    pub(crate) aside: [HashMap<String, u64>; TrackKind::COUNT],
    /// Whether the index of each track has its ending on disk.
    pub(crate) closed: [bool; TrackKind::COUNT],
}

impl State {
    /// An empty day whose tracks are numbered from `first`.
    pub(crate) fn new(day: Day, first: [Sequence; TrackKind::COUNT]) -> Self {
        let [video, audio, preview] = first;
        let mut timeline = DayTimeline::new(day, video, audio);
        timeline.number_from(TrackKind::Preview, preview);
        Self {
            timeline,
            files: Default::default(),
            aside: Default::default(),
            closed: Default::default(),
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

    /// Whether the file of that number was deleted.
    pub(crate) fn is_gone(&self, kind: TrackKind, file: u16) -> bool {
        self.file_name(kind, file).is_empty()
    }

    /// Lets go of the first segments of each track, as far as they are in files that are called
    /// `is_gone`. Returns whether anything was there.
    pub(crate) fn forget_files(&mut self, is_gone: impl Fn(TrackKind, &str) -> bool) {
        let dropped = KINDS.map(|kind| {
            let names = &self.files[kind as usize];
            let is_in_them = |segment: &&Segment| {
                let name = names.get(usize::from(segment.bytes.file));
                name.is_some_and(|name| is_gone(kind, name))
            };
            let segments = self.timeline.track(kind).segments();
            segments.iter().take_while(is_in_them).count()
        });
        if dropped.iter().any(|count| *count > 0) {
            self.timeline = self.timeline.without_first(dropped);
        }
        for kind in KINDS {
            let names = self.files[kind as usize].iter_mut();
            names
                .filter(|name| is_gone(kind, name))
                .for_each(String::clear);
        }
    }

    pub(crate) fn file_name(&self, kind: TrackKind, file: u16) -> &str {
        self.files[kind as usize]
            .get(usize::from(file))
            .map_or("", String::as_str)
    }

    /// Adds a finished segment, whose bytes are in its hour file, and returns its index entry.
    /// `after` is why nothing was recorded before it, if there is a gap, and `listed` how many
    /// discontinuities an index has before it.
    pub(crate) fn append(
        &mut self,
        kind: TrackKind,
        segment: Segment,
        after: Option<GapCause>,
        listed: Option<u64>,
    ) -> Entry {
        let before = self
            .timeline
            .track(kind)
            .segments()
            .last()
            .map(|last| last.init);
        let discontinuities = match listed {
            None => self.timeline.append(kind, segment),
            Some(count) => self.timeline.append_listed(kind, segment, count),
        };
        // Gaps are those of the picture.
        if let Some(cause) = after.filter(|_| kind == TrackKind::Video) {
            self.timeline.explain_gap(cause);
        }
        let init = self
            .timeline
            .track(kind)
            .inits()
            .get(usize::from(segment.init));
        let file = self.file_name(kind, segment.bytes.file).to_owned();
        // Every hour file begins with a copy of its init segment.
        let map = init
            .filter(|_| before != Some(segment.init))
            .map(|init| FileRange {
                file: file.clone(),
                offset: 0,
                len_bytes: u32::try_from(init.bytes.len()).unwrap_or(u32::MAX),
            });
        Entry::new(&segment, after, discontinuities, map, file)
    }
}
