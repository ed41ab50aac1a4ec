//! The rules every document obeys, each with its clause, checked against what was recorded.

use std::collections::{BTreeMap, BTreeSet};

use dayreel_core::{MediaTime, TrackKind};
use dayreel_manifest::{
    DayTimeline, Encoding, Extent, Presentation, keyframe_playlist, manifest, media_playlist,
};

use crate::{
    camera::{FIRST, MIDNIGHT_90K, Recorded, SECOND, init_name_of},
    dash_reader::{self, Period},
    hls_reader::Media,
};

/// The media playlist as a player reads it; `None` while the track is empty.
pub(crate) fn hls(day: &DayTimeline, kind: TrackKind, extent: Extent) -> Option<Media> {
    let text = media_playlist(day, kind, false, extent, Encoding::Identity)?;
    Some(Media::read(&text.to_vec()))
}

/// The I-frame playlist as a player reads it, its keyframes called like the segments that they begin.
pub(crate) fn keyframes(day: &DayTimeline, extent: Extent) -> Option<Media> {
    let text = keyframe_playlist(day, false, extent, Encoding::Identity)?;
    let mut media = Media::read(&text.to_vec());
    for line in &mut media.lines {
        let start = line.name.strip_prefix("k-").unwrap();
        line.name = format!("v-{start}");
    }
    Some(media)
}

/// The live MPD as a player reads it.
pub(crate) fn dash(day: &DayTimeline) -> Option<Vec<Period>> {
    dash_of(day, None)
}

/// The live MPD of the last `window_s` as a player reads it.
pub(crate) fn dash_of(day: &DayTimeline, window_s: Option<u64>) -> Option<Vec<Period>> {
    let now = MediaTime::from_ticks(MIDNIGHT_90K).media_to_wall();
    let text = manifest(
        day,
        Presentation::Live {
            now,
            window_s,
            low_latency: false,
        },
        Encoding::Identity,
    )?;
    Some(dash_reader::read(&text.to_vec()).1)
}

/// The MPD of the finished day: all its Periods are in it.
pub(crate) fn finished_dash(day: &DayTimeline) -> Vec<Period> {
    let text = manifest(day, Presentation::Finished, Encoding::Identity).unwrap();
    dash_reader::read(&text.to_vec()).1
}

pub(crate) fn of_kind(recorded: &[Recorded], kind: TrackKind) -> Vec<Recorded> {
    let own = recorded.iter().filter(|segment| segment.kind == kind);
    own.copied().collect()
}

/// RFC 8216 on one track that has `recorded`.
pub(crate) fn check_hls(media: &Media, recorded: &[Recorded]) {
    assert_eq!(media.media_sequence, FIRST.media);
    let names: Vec<_> = media.lines.iter().map(|line| line.name.clone()).collect();
    let expected: Vec<_> = recorded.iter().map(Recorded::name).collect();
    assert_eq!(names, expected);
    // §4.3.2.5: a map applies until the next.
    let maps: Vec<_> = recorded.iter().map(init_name_of).collect();
    assert_eq!(media.maps(), maps);
    let mut before: Option<(&Recorded, f64)> = None;
    for (line, segment) in media.lines.iter().zip(recorded) {
        // §4.3.3.1: no EXTINF, rounded, is longer than the target duration.
        assert!(line.duration_s.round() <= media.target_duration_s as f64);
        let exact_s = f64::from(segment.duration_90k) / SECOND as f64;
        assert!((line.duration_s - exact_s).abs() < 1e-8);
        // §4.3.2.3: a discontinuity where the codec configuration or the timeline breaks.
        let broken = before.is_some_and(|(last, _)| {
            last.codec != segment.codec || segment.start_90k > last.end_90k() + SECOND / 10
        });
        assert!(!broken || line.discontinuities > 0);
        // §4.3.2.6, §6.3.3: dates and durations together give each segment's time.
        let exact = MediaTime::from_ticks(segment.start_90k).media_to_wall();
        let start_s = exact.timestamp_micros() as f64 / 1e6;
        let told_s = match line.date {
            Some(date) => date.timestamp_micros() as f64 / 1e6,
            None => before.unwrap().1,
        };
        assert!((told_s - start_s).abs() < 0.0015, "{told_s} {start_s}");
        before = Some((segment, told_s + line.duration_s));
    }
}

/// ISO/IEC 23009-1 on `periods`, which show all of `recorded`.
pub(crate) fn check_dash(periods: &[Period], recorded: &[Recorded], live: bool) {
    let longest_90k = recorded.iter().map(|segment| segment.duration_90k).max();
    let longest_90k = u64::from(longest_90k.unwrap_or(0));
    // §5.3.2.1: starts ascend, ids are unique.
    assert!(periods.is_sorted_by(|a, b| a.start_ns < b.start_ns && a.offset_90k < b.offset_90k));
    let ids: BTreeSet<_> = periods.iter().map(|period| &period.id).collect();
    assert_eq!(ids.len(), periods.len());
    let origin_90k = if live { 0 } else { periods[0].offset_90k };
    for period in periods {
        // §5.3.9.6.1: media time is presentation time: Period@start says what the offset says.
        let exact_ns = u128::from(period.offset_90k - origin_90k) * 100_000 / 9;
        assert!(period.start_ns.abs_diff(exact_ns) <= 1);
        assert!(!period.sets.is_empty());
    }
    let by_start: BTreeMap<_, _> = recorded
        .iter()
        .map(|segment| ((segment.kind, segment.start_90k), segment))
        .collect();
    for kind in TrackKind::ALL {
        let mut listed = Vec::new();
        for (index, period) in periods.iter().enumerate() {
            let end_90k = periods
                .get(index + 1)
                .map_or(u64::MAX, |next| next.offset_90k);
            for set in period.sets.iter().filter(|set| set.kind == kind) {
                assert!(!set.segments.is_empty());
                for (start_90k, duration_90k) in &set.segments {
                    let segment = by_start[&(kind, *start_90k)];
                    assert_eq!(u64::from(segment.duration_90k), *duration_90k);
                    // One init segment a Period, and it is the one that the segment needs.
                    assert_eq!(set.init, init_name_of(segment));
                    // §5.3.2.2: what lies outside its Period is not played.
                    assert!(start_90k + longest_90k >= period.offset_90k);
                    assert!(segment.middle_90k() < end_90k);
                    listed.push(*segment);
                }
            }
        }
        assert_eq!(listed, of_kind(recorded, kind), "none lost, none twice");
    }
}
