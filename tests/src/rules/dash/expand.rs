//! What an MPD lists: every segment that its templates and timelines expand to.

use dash_mpd_core::{AdaptationSet, MPD, Period, Representation, SegmentTemplate};

use super::TIMELINE;
use crate::rules::Findings;

/// The segments of one Representation in one Period.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Number of the Period, from 0.
    pub period: usize,
    /// Start of the Period, ns after the start of the presentation.
    pub period_start_ns: u64,
    /// `video` or `audio`, from `contentType` or `mimeType`.
    pub content: String,
    /// `Representation@id`.
    pub id: String,
    /// URL of the init segment, as written but expanded.
    pub init: String,
    /// Ticks a second.
    pub timescale: u64,
    /// Media time at the start of the Period, ticks.
    pub offset: u64,
    /// Segments are available before they are complete (DASH §5.3.9.5.3), and listed before.
    pub is_early: bool,
    /// In order.
    pub segments: Vec<Segment>,
}

/// One segment of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// As written but expanded.
    pub url: String,
    /// Media time of its start, ticks.
    pub start: u64,
    /// Ticks.
    pub duration: u64,
}

/// Longest list a test reads: a week of half seconds.
const MAX_SEGMENTS: usize = 1_300_000;

/// The template in force for `representation` (DASH §5.3.9.1: the innermost has precedence).
pub fn template<'a>(
    period: &'a Period,
    set: &'a AdaptationSet,
    representation: &'a Representation,
) -> Option<&'a SegmentTemplate> {
    let inner = representation.SegmentTemplate.as_ref();
    inner
        .or(set.SegmentTemplate.as_ref())
        .or(period.SegmentTemplate.as_ref())
}

/// `video` or `audio`.
pub fn content(set: &AdaptationSet, representation: &Representation) -> String {
    let mime = representation.mimeType.as_ref().or(set.mimeType.as_ref());
    let from_mime = mime.and_then(|mime| mime.split('/').next().map(str::to_owned));
    set.contentType.clone().or(from_mime).unwrap_or_default()
}

/// Expands every Representation of `mpd`, in document order. Representations without a timeline
/// are left out; timelines that cannot be expanded are findings of [`TIMELINE`].
pub fn expand(mpd: &MPD) -> (Vec<Listed>, Findings) {
    let mut listed = Vec::new();
    let mut findings = Findings::default();
    for (number, period) in mpd.periods.iter().enumerate() {
        for set in &period.adaptations {
            for representation in &set.representations {
                let Some(template) = template(period, set, representation) else {
                    continue;
                };
                let id = representation.id.clone().unwrap_or_default();
                let bandwidth = representation.bandwidth.unwrap_or_default();
                let url = |pattern: &Option<String>, time: u64| {
                    fill(pattern.as_deref().unwrap_or_default(), &id, bandwidth, time)
                };
                let (times, more) = times(template);
                findings.extend(more);
                listed.push(Listed {
                    period: number,
                    period_start_ns: period.start.map_or(0, |start| {
                        u64::try_from(start.as_nanos()).unwrap_or(u64::MAX)
                    }),
                    content: content(set, representation),
                    init: url(&template.initialization, 0),
                    timescale: template.timescale.unwrap_or(1),
                    offset: template.presentationTimeOffset.unwrap_or(0),
                    is_early: template.availabilityTimeOffset.is_some(),
                    segments: times
                        .into_iter()
                        .map(|(start, duration)| Segment {
                            url: url(&template.media, start),
                            start,
                            duration,
                        })
                        .collect(),
                    id,
                });
            }
        }
    }
    (listed, findings)
}

/// Start and duration of each segment of the timeline.
fn times(template: &SegmentTemplate) -> (Vec<(u64, u64)>, Findings) {
    let mut findings = Findings::default();
    let mut times: Vec<(u64, u64)> = Vec::new();
    let mut end: Option<u64> = None;
    let timeline = template.SegmentTimeline.as_ref();
    for (index, s) in timeline
        .map_or(&[][..], |timeline| &timeline.segments)
        .iter()
        .enumerate()
    {
        // Without t the first starts at 0; this list asks for an explicit one.
        findings.check(s.t.is_some() || index > 0, TIMELINE, || {
            "the first S has no t".to_owned()
        });
        let mut start = s.t.or(end).unwrap_or(0);
        findings.check(end.is_none_or(|end| start >= end), TIMELINE, || {
            format!("S {index} starts at {start}, the one before ends at {end:?}")
        });
        let repeat = s.r.unwrap_or(0);
        findings.check(s.d > 0 && repeat >= 0, TIMELINE, || {
            format!("S {index}: d {}, r {repeat}", s.d)
        });
        for _ in 0..=repeat.max(0) {
            if times.len() >= MAX_SEGMENTS {
                findings.check(false, TIMELINE, || format!("over {MAX_SEGMENTS} segments"));
                return (times, findings);
            }
            times.push((start, s.d));
            start = start.saturating_add(s.d);
        }
        end = Some(start);
    }
    (times, findings)
}

/// Expands the identifiers of DASH §5.3.9.4.4; widths are not used here.
fn fill(pattern: &str, id: &str, bandwidth: u64, time: u64) -> String {
    pattern
        .replace("$RepresentationID$", id)
        .replace("$Bandwidth$", &bandwidth.to_string())
        .replace("$Time$", &time.to_string())
        .replace("$$", "$")
}
