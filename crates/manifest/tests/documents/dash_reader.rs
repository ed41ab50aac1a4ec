//! Reads MPDs by `dash-mpd-core` and expands what they say to single segments.

use dash_mpd_core::{MPD, SegmentTemplate};
use dayreel_core::TrackKind;

use crate::camera::SECOND;

/// A track in a Period, as a player knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) kind: TrackKind,
    /// Name of the init segment.
    pub(crate) init: String,
    /// Start and duration of each segment, 1/90000 s.
    pub(crate) segments: Vec<(u64, u64)>,
}

/// A Period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) id: String,
    /// `Period@start` in nanoseconds.
    pub(crate) start_ns: u128,
    /// `presentationTimeOffset`, the same for all its tracks.
    pub(crate) offset_90k: u64,
    pub(crate) sets: Vec<Set>,
}

pub(crate) fn read(text: &[u8]) -> (MPD, Vec<Period>) {
    let mpd = dash_mpd_core::parse(std::str::from_utf8(text).unwrap()).unwrap();
    let periods = mpd.periods.iter().map(read_period).collect();
    (mpd, periods)
}

fn read_period(period: &dash_mpd_core::Period) -> Period {
    let mut offsets = Vec::new();
    let mut sets = Vec::new();
    for set in &period.adaptations {
        let [representation] = set.representations.as_slice() else {
            panic!("one Representation each");
        };
        let template = representation.SegmentTemplate.as_ref().unwrap();
        assert_eq!(template.timescale, Some(SECOND));
        offsets.push(template.presentationTimeOffset.unwrap());
        if representation.id.as_deref() == Some("keyframes") {
            // The same as of the pictures, which come first, by other names.
            assert_eq!(template.media.as_deref(), Some("../k-$Time$.m4s"));
            let video: &Set = sets
                .iter()
                .find(|set: &&Set| set.kind == TrackKind::Video)
                .unwrap();
            let init = template.initialization.as_deref().unwrap();
            assert_eq!(init.strip_prefix("../"), Some(video.init.as_str()));
            assert_eq!(expand(template), video.segments);
            continue;
        }
        let kind = match set.contentType.as_deref().unwrap() {
            "video" if representation.id.as_deref() == Some("preview") => TrackKind::Preview,
            "video" => TrackKind::Video,
            "audio" => TrackKind::Audio,
            other => panic!("{other}"),
        };
        let media = format!("../{}-$Time$.m4s", kind.letter());
        assert_eq!(template.media.as_deref(), Some(media.as_str()));
        let init = template.initialization.as_deref().unwrap();
        sets.push(Set {
            kind,
            init: init.strip_prefix("../").unwrap().to_owned(),
            segments: expand(template),
        });
    }
    offsets.dedup();
    let [offset_90k] = offsets.as_slice() else {
        panic!("one presentationTimeOffset, at least one AdaptationSet: {offsets:?}");
    };
    Period {
        id: period.id.clone().unwrap(),
        start_ns: period.start.unwrap().as_nanos(),
        offset_90k: *offset_90k,
        sets,
    }
}

/// ISO/IEC 23009-1 §5.3.9.6.
fn expand(template: &SegmentTemplate) -> Vec<(u64, u64)> {
    let mut segments = Vec::new();
    let mut time = 0;
    for (index, s) in template
        .SegmentTimeline
        .as_ref()
        .unwrap()
        .segments
        .iter()
        .enumerate()
    {
        assert!(index > 0 || s.t.is_some(), "the first S has a t");
        assert!(s.t.is_none_or(|t| t >= time), "S@t goes back");
        time = s.t.unwrap_or(time);
        for _ in 0..=s.r.unwrap_or(0) {
            segments.push((time, s.d));
            time += s.d;
        }
    }
    segments
}
