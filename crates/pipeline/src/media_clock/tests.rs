//! A simulated camera with a clock of its own, a network and a wall clock that may be set.

use dayreel_core::{MediaTime, TrackKind};
use proptest::prelude::*;

use super::{Arrival, DOUBT_90K, MediaClock, SECOND_90K, Stamp};

const VIDEO: TrackKind = TrackKind::Video;
const AUDIO: TrackKind = TrackKind::Audio;
const STEP: u64 = 3_600;
/// 2026-11-22, some time of day, at a whole millisecond.
const EPOCH_90K: u64 = 1_795_363_385 * 90_000 + 17 * 90;

fn arrival(steady_90k: u64) -> Arrival {
    arrival_with_wall(steady_90k, 0)
}

fn arrival_with_wall(steady_90k: u64, set_90k: i64) -> Arrival {
    Arrival {
        wall: MediaTime::from_ticks((EPOCH_90K + steady_90k).saturating_add_signed(set_90k)),
        steady_90k: 77 + steady_90k,
    }
}

fn durations(stamps: &[Stamp]) -> Vec<u64> {
    let ticks = |stamp: &Stamp| stamp.media.ticks();
    stamps
        .windows(2)
        .map(|pair| ticks(&pair[1]) - ticks(&pair[0]))
        .collect()
}

/// The n-th picture of an ideal camera that delivers at once.
fn ideal(clock: &mut MediaClock, n: u64) -> Stamp {
    clock
        .stamp(VIDEO, Some(n * STEP), arrival(n * STEP))
        .unwrap()
}

#[test]
fn media_time_starts_at_the_wall_clock_and_keeps_exact_rtp_durations() {
    let mut clock = MediaClock::new();
    let stamps: Vec<_> = (0..5_000)
        .map(|n| {
            let jitter_90k = n * 7_919 % 5_000;
            clock
                .stamp(VIDEO, Some(n * STEP), arrival(n * STEP + jitter_90k))
                .unwrap()
        })
        .collect();
    assert_eq!(stamps[0].media.ticks(), EPOCH_90K);
    assert!(durations(&stamps).iter().all(|d| *d == STEP));
    assert!(stamps.iter().all(|stamp| stamp.span == 0));
}

/// A decoder that takes half as long again as there is time: of 250 pictures 50 are left out, and the one after them
/// comes out of the encoder right after the one before them.
#[test]
fn regression_pictures_left_out_on_a_slow_machine_took_their_time_with_them() {
    let is_exact = |by_entry: bool| {
        let mut clock = MediaClock::new();
        let taken = (0..100_u64).chain(150..250);
        let stamps = taken.map(|n| {
            let now = arrival(STEP * if n < 100 { n * 3 / 2 } else { n + 1 });
            let came = now.at(arrival(n * STEP).steady_90k);
            let stamp = clock.stamp(VIDEO, Some(n * STEP), if by_entry { came } else { now });
            (n, stamp.unwrap().media.ticks())
        });
        let stamps: Vec<_> = stamps.collect();
        let first = stamps[0].1;
        stamps.iter().all(|(n, ticks)| ticks - first == n * STEP)
    };
    assert!(is_exact(true));
    assert!(!is_exact(false), "the hole is no jump of the RTP clock");
}

#[test]
fn the_first_picture_is_at_a_whole_millisecond_whoever_begins() {
    for sound_first in [false, true] {
        for odd_90k in [1, 8, 17, 89, 90] {
            let mut clock = MediaClock::new();
            let at = |n: u64| arrival(n + odd_90k);
            if sound_first {
                let sound = clock.stamp(AUDIO, Some(0), at(0)).unwrap();
                assert_eq!(sound.media.ticks(), EPOCH_90K + odd_90k);
            }
            let stamps =
                [1, 2, 3].map(|n| clock.stamp(VIDEO, Some(n * STEP), at(n * STEP)).unwrap());
            let due_90k = EPOCH_90K + odd_90k + STEP;
            let late_90k = stamps[0].media.ticks() - due_90k;
            assert!(late_90k < 90, "{odd_90k}: {late_90k}");
            assert_eq!(stamps[0].media.ticks() % 90, 0, "{odd_90k}");
            assert_eq!(durations(&stamps), [STEP, STEP]);
        }
    }
}

