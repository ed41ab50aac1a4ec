//! RTP times that no clock ever showed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dayreel_core::{TICKS_PER_SECOND, TrackKind};
use dayreel_testcam::scripted::{FPS, Oddity, Script, Start, Unit};

use crate::check::{
    ENOUGH, Odd, PICTURE_90K, assert_consecutive, assert_pace, assert_timeline, film, h264,
    h264_with_aac, oddly,
};

/// RTP ticks of a picture.
const PICTURE: u32 = 90_000 / FPS;

/// All pictures are recorded, in order, on one timeline without holes that stays with the wall clock.
fn is_recorded_in_order(script: Script, pictures: u32, longest_90k: u64) {
    stays_in_order(&Odd::start(script), pictures, longest_90k);
}

pub(crate) fn stays_in_order(odd: &Odd, pictures: u32, longest_90k: u64) {
    let given = odd.record(pictures);
    let pairs = odd.pairs(&given, TrackKind::Video);
    assert_consecutive(&pairs);
    assert_eq!(
        odd.recorded.camera.status().reconnects,
        0,
        "{}",
        odd.story()
    );
    let units = film(&given, TrackKind::Video).units;
    assert_timeline(&units, longest_90k);
    let last = units[units.len() - 1];
    let end = Duration::from_nanos((last.start_90k + last.duration_90k) * 100_000 / 9);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let off = now.abs_diff(end);
    assert!(off < Duration::from_secs(3), "media time is off by {off:?}");
}

/// RFC 3550 §5.1: the timestamp is the sampling instant. Some cameras take it once a second: every
/// picture gets its time by the order and the pace they come in.
#[test]
fn pictures_of_a_second_with_one_timestamp_are_told_apart() {
    let script = oddly(Oddity::CoarseTime);
    is_recorded_in_order(script, 2 * ENOUGH, 2 * TICKS_PER_SECOND);
}

/// A camera without a clock: all timestamps are 0.
#[test]
fn pictures_without_time_are_told_apart() {
    are_paced(&Odd::start(oddly(Oddity::NoTime)));
}

/// All pictures are recorded, in order and each after the one before. The last of a chunk may be said to
/// be longer than until the next, which nobody knows before it comes.
pub(crate) fn are_paced(odd: &Odd) {
    let given = odd.record(2 * ENOUGH);
    assert_consecutive(&odd.pairs(&given, TrackKind::Video));
    assert_pace(&film(&given, TrackKind::Video).units, 2 * TICKS_PER_SECOND);
    assert_eq!(
        odd.recorded.camera.status().reconnects,
        0,
        "{}",
        odd.story()
    );
}

/// RTP time that jumps from picture 40 on.
pub(crate) fn jumping(ms: i32) -> Script {
    let mut script = h264();
    script.edit_times(move |unit| {
        let jump = if unit.number >= 40 { 90 * ms } else { 0 };
        unit.time.wrapping_add_signed(jump)
    });
    script
}

/// RFC 3550 §5.1: RTP time is monotonic. Cameras set it when theirs is set: 10 s forward …
#[test]
fn a_clock_that_jumps_forward_moves_nothing() {
    is_recorded_in_order(jumping(10_000), 2 * ENOUGH, TICKS_PER_SECOND);
}

/// … and 10 s back.
#[test]
fn a_clock_that_jumps_back_moves_nothing() {
    is_recorded_in_order(jumping(-10_000), 2 * ENOUGH, TICKS_PER_SECOND);
}

/// A step of NTP: less than a second back, as if pictures were out of order.
#[test]
fn a_clock_that_steps_back_by_less_than_a_second_moves_nothing() {
    is_recorded_in_order(jumping(-400), 2 * ENOUGH, 2 * PICTURE_90K);
}

/// One picture with a time of its own, and then all is as before.
#[test]
fn one_mad_timestamp_moves_nothing() {
    let mut script = h264();
    script.edit_times(|unit| match unit.number {
        17 => unit.time.wrapping_add(0x6000_0000),
        _ => unit.time,
    });
    is_recorded_in_order(script, 2 * ENOUGH, TICKS_PER_SECOND);
}

/// RFC 3550 §5.1: 32 bits of 90 kHz wrap every 13 hours.
#[test]
fn rtp_time_that_wraps_goes_on() {
    let mut script = h264();
    script.feed.starts = vec![Start {
        ssrc: 1,
        sequence: 65_530,
        time: u32::MAX - 17 * PICTURE,
    }];
    Odd::start(script).is_recorded_as_sent();
}

/// A quartz that is 0.1 % fast: the pictures come so much faster than their times say.
#[test]
fn a_fast_clock_is_followed() {
    let mut script = h264();
    script.feed.speed = 1.001;
    Odd::start(script).is_recorded_as_sent();
}

/// A camera that holds its pictures back for 300 ms, and knows it: its sender reports say so.
pub(crate) fn late_pictures() -> Script {
    let mut script = h264_with_aac();
    script.edit_times(|unit| match unit.track {
        0 => unit.time.wrapping_sub(300 * 90),
        _ => unit.time,
    });
    script
}

/// RFC 3550 §6.4.1: sender reports align sound and picture, where arrival does not.
#[test]
fn sender_reports_align_sound_and_picture() {
    are_aligned_by_reports(&Odd::start(late_pictures()));
}

pub(crate) fn are_aligned_by_reports(odd: &Odd) {
    let given = odd.record(2 * ENOUGH);
    assert_consecutive(&odd.pairs(&given, TrackKind::Audio));
    let apart_ms = odd.apart_ms(&given);
    assert!((-310..=-290).contains(&apart_ms), "{apart_ms} ms");
}

/// RFC 3550 §6.4.1: some cameras' disagree by 1.5 s, or by less: the arrival of packets says how it is.
#[test]
fn sender_reports_that_disagree_shift_nothing() {
    for off_ms in [vec![0, 1_500], vec![1_500, 0], vec![700, 0]] {
        let mut script = h264_with_aac();
        script.feed.reports_off_ms = Some(off_ms);
        let odd = Odd::start(script);
        let given = odd.record(2 * ENOUGH);
        assert_consecutive(&odd.pairs(&given, TrackKind::Audio));
        odd.assert_in_sync(&given);
    }
}

/// RFC 3550 §6.2 wants reports. Without them all is the same.
#[test]
fn no_sender_reports_are_needed() {
    let mut script = h264_with_aac();
    script.feed.reports_off_ms = None;
    let odd = Odd::start(script);
    odd.is_recorded_as_sent();
    // They are waited for, which the picture does not.
    let given = odd.record(2 * ENOUGH);
    odd.assert_in_sync(&given);
}

/// Times that tremble by a few milliseconds, as those of a camera that reads its system's clock: all
/// pictures, and no time goes back.
#[test]
fn times_that_tremble_are_recorded_in_order() {
    let mut script = h264();
    script.edit_times(|unit: &Unit| {
        let tremble = unit.number * 7_919 % 900;
        unit.time.wrapping_add(u32::try_from(tremble).unwrap())
    });
    is_recorded_in_order(script, ENOUGH, 2 * PICTURE_90K);
}
