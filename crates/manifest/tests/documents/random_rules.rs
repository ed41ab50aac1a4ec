//! What holds for every day.

use dayreel_core::TrackKind;
use dayreel_manifest::DayTimeline;
use proptest::prelude::*;

use crate::{
    camera::{Recorded, SECOND, append, append_listed, by_end, day_of, empty_day},
    gzip,
    hls_reader::Media,
    random_days::{Stretch, record, stretches, with_steady_sound},
    rules::{check_dash, check_hls, dash, finished_dash, hls, of_kind},
};

const KINDS: [TrackKind; 2] = [TrackKind::Video, TrackKind::Audio];

/// Everything that is told about a day.
fn told(day: &DayTimeline) -> (Vec<Option<Media>>, Vec<crate::dash_reader::Period>) {
    let media = KINDS.map(|kind| hls(day, kind, false)).to_vec();
    (media, finished_dash(day))
}

/// The day as it is read back from its indexes.
fn restarted(recorded: &[Recorded]) -> DayTimeline {
    let mut day = empty_day();
    let mut entries = Vec::new();
    for segment in recorded {
        let discontinuity = append(&mut day, segment);
        entries.push((*segment, discontinuity));
    }
    entries.sort_by_key(|(segment, _)| (segment.end_90k(), segment.kind));
    let mut again = empty_day();
    for kind in KINDS {
        again.number_from(kind, day.track(kind).first());
    }
    for (segment, discontinuity) in entries {
        append_listed(&mut again, &segment, discontinuity);
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
    let day = day_of(&recorded).without_first([8, 0]);
    let periods = finished_dash(&day);
    let ids: Vec<_> = periods.iter().map(|period| period.id.as_str()).collect();
    assert_eq!(ids, ["0", "2"]);
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
            match hls(&day, kind, false) {
                Some(media) => check_hls(&media, &own),
                None => prop_assert!(own.is_empty()),
            }
        }
        check_dash(&finished_dash(&day), &recorded, false);
        // The newest Period may be held back while it is live, and nothing else.
        let (live, all) = (dash(&day).unwrap_or_default(), finished_dash(&day));
        prop_assert!(live.len() + 1 >= all.len());
        for (live, all) in live.iter().zip(&all) {
            prop_assert_eq!(&live.sets, &all.sets);
        }
        if live.len() == all.len() {
            check_dash(&live, &recorded, true);
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
            let media = hls(&day, kind, false);
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
        let mut old = KINDS.map(|kind| hls(&day, kind, false));
        for segment in &recorded[place..] {
            append(&mut day, segment);
            for (kind, old) in KINDS.into_iter().zip(&mut old) {
                let (new, delta) = (hls(&day, kind, false), hls(&day, kind, true));
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
                    // The first that is not skipped is dated, in the whole playlist it need not be.
                    merged.lines[delta.skipped].date = new.lines[delta.skipped].date;
                    prop_assert!(delta.lines[0].date.is_some());
                }
                merged.header.retain(|line| !line.starts_with("#EXT-X-SKIP"));
                prop_assert_eq!(&merged, new);
            }
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
        let dropped = KINDS.map(|kind| {
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
            let (Some(whole), Some(left)) = (hls(&whole, kind, false), hls(&trimmed, kind, false))
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