/// The largest distance of media time from the wall clock in a day of a camera that is fast by
/// `ppm`, and whether all was one ordered span.
fn a_day_of_drift(ppm: i64) -> (i64, bool) {
    let mut clock = MediaClock::new();
    let (mut worst, mut ordered, mut last) = (0, true, 0);
    for n in 0..86_400 * 5_u64 {
        let steady_90k = n * 18_000;
        let pts = steady_90k.saturating_add_signed(steady_90k as i64 / 1_000 * ppm / 1_000);
        let delay_90k = n * 7_919 % 20_000 * u64::from(n % 5 != 0);
        let stamp = clock
            .stamp(VIDEO, Some(pts), arrival(steady_90k + delay_90k))
            .unwrap();
        worst = worst.max(stamp.media.ticks().abs_diff(EPOCH_90K + steady_90k));
        ordered &= stamp.span == 0 && stamp.media.ticks() > last;
        last = stamp.media.ticks();
    }
    (worst as i64, ordered)
}

#[test]
fn a_camera_that_is_a_thousandth_fast_or_slow_stays_within_a_second_over_a_day() {
    for ppm in [1_000, -1_000, 100, -30, 0] {
        let (worst_90k, ordered) = a_day_of_drift(ppm);
        assert!(worst_90k < SECOND_90K / 2, "{ppm} ppm: off by {worst_90k}");
        assert!(ordered, "{ppm} ppm");
    }
}

#[test]
fn sound_shares_the_offset_of_the_picture_while_it_moves() {
    let mut clock = MediaClock::new();
    for n in 0..200_000_u64 {
        let pts = n * STEP;
        let steady_90k = pts - pts / 1_000;
        let picture = clock.stamp(VIDEO, Some(pts), arrival(steady_90k)).unwrap();
        let sound = clock
            .stamp(AUDIO, Some(pts + 1_920), arrival(steady_90k + 9))
            .unwrap();
        assert_eq!(sound.media.ticks() - picture.media.ticks(), 1_920);
    }
}

/// Cameras set their clock by NTP, and some jitter buffers begin anew: a step back of less than a
/// second is no picture out of order.
#[test]
fn a_clock_that_is_set_back_by_less_than_a_second_shifts_nothing() {
    for back in [1, 4, 10, 20] {
        let mut clock = MediaClock::new();
        let stamp = |n: u64| {
            let made = if n < 60 { n } else { n - back };
            clock.stamp(VIDEO, Some((100 + made) * STEP), arrival(n * STEP))
        };
        let stamps: Vec<_> = (0..200).map(stamp).map(Option::unwrap).collect();
        assert!(durations(&stamps).iter().all(|d| *d == STEP), "{back}");
    }
}

#[test]
fn an_encoder_that_begins_to_reorder_is_believed() {
    let mut clock = MediaClock::new();
    // Each P is followed by the two B before it.
    let shown = |n: u64| match n {
        0..60 => n,
        _ if n.is_multiple_of(3) => n + 2,
        _ => n - 1,
    };
    let stamps: Vec<_> = (0..200)
        .map(|n| {
            let pts = Some((100 + shown(n)) * STEP);
            (
                shown(n),
                clock
                    .stamp(VIDEO, pts, arrival(n * STEP))
                    .unwrap()
                    .media
                    .ticks(),
            )
        })
        .collect();
    let (shown_first, zero) = stamps[0];
    let settled = stamps[70..].iter();
    for (shown, media) in settled {
        assert_eq!(media - zero, (shown - shown_first) * STEP);
    }
}

#[test]
fn one_mad_timestamp_is_replaced_and_shifts_nothing() {
    for mad in [0, 90_000 * 18_000, u64::MAX / 2, u64::MAX] {
        let mut clock = MediaClock::new();
        let stamps: Vec<_> = (100..300)
            .map(|n| match n {
                200 => clock.stamp(VIDEO, Some(mad), arrival(n * STEP)).unwrap(),
                _ => ideal(&mut clock, n),
            })
            .collect();
        assert!(durations(&stamps).iter().all(|d| *d == STEP), "{mad}");
        assert_eq!(clock.span(), 0);
    }
}

