//! What holds for every day.

use std::collections::BTreeSet;

use dayreel_core::TrackKind;
use dayreel_manifest::{DayTimeline, Extent};
use proptest::prelude::*;

use crate::{
    camera::{Recorded, SECOND, append, append_listed, by_end, day_of, empty_day, run},
    dash_reader::Period,
    gzip,
    hls_reader::Media,
    random_days::{Stretch, record, stretches, with_steady_sound},
    rules::{check_dash, check_hls, dash, dash_of, finished_dash, hls, keyframes, of_kind},
};

const KINDS: [TrackKind; 2] = [TrackKind::Video, TrackKind::Audio];

/// Everything that is told about a day.
fn told(day: &DayTimeline) -> (Vec<Option<Media>>, Option<Vec<Period>>, Vec<Period>) {
    let media = KINDS.map(|kind| hls(day, kind, Extent::Whole)).to_vec();
    (media, dash(day), finished_dash(day))
}

/// Where recording goes on after gaps in all tracks.
fn after_gaps(recorded: &[Recorded]) -> BTreeSet<u64> {
    let mut recorded = recorded.to_vec();
    recorded.sort_by_key(|segment| segment.start_90k);
    let mut end_90k = recorded.first().map_or(0, Recorded::end_90k);
    let mut after_gaps = BTreeSet::new();
    for segment in &recorded {
        if segment.start_90k > end_90k + SECOND / 10 {
            after_gaps.insert(segment.start_90k);
        }
        end_90k = end_90k.max(segment.end_90k());
    }
    after_gaps
}

/// The segments of the track `kind` and their init segments, in the order of `periods`.
fn listed(periods: &[Period], kind: TrackKind) -> Vec<(String, (u64, u64))> {
    let sets = periods.iter().flat_map(|period| &period.sets);
    let own = sets.filter(|set| set.kind == kind);
    own.flat_map(|set| {
        set.segments
            .iter()
            .map(|segment| (set.init.clone(), *segment))
    })
    .collect()
}

/// The day as it is read back from its indexes.
fn restarted(recorded: &[Recorded]) -> DayTimeline {
    let mut day = empty_day();
    let mut entries = Vec::new();
    for segment in recorded {
        let discontinuities = append(&mut day, segment);
        entries.push((*segment, discontinuities));
    }
    entries.sort_by_key(|(segment, _)| (segment.end_90k(), segment.kind));
    let mut again = empty_day();
    for kind in KINDS {
        again.number_from(kind, day.track(kind).first());
    }
    for (segment, discontinuities) in entries {
        append_listed(&mut again, &segment, discontinuities);
    }
    again
}

#[test]
fn a_period_of_which_nothing_is_left_is_not_in_the_manifest() {
    let stretch = |video_codec, has_audio| Stretch {
        gap_90k: 0,
        video_codec,
        audio_codec: 0,
        has_audio,
        video_90k: vec![90_000; 4],
        audio_90k: 90_000,
        audio_offset_90k: 0,
    };
    let days = [stretch(0, true), stretch(1, false), stretch(0, false)];
    let recorded = record(&days, 0);
    // The pictures of the first two are gone, the sound of the first is not.
    let day = day_of(&recorded).without_first([8, 0, 0]);
    let periods = dash(&day).unwrap();
    let codecs: Vec<_> = periods.iter().map(|period| period.sets[0].kind).collect();
    assert_eq!(codecs, [TrackKind::Audio, TrackKind::Video]);
}

