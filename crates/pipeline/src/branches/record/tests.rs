//! All that goes into the branch is recorded, at whatever times it comes.

use std::time::Duration;

use chrono_tz::Tz;
use dayreel_core::{MediaTime, TrackKind};
use dayreel_manifest::Segment;
use gstreamer as gst;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{cuts::EARLY, *};
use crate::{
    frame::{recorded::Recorded, streams},
    track::media_to_pts,
};

const SEGMENT: Duration = Duration::from_secs(4);
/// When all these recordings begin.
const START: MediaTime = MediaTime::from_ticks(streams::START.seconds() * TICKS_PER_SECOND);

/// An access unit: how long after the one before, and whether pictures can be decoded from it on.
#[derive(Clone, Copy, Debug)]
struct Unit {
    after_90k: u64,
    is_keyframe: bool,
}

/// Records `units`, and returns the segments.
fn record(units: &[Unit]) -> Vec<Segment> {
    let (caps, encoded) = streams::Stream {
        size: (64, 64),
        pictures: u32::try_from(units.len()).unwrap(),
        gop: 1,
        ..streams::Stream::default()
    }
    .encode();
    let mut media = START;
    let timed: Vec<_> = encoded
        .into_iter()
        .zip(units)
        .map(|(mut buffer, unit)| {
            media = media.saturating_add(unit.after_90k);
            let timed = buffer.make_mut();
            timed.set_pts(media_to_pts(media));
            timed.set_dts(gst::ClockTime::NONE);
            // As the stamp leaves it: shorter than the distance to the next.
            timed.set_duration(gst::ClockTime::from_mseconds(5));
            timed.unset_flags(gst::BufferFlags::DELTA_UNIT);
            if !unit.is_keyframe {
                timed.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            buffer
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let recorded = Recorded::open(folder.path(), Tz::UTC, START.media_to_wall());
    recorded.record(&caps, &timed, SEGMENT);
    let date = START.media_to_wall().date_naive();
    let day = recorded.archive.day(date).unwrap().unwrap();
    let timeline = day.timeline();
    timeline.track(TrackKind::Video).segments().to_vec()
}

/// The segments there should be: their starts, and how many access units each has.
fn due(units: &[Unit]) -> Vec<(MediaTime, u32)> {
    let least_90k = 90 * u64::try_from((SEGMENT - EARLY).as_millis()).unwrap();
    let mut due: Vec<(MediaTime, u32)> = vec![];
    let mut media = START;
    for unit in units {
        media = media.saturating_add(unit.after_90k);
        match due.last_mut() {
            Some((start, count))
                if !unit.is_keyframe || media.ticks() - start.ticks() < least_90k =>
            {
                *count += 1;
            }
            _ => due.push((media, 1)),
        }
    }
    due
}

fn found(segments: &[Segment]) -> Vec<(MediaTime, u32)> {
    let found = segments.iter();
    found
        .map(|segment| (segment.start, segment.access_units))
        .collect()
}

/// All is recorded without a gap.
fn check_whole(segments: &[Segment], units: &[Unit]) {
    for pair in segments.windows(2) {
        assert_eq!(pair[0].end(), pair[1].start, "{units:?}");
    }
    let recorded: u32 = segments.iter().map(|segment| segment.access_units).sum();
    assert_eq!(usize::try_from(recorded).unwrap(), units.len(), "{units:?}");
}

#[test]
fn a_camera_with_one_picture_in_seconds_or_a_minute_is_recorded() {
    for step_ms in [
        40, 150, 233, 250, 400, 500, 1000, 1999, 2000, 4000, 7000, 60_000,
    ] {
        for gop in [1, 2, 8, 30] {
            let unit = |number| Unit {
                after_90k: step_ms * 90,
                is_keyframe: number % gop == 0,
            };
            let units: Vec<_> = (0..60).map(unit).collect();
            let segments = record(&units);
            check_whole(&segments, &units);
            // GOPs shorter than a chunk are joined to chunks first.
            if step_ms * gop >= 333 {
                let (found, due) = (found(&segments), due(&units));
                let all_but_last = ..found.len() - 1;
                assert_eq!(
                    found[all_but_last], due[all_but_last],
                    "every {step_ms} ms, GOP of {gop}"
                );
            }
        }
    }
}

/// Pictures that were lost just before a keyframe, or keyframes that come at any time, once stopped
/// the recording for ever.
#[test]
fn keyframes_and_pauses_at_any_time_do_not_stop_the_recording() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let step_ms = random.random_range(33..400_u64);
        let keyframes = random.random_range(1..20);
        let units: Vec<_> = (0..80)
            .map(|number| {
                let pause_ms = match random.random_ratio(1, 15) {
                    true => random.random_range(0..6000),
                    false => random.random_range(0..step_ms / 4),
                };
                Unit {
                    after_90k: (step_ms + pause_ms) * 90,
                    is_keyframe: number == 0 || random.random_ratio(1, keyframes),
                }
            })
            .collect();
        let segments = record(&units);
        check_whole(&segments, &units);
    }
}