#[test]
fn a_jump_of_the_rtp_clock_is_taken_out_and_recording_runs_on() {
    for jump in [-10 * SECOND_90K, 10 * SECOND_90K, 5 * 3_600 * SECOND_90K] {
        let mut clock = MediaClock::new();
        let mut stamps = vec![];
        for n in 1_000..2_000 {
            let by = if n < 1_500 { 0 } else { jump };
            let pts = (n * STEP).saturating_add_signed(by);
            stamps.push(clock.stamp(VIDEO, Some(pts), arrival(n * STEP)).unwrap());
            let sound = clock.stamp(AUDIO, Some(pts), arrival(n * STEP)).unwrap();
            assert_eq!(
                sound.media,
                stamps[stamps.len() - 1].media,
                "in sync at {n}"
            );
        }
        assert!(durations(&stamps).iter().all(|d| *d == STEP), "{jump}");
        assert_eq!(clock.span(), 0);
    }
}

/// By how many ticks at most sound and picture are apart from picture 1 200 on, of a camera whose pictures
/// `lost` are lost, and which sets the RTP clock of the picture back by 10 s at number 1 000, while all
/// that is on its way is held up until number 1 075 comes, where the network stalls.
fn apart_behind_a_pause(lost: std::ops::Range<u64>, stalls: bool) -> u64 {
    let mut clock = MediaClock::new();
    let mut apart_90k = 0;
    let mut last = 0;
    for n in 500..2_000_u64 {
        let late = match stalls && (1_000..1_075).contains(&n) {
            true => arrival(1_075 * STEP),
            false => arrival(n * STEP),
        };
        let sound = clock.stamp(AUDIO, Some(n * STEP), late).unwrap();
        if lost.contains(&n) {
            continue;
        }
        let back = if n < 1_000 { 0 } else { 250 };
        let stamp = clock.stamp(VIDEO, Some((n - back) * STEP), late).unwrap();
        let picture = stamp.media.ticks();
        assert!(picture > last, "{n}");
        last = picture;
        if n >= 1_200 {
            apart_90k = apart_90k.max(picture.abs_diff(sound.media.ticks()));
        }
    }
    assert_eq!(clock.span(), 0);
    apart_90k
}

/// A machine that stood still for 3 s found all packets of that time, and a clock set back by 10 s: the
/// pictures were taken for those after 3 s without any, and stood 2 s beside the sound from then on.
#[test]
fn regression_a_jump_behind_a_stall_moved_the_picture_away_from_the_sound() {
    assert_eq!(apart_behind_a_pause(0..0, true), 0);
}

#[test]
fn a_jump_behind_lost_pictures_leaves_the_picture_beside_the_sound() {
    let jitter_90k = STEP;
    assert!(apart_behind_a_pause(1_000..1_075, false) <= jitter_90k);
    // Half of them lost, the others late.
    assert!(apart_behind_a_pause(1_000..1_038, true) <= jitter_90k);
}

#[test]
fn a_mad_timestamp_between_pictures_a_minute_apart_is_replaced_by_when_it_comes() {
    let minute_90k = 60 * SECOND_90K.unsigned_abs();
    let mut clock = MediaClock::new();
    let stamps: Vec<_> = (0..20)
        .map(|n: u64| {
            let pts = if n == 9 { 5 } else { 1_000 + n * minute_90k };
            let arrival = arrival(n * minute_90k);
            clock.stamp(VIDEO, Some(pts), arrival).unwrap()
        })
        .collect();
    assert!(durations(&stamps).iter().all(|d| *d == minute_90k));
}

#[test]
fn pictures_without_or_with_repeated_timestamps_are_spread_evenly() {
    let mut clock = MediaClock::new();
    let stamps: Vec<_> = (0..500)
        .map(|n| {
            let pts = match n % 25 {
                0 => Some(n * STEP),
                odd if odd % 2 == 1 => None,
                _ => Some(n / 25 * 25 * STEP),
            };
            clock.stamp(VIDEO, pts, arrival(n * STEP)).unwrap()
        })
        .collect();
    assert!(durations(&stamps).iter().all(|d| *d == STEP));
}

#[test]
fn nothing_is_stamped_before_the_first_timestamp() {
    let mut clock = MediaClock::new();
    assert_eq!(clock.stamp(VIDEO, None, arrival(0)), None);
    assert_eq!(ideal(&mut clock, 1).media.ticks(), EPOCH_90K + STEP);
}

#[test]
fn a_stalled_network_moves_nothing() {
    let mut clock = MediaClock::new();
    let stamps: Vec<_> = (0..3_000)
        .map(|n| {
            let late = if (1_000..1_300).contains(&n) {
                1_300
            } else {
                n
            };
            clock
                .stamp(VIDEO, Some(n * STEP), arrival(late * STEP))
                .unwrap()
        })
        .collect();
    assert!(durations(&stamps).iter().all(|d| *d == STEP));
    assert_eq!(clock.span(), 0);
}