/// Ends before the other track has a segment: the next session is another span for both, whichever
/// track has the first segment of it.
#[test]
fn regression_a_session_of_one_track_made_a_discontinuity_amid_the_next() {
    for short in KINDS {
        let mut day = empty_day();
        let mut numbers = Vec::new();
        let both = |start_90k, count| {
            KINDS.map(|kind| run(kind, start_90k, 90_000, count, 0).collect::<Vec<_>>())
        };
        let start_90k = 100 * SECOND;
        let sessions = [
            both(start_90k, 2).concat(),
            run(short, start_90k + 10 * SECOND, 90_000, 1, 0).collect(),
            both(start_90k + 20 * SECOND, 3).concat(),
        ];
        for session in sessions {
            // The track that was recorded in between comes last.
            let mut session = by_end(session);
            session.sort_by_key(|segment| (segment.end_90k(), segment.kind == short));
            numbers.extend(session.iter().map(|segment| append(&mut day, segment)));
            day.interrupt();
        }
        assert_eq!(numbers, [0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0], "{short}");
        for kind in KINDS {
            let (first, spans) = (
                day.track(kind).first().discontinuity,
                hls(&day, kind, Extent::Whole).unwrap().spans(),
            );
            assert_eq!(&spans[spans.len() - 3..], [first + 2; 3], "{kind}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn documents_tell_exactly_what_was_recorded(
        day in stretches(false),
        lag_90k in 0..4 * SECOND,
    ) {
        let recorded = record(&day, lag_90k);
        let day = day_of(&recorded);
        for kind in KINDS {
            let own = of_kind(&recorded, kind);
            match hls(&day, kind, Extent::Whole) {
                Some(media) => check_hls(&media, &own),
                None => prop_assert!(own.is_empty()),
            }
        }
        check_dash(&finished_dash(&day), &recorded, false);
        // The newest Period may be held back while it is live, and nothing else.
        let (live, all) = (dash(&day).unwrap_or_default(), finished_dash(&day));
        let mut is_all = true;
        for kind in KINDS {
            let [shown, kept] = [&live, &all].map(|periods| listed(periods, kind));
            prop_assert!(kept.starts_with(&shown));
            is_all &= kept.len() == shown.len();
        }
        if is_all {
            check_dash(&live, &recorded, true);
        }
        // dash.js looks for what comes next at the end of what it has.
        let after_gaps_90k = after_gaps(&recorded);
        for period in &live {
            // Sound that begins long before the first picture may be in the Period before.
            let pictures = period.sets.iter().filter(|set| set.kind == TrackKind::Video);
            let segments = pictures.flat_map(|set| &set.segments);
            let starts_90k: BTreeSet<_> = segments.map(|(start_90k, _)| *start_90k).collect();
            let inside = starts_90k.iter().skip(1).find(|start_90k| after_gaps_90k.contains(start_90k));
            prop_assert!(inside.is_none(), "{inside:?} of {starts_90k:?}");
        }
        gzip::check(&day);
    }

    #[test]
    fn both_tracks_have_the_same_discontinuity_number_at_the_same_time(
        day in stretches(true),
        lag_90k in 0..20 * SECOND,
    ) {
        // Sound that comes after a break in which there was none can only be numbered right if it
        // comes later than the pictures: than their longest segment, 10 s.
        let is_late = lag_90k >= 10 * SECOND;
        let day = if is_late { day } else { with_steady_sound(day) };
        let recorded = record(&day, lag_90k);
        let day = day_of(&recorded);
        let spans = KINDS.map(|kind| {
            let media = hls(&day, kind, Extent::Whole);
            let numbers = media.map_or(Vec::new(), |media| media.spans());
            of_kind(&recorded, kind).into_iter().zip(numbers).collect::<Vec<_>>()
        });
        for (sound, number) in &spans[1] {
            let middle = sound.middle_90k();
            let around = spans[0].iter().rfind(|(picture, _)| picture.start_90k <= middle);
            if let Some((picture, expected)) = around.filter(|(p, _)| middle < p.end_90k()) {
                prop_assert_eq!(number, expected, "{:?} in {:?}", sound, picture);
            }
        }
    }

    #[test]
    fn a_delta_update_completes_an_older_playlist(
        day in stretches(false),
        lag_90k in 0..4 * SECOND,
        looked_at in any::<prop::sample::Index>(),
    ) {
        let recorded = record(&day, lag_90k);
        let mut day = empty_day();
        let place = looked_at.index(recorded.len());
        recorded[..place].iter().for_each(|segment| { append(&mut day, segment); });
        let mut old = KINDS.map(|kind| hls(&day, kind, Extent::Whole));
        for segment in &recorded[place..] {
            append(&mut day, segment);
            for (kind, old) in KINDS.into_iter().zip(&mut old) {
                let (new, delta) = (hls(&day, kind, Extent::Whole), hls(&day, kind, Extent::Delta));
                let (Some(known), Some(new), Some(delta)) = (&*old, &new, delta) else {
                    *old = new;
                    continue;
                };
                // §6.3.7 of the draft: a client asks for a delta only while it is younger than
                // half the skip boundary.
                let until_s = new.can_skip_until_s.unwrap();
                prop_assert!(until_s >= 6.0 * new.target_duration_s as f64);
                let missed = &new.lines[known.lines.len()..];
                let missed_s: f64 = missed.iter().map(|line| line.duration_s).sum();
                if missed_s > until_s / 2.0 {
                    *old = Some(new.clone());
                    continue;
                }
                // What is skipped is older than the boundary, and all that is older is.
                let kept_s: f64 = delta.lines.iter().map(|line| line.duration_s).sum();
                let first_s = delta.lines[0].duration_s;
                prop_assert!(delta.skipped == 0 || kept_s >= until_s - 1e-6);
                prop_assert!(kept_s - first_s < until_s);
                let mut merged = known.updated_by(&delta);
                if delta.skipped > 0 {
                    // The first that is not skipped is dated and has the map that is in force; in the whole
                    // playlist it need not.
                    let first = &mut merged.lines[delta.skipped];
                    prop_assert!(first.date.is_some());
                    let in_force = new.lines[..=delta.skipped].iter().rev();
                    prop_assert_eq!(&first.map, &in_force.flat_map(|line| line.map.clone()).next());
                    first.date = new.lines[delta.skipped].date;
                    first.map = new.lines[delta.skipped].map.clone();
                }
                merged.header.retain(|line| !line.starts_with("#EXT-X-SKIP"));
                prop_assert_eq!(&merged, new);
            }
        }
    }

    /// Whoever asks for them when: the lines are those of the segments, and so are the numbers.
    #[test]
    fn keyframes_are_listed_as_their_segments_are(
        day in stretches(false),
        lag_90k in 0..4 * SECOND,
        looked_at in any::<prop::sample::Index>(),
        window_s in 1..60_u64,
    ) {
        let recorded = record(&day, lag_90k);
        let mut day = empty_day();
        let place = looked_at.index(recorded.len());
        for (index, segment) in recorded.iter().enumerate() {
            append(&mut day, segment);
            if index == place || index + 1 == recorded.len() {
                for extent in [Extent::Whole, Extent::Delta, Extent::Window { seconds: window_s }] {
                    let (segments, keyframes) = (hls(&day, TrackKind::Video, extent), keyframes(&day, extent));
                    let Some((segments, keyframes)) = segments.zip(keyframes) else {
                        continue;
                    };
                    prop_assert_eq!(&keyframes.lines, &segments.lines);
                    prop_assert_eq!(keyframes.media_sequence, segments.media_sequence);
                    prop_assert_eq!(keyframes.discontinuity_sequence, segments.discontinuity_sequence);
                    prop_assert_eq!(keyframes.target_duration_s, segments.target_duration_s);
                    prop_assert_eq!(keyframes.skipped, segments.skipped);
                    prop_assert_eq!(keyframes.can_skip_until_s, segments.can_skip_until_s);
                }
            }
        }
    }

    /// What is listed is the end of what the whole day lists, at the same place of it.
    #[test]
    fn a_window_is_the_end_of_the_day(
        day in stretches(false),
        lag_90k in 0..4 * SECOND,
        window_s in 1..60_u64,
    ) {
        let recorded = record(&day, lag_90k);
        let day = day_of(&recorded);
        for kind in KINDS {
            let Some(whole) = hls(&day, kind, Extent::Whole) else {
                continue;
            };
            let window = hls(&day, kind, Extent::Window { seconds: window_s }).unwrap();
            let gone = whole.lines.len() - window.lines.len();
            prop_assert_eq!(window.media_sequence, whole.media_sequence + gone as u64);
            prop_assert_eq!(window.target_duration_s, whole.target_duration_s);
            prop_assert_eq!(window.spans(), &whole.spans()[gone..]);
            prop_assert_eq!(window.maps(), &whole.maps()[gone..]);
            // RFC 8216 §6.2.2, but no segment more.
            let least_s = window_s.max(3 * window.target_duration_s) as f64;
            let rest_s: f64 = window.lines[1..].iter().map(|line| line.duration_s).sum();
            let listed_s = rest_s + window.lines[0].duration_s;
            prop_assert!(gone == 0 || listed_s >= least_s - 1e-6);
            prop_assert!(rest_s < least_s);
            prop_assert!(window.lines[0].date.is_some());
            prop_assert_eq!(&window.lines[1..], &whole.lines[gone + 1..]);
        }
        let whole = dash(&day).unwrap_or_default();
        let window = dash_of(&day, Some(window_s)).unwrap_or_default();
        // The newest Period may be held back, and be all there is in the window.
        for period in &window {
            let same = whole.iter().find(|other| other.id == period.id).unwrap();
            prop_assert_eq!(period.offset_90k, same.offset_90k);
            prop_assert_eq!(period.start_ns, same.start_ns);
            for set in &period.sets {
                let known = same.sets.iter().find(|other| other.kind == set.kind).unwrap();
                prop_assert_eq!(&set.init, &known.init);
                prop_assert!(known.segments.ends_with(&set.segments));
            }
        }
        for kind in KINDS {
            let in_dash = |periods: &[Period]| -> Vec<u64> {
                let sets = periods.iter().flat_map(|period| &period.sets);
                let own = sets.filter(|set| set.kind == kind);
                own.flat_map(|set| set.segments.iter().map(|(start, _)| *start)).collect()
            };
            let own = of_kind(&recorded, kind);
            let listed = hls(&day, kind, Extent::Window { seconds: window_s });
            let listed = listed.map_or(0, |media| media.lines.len());
            let first_90k = own.get(own.len() - listed).map_or(u64::MAX, |first| first.start_90k);
            let mut expected = in_dash(&whole);
            expected.retain(|start_90k| *start_90k >= first_90k);
            prop_assert_eq!(in_dash(&window), expected);
        }
    }

    #[test]
    fn a_restart_changes_nothing(day in stretches(true)) {
        let recorded = record(&day, 0);
        prop_assert_eq!(told(&restarted(&recorded)), told(&day_of(&recorded)));
    }

    /// The order of arrival, which a restart does not know, decides no Period.
    #[test]
    fn periods_do_not_depend_on_which_track_comes_first(
        day in stretches(false),
        lag_90k in 0..40 * SECOND,
    ) {
        let (late, prompt) = (record(&day, lag_90k), by_end(record(&day, 0)));
        let mut video_first = prompt.clone();
        video_first.sort_by_key(|segment| segment.kind);
        for order in [late, prompt, video_first] {
            check_dash(&finished_dash(&day_of(&order)), &order, false);
        }
    }

    /// Players see the first hours slide out: what is left, and what comes, has the numbers, maps and
    /// Periods it would have had.
    #[test]
    fn a_day_without_its_beginning_goes_on_as_if_nothing_had_happened(
        day in stretches(false),
        lag_90k in 0..4 * SECOND,
        trimmed_at in any::<prop::sample::Index>(),
        hour_ends_at in any::<prop::sample::Index>(),
    ) {
        let recorded = record(&day, lag_90k);
        let place = trimmed_at.index(recorded.len());
        let (before, after) = recorded.split_at(place);
        let from_90k = recorded[hour_ends_at.index(recorded.len())].start_90k;
        let dropped = TrackKind::ALL.map(|kind| {
            // The newest segment stays, as the hour file that is being written does.
            let own = of_kind(before, kind);
            let older = &own[..own.len().saturating_sub(1)];
            older.iter().take_while(|segment| segment.start_90k < from_90k).count()
        });
        let mut trimmed = day_of(before).without_first(dropped);
        let whole = day_of(&recorded);
        for segment in after {
            append(&mut trimmed, segment);
        }
        for kind in KINDS {
            let (Some(whole), Some(left)) = (hls(&whole, kind, Extent::Whole), hls(&trimmed, kind, Extent::Whole))
            else {
                continue;
            };
            let gone = dropped[kind as usize];
            prop_assert_eq!(left.media_sequence, whole.media_sequence + gone as u64);
            prop_assert_eq!(left.target_duration_s, whole.target_duration_s);
            prop_assert_eq!(left.spans(), &whole.spans()[gone..]);
            prop_assert_eq!(left.maps(), &whole.maps()[gone..]);
            let names = |media: &Media| -> Vec<String> {
                media.lines.iter().map(|line| line.name.clone()).collect()
            };
            prop_assert_eq!(names(&left), &names(&whole)[gone..]);
        }
        let (Some(whole), Some(left)) = (dash(&whole), dash(&trimmed)) else {
            return Ok(());
        };
        for period in &left {
            let same = whole.iter().find(|other| other.id == period.id);
            let same = same.expect("a Period keeps its id");
            prop_assert_eq!(period.offset_90k, same.offset_90k);
            prop_assert_eq!(period.start_ns, same.start_ns);
            for set in &period.sets {
                let known = same.sets.iter().find(|other| other.kind == set.kind);
                let known = known.map_or(&[][..], |known| &known.segments);
                prop_assert!(known.ends_with(&set.segments), "{:?} in {:?}", set, same);
            }
        }
        // A finished day begins with the first picture or sound that is left.
        if !trimmed.is_empty() {
            let finished = finished_dash(&trimmed);
            prop_assert_eq!(finished[0].start_ns, 0);
        }
    }
}
