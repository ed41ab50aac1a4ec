//! The `SegmentTimeline` of one track in one DASH Period, growing.

use std::fmt::Write as _;

use dayreel_core::MediaTime;

use crate::{GrowingText, Segment};

/// Equal segments one after another: one `S` element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: MediaTime,
    duration_90k: u32,
    /// How many more follow the first: `S@r`.
    repeat: u32,
    /// Whether the run does not start where the one before ended: a gap, or the first of its
    /// Period. Only then is `S@t` needed (ISO/IEC 23009-1 §5.3.9.6).
    explicit: bool,
}

impl Run {
    fn write(&self, text: &mut String) {
        text.push_str("<S");
        // Writing to a String cannot fail.
        if self.explicit {
            let _ = write!(text, " t=\"{}\"", self.start.ticks());
        }
        let _ = write!(text, " d=\"{}\"", self.duration_90k);
        if self.repeat > 0 {
            let _ = write!(text, " r=\"{}\"", self.repeat);
        }
        text.push_str("/>");
    }
}

/// The segments of one track in one Period, as runs.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The init segment its segments need; `None` before the first.
    init: Option<u16>,
    /// How many segments.
    len: usize,
    /// Of each run, the number of its first segment.
    begins: Vec<u32>,
    /// All runs but the last.
    frozen: GrowingText,
    /// The last run, which can still grow.
    open: Option<Run>,
    /// Where the first segment starts; `None` before it.
    start: Option<MediaTime>,
    /// Where the last segment ended; `None` before the first.
    end: Option<MediaTime>,
}

impl Runs {
    /// The runs of `segments`, which need the same init segment.
    pub(crate) fn of(segments: &[Segment]) -> Self {
        let mut runs = Self::default();
        segments.iter().for_each(|segment| runs.push(segment));
        runs
    }

    pub(crate) const fn init(&self) -> Option<u16> {
        self.init
    }

    /// Where its first segment starts.
    pub(crate) const fn start(&self) -> Option<MediaTime> {
        self.start
    }

    /// Where its last segment ends.
    pub(crate) const fn end(&self) -> Option<MediaTime> {
        self.end
    }

    /// How many segments it has.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends a segment that starts at or after the end of the last and needs the same init
    /// segment.
    pub(crate) fn push(&mut self, segment: &Segment) {
        let contiguous = self.end == Some(segment.start);
        self.start.get_or_insert(segment.start);
        self.end = Some(segment.end());
        self.init = Some(segment.init);
        self.len += 1;
        match &mut self.open {
            Some(run) if contiguous && run.duration_90k == segment.duration_90k => run.repeat += 1,
            open => {
                let run = Run {
                    start: segment.start,
                    duration_90k: segment.duration_90k,
                    repeat: 0,
                    explicit: !contiguous,
                };
                let number = u32::try_from(self.len - 1).unwrap_or(u32::MAX);
                self.begins.push(number);
                if let Some(done) = open.replace(run) {
                    let mut text = String::with_capacity(64);
                    done.write(&mut text);
                    self.frozen.push(&text);
                }
            }
        }
    }

    /// The part of the timeline that does not change any more.
    pub(crate) const fn frozen(&self) -> &GrowingText {
        &self.frozen
    }

    /// Writes the rest of the timeline.
    pub(crate) fn write_open(&self, text: &mut String) {
        self.open.iter().for_each(|run| run.write(text));
    }

    /// How many runs the first `segments` make.
    pub(crate) fn runs_of(&self, segments: usize) -> usize {
        let begins_within = |begin: &u32| usize::try_from(*begin).is_ok_and(|at| at < segments);
        self.begins.partition_point(begins_within)
    }

    /// Writes the run of that number; `segments` are all that this was made of. Nothing if there is none.
    pub(crate) fn write_run(&self, number: usize, segments: &[Segment], text: &mut String) {
        let begin = |number: usize| {
            self.begins
                .get(number)
                .and_then(|at| usize::try_from(*at).ok())
        };
        let Some((at, first)) = begin(number).and_then(|at| Some((at, segments.get(at)?))) else {
            return;
        };
        let before = at.checked_sub(1).and_then(|before| segments.get(before));
        let run = Run {
            start: first.start,
            duration_90k: first.duration_90k,
            repeat: u32::try_from(self.segments_of(number + 1) - at - 1).unwrap_or(u32::MAX),
            explicit: before.is_none_or(|before| before.end() != first.start),
        };
        run.write(text);
    }

    /// How many segments the first `runs` are made of.
    pub(crate) fn segments_of(&self, runs: usize) -> usize {
        let next = self.begins.get(runs);
        next.and_then(|at| usize::try_from(*at).ok())
            .unwrap_or(self.len)
    }

    /// How many runs there are.
    pub(crate) fn runs(&self) -> usize {
        self.begins.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slice;

    fn text(runs: &Runs) -> String {
        let mut text = String::from_utf8(runs.frozen.plain_blocks().concat()).unwrap();
        text.push_str(runs.frozen.open());
        runs.write_open(&mut text);
        text
    }

    fn push(runs: &mut Runs, start: u64, duration_90k: u32) {
        let bytes = Slice {
            file: 0,
            offset: 0,
            len_bytes: 0,
        };
        let start = MediaTime::from_ticks(start);
        runs.push(&Segment {
            start,
            duration_90k,
            access_units: 1,
            init: 0,
            bytes,
        });
    }

    #[test]
    fn equal_segments_are_one_element_and_a_gap_is_an_explicit_t() {
        let mut runs = Runs::default();
        for start in [100, 110, 120, 135, 145] {
            push(&mut runs, start, 10);
        }
        push(&mut runs, 155, 7);
        assert_eq!(
            text(&runs),
            r#"<S t="100" d="10" r="2"/><S t="135" d="10" r="1"/><S d="7"/>"#
        );
    }

    #[test]
    fn irregular_durations_are_frozen_in_order() {
        let mut runs = Runs::default();
        let mut expected = String::new();
        let mut start = 1000;
        for i in 0..500_u32 {
            let t = if i == 0 { " t=\"1000\"" } else { "" };
            push(&mut runs, start, 10 + i % 2);
            expected.push_str(&format!("<S{t} d=\"{}\"/>", 10 + i % 2));
            start += u64::from(10 + i % 2);
        }
        assert_eq!(text(&runs), expected);
    }
}