#[test]
fn a_clock_set_forward_starts_a_span_at_the_new_time() {
    let mut clock = MediaClock::new();
    ideal(&mut clock, 0);
    let day_90k = 86_400 * SECOND_90K;
    let after = clock
        .stamp(VIDEO, Some(STEP), arrival_with_wall(STEP, day_90k))
        .unwrap();
    assert_eq!(after.span, 1);
    assert_eq!(
        after.media.ticks(),
        EPOCH_90K + STEP + day_90k.unsigned_abs()
    );
}

/// Pictures of a camera whose machine's clock shows `set_90k(n)` too much at picture `n`.
fn with_set_clock(
    clock: &mut MediaClock,
    pictures: std::ops::Range<u64>,
    set_90k: impl Fn(u64) -> i64,
) -> Vec<(u64, Option<Stamp>)> {
    let stamp = |n: u64| {
        let arrival = arrival_with_wall(n * STEP, set_90k(n));
        (
            arrival.wall.ticks(),
            clock.stamp(VIDEO, Some(n * STEP), arrival),
        )
    };
    pictures.map(stamp).collect()
}

/// How far media time is from the wall clock at most, in ticks.
fn worst(stamps: &[(u64, Option<Stamp>)]) -> u64 {
    let off =
        |(wall, stamp): &(u64, Option<Stamp>)| Some(stamp.as_ref()?.media.ticks().abs_diff(*wall));
    stamps.iter().filter_map(off).max().unwrap()
}

#[test]
fn a_clock_set_back_by_seconds_is_waited_for() {
    for back_s in [2, 5, 10] {
        let mut clock = MediaClock::new();
        let set = |n| if n < 1_000 { 0 } else { -back_s * SECOND_90K };
        let stamps = with_set_clock(&mut clock, 0..3_000, set);
        let dropped = stamps.iter().filter(|(_, stamp)| stamp.is_none()).count();
        assert_eq!(dropped as i64, back_s * 25, "set back by {back_s} s");
        assert!(worst(&stamps) < SECOND_90K.unsigned_abs());
        let kept: Vec<_> = stamps.iter().filter_map(|(_, stamp)| *stamp).collect();
        assert!(kept.is_sorted_by_key(|stamp| stamp.media));
        assert_eq!((kept[0].span, kept[kept.len() - 1].span), (0, 1));
    }
}

#[test]
fn a_clock_set_back_by_hours_is_followed_at_once() {
    let mut clock = MediaClock::new();
    let set = |n| match n {
        0..1_000 => 0,
        1_000..2_000 => -3 * 3_600 * SECOND_90K,
        _ => 26 * 3_600 * SECOND_90K,
    };
    let stamps = with_set_clock(&mut clock, 0..3_000, set);
    assert!(stamps.iter().all(|(_, stamp)| stamp.is_some()));
    assert!(worst(&stamps) < SECOND_90K.unsigned_abs());
    let spans: Vec<_> = stamps
        .iter()
        .filter_map(|(_, stamp)| Some(stamp.as_ref()?.span))
        .collect();
    assert_eq!(
        (spans[999], spans[1_000], spans[1_999], spans[2_000]),
        (0, 1, 1, 2)
    );
}

#[test]
fn a_clock_set_back_between_sessions_is_followed_by_the_next() {
    let mut clock = MediaClock::new();
    with_set_clock(&mut clock, 0..100, |_| 0);
    clock.restart();
    let stamps = with_set_clock(&mut clock, 200..300, |_| -3_600 * SECOND_90K);
    assert!(stamps.iter().all(|(_, stamp)| stamp.is_some()));
    assert!(worst(&stamps) < SECOND_90K.unsigned_abs());
}

/// A machine without a battery: it begins in 1970, and is set when the network is there.
#[test]
fn a_clock_that_begins_in_1970_goes_on_after_what_is_recorded_until_it_is_set() {
    let recorded = EPOCH_90K - 900 * 90_000;
    let mut clock = MediaClock::after(MediaTime::from_ticks(recorded));
    let in_1970 = 30 * SECOND_90K - EPOCH_90K.cast_signed();
    let set = |n| if n < 1_000 { in_1970 } else { 0 };
    let stamps = with_set_clock(&mut clock, 0..2_000, set);
    let media = |n: usize| stamps[n].1.unwrap().media.ticks();
    assert_eq!(media(0), recorded);
    assert!(media(999) < recorded + 1_000 * STEP);
    assert_eq!(media(1_000), EPOCH_90K + 1_000 * STEP);
    assert!(worst(&stamps[1_000..]) < SECOND_90K.unsigned_abs());
}

#[test]
fn a_clock_that_stays_behind_what_is_recorded_is_believed_in_the_end() {
    let mut clock = MediaClock::after(MediaTime::from_ticks(EPOCH_90K + 7_200 * 90_000));
    let stamps = with_set_clock(&mut clock, 0..25 * 700, |_| 0);
    let stamps: Vec<_> = stamps
        .into_iter()
        .map(|(wall, stamp)| (wall, stamp.unwrap()))
        .collect();
    let spans = stamps.iter().filter(|(_, stamp)| stamp.span == 0).count();
    assert_eq!(spans as i64, DOUBT_90K / STEP.cast_signed() + 1);
    let (wall, last) = stamps[stamps.len() - 1];
    assert!(last.media.ticks().abs_diff(wall) < SECOND_90K.unsigned_abs());
}

#[test]
fn a_start_within_a_second_of_what_is_recorded_goes_on_there() {
    let recorded = MediaTime::from_ticks(EPOCH_90K + 72_000);
    let mut clock = MediaClock::after(recorded);
    let stamps = with_set_clock(&mut clock, 0..20_000, |_| 0);
    assert_eq!(stamps[0].1.unwrap().media, recorded);
    assert!(stamps.iter().all(|(_, stamp)| stamp.unwrap().span == 0));
    assert!(worst(&stamps[10_000..]) < SECOND_90K.unsigned_abs() / 2);
}

#[test]
fn a_new_session_starts_after_all_that_was_stamped() {
    let mut clock = MediaClock::new();
    let before = clock.stamp(VIDEO, Some(0), arrival(0)).unwrap();
    clock.restart();
    let set_back = arrival_with_wall(9, -SECOND_90K / 2);
    let after = clock.stamp(VIDEO, Some(1_000_000), set_back).unwrap();
    assert!(after.media > before.media);
    assert_eq!((before.span, after.span), (0, 1));
}

#[test]
fn sound_whose_clock_starts_elsewhere_is_put_beside_the_picture() {
    let mut clock = MediaClock::new();
    let picture = ideal(&mut clock, 10);
    let sound = clock
        .stamp(AUDIO, Some(90_000 * 5_000), arrival(10 * STEP + 90))
        .unwrap();
    assert_eq!(sound.media.ticks() - picture.media.ticks(), 90);
}

proptest! {
    #[test]
    fn foreign_numbers_never_panic_and_sound_never_goes_back_in_a_span(
        input in prop::collection::vec(
            (any::<bool>(), any::<Option<u64>>(), any::<u32>(), -90_000_000_i64..90_000_000),
            1..200,
        ),
    ) {
        let mut clock = MediaClock::new();
        let mut last: Option<Stamp> = None;
        let mut steady_90k = 0;
        for (is_video, pts, waited, set) in input {
            steady_90k += u64::from(waited);
            let kind = if is_video { VIDEO } else { AUDIO };
            let stamp = clock.stamp(kind, pts, arrival_with_wall(steady_90k, set));
            if let (AUDIO, Some(stamp)) = (kind, stamp) {
                if let Some(last) = last.filter(|last| last.span == stamp.span) {
                    prop_assert!(stamp.media > last.media, "{last:?} {stamp:?}");
                }
                last = Some(stamp);
            }
        }
    }

    #[test]
    fn any_delays_leave_durations_exact_or_within_the_slew(
        delays in prop::collection::vec(0_u64..80_000, 500..1_500),
    ) {
        let mut clock = MediaClock::new();
        let stamps: Vec<_> = delays
            .iter()
            .zip(0..)
            .map(|(delay, n)| clock.stamp(VIDEO, Some(n * STEP), arrival(n * STEP + delay)).unwrap())
            .collect();
        prop_assert!(stamps.iter().all(|stamp| stamp.span == 0));
        prop_assert!(durations(&stamps).iter().all(|d| d.abs_diff(STEP) <= STEP / 500 + 1));
    }
}
