//! RTP over UDP, where packets are lost, overtaken and doubled.

use std::collections::HashSet;

use dayreel_core::{TICKS_PER_SECOND, TrackKind};
use dayreel_testcam::scripted::{GOP, Oddity, Script};

use crate::{
    check::{
        ENOUGH, Odd, PICTURE_90K, assert_consecutive, assert_timeline, film, h264, h264_with_aac,
        oddly,
    },
    media::{another_source, goes_on_with_another_source},
    times::{are_aligned_by_reports, are_paced, jumping, late_pictures, stays_in_order},
};

/// Nothing is odd but that they are datagrams.
#[test]
fn datagrams_are_recorded_as_sent() {
    let odd = Odd::start_udp(h264_with_aac());
    odd.is_recorded_as_sent();
}

/// RFC 3550 §5.1: the sequence number restores the order.
#[test]
fn datagrams_that_are_overtaken_are_put_in_order() {
    Odd::start_udp(oddly(Oddity::DisordersPackets)).is_recorded_as_sent();
}

/// Networks double datagrams.
#[test]
fn datagrams_that_come_twice_count_once() {
    Odd::start_udp(oddly(Oddity::DoublesPackets)).is_recorded_as_sent();
}

fn losing(every: u16) -> Script {
    let mut script = h264();
    script.edit_packets(move |packet| match packet.sequence % every {
        3 => vec![],
        _ => vec![packet],
    });
    script
}

/// What is lost takes its picture with it; what is recorded was sent so, in order, and the recording
/// goes on.
#[test]
fn lost_datagrams_cost_their_pictures_only() {
    let odd = Odd::start_udp(losing(31));
    let given = odd.record(ENOUGH);
    let pairs = odd.pairs(&given, TrackKind::Video);
    let numbers: HashSet<u32> = pairs.iter().map(|(sent, _)| sent.number).collect();
    let (first, last) = (pairs[0].0.number, pairs[pairs.len() - 1].0.number);
    let span = usize::try_from(last - first + 1).unwrap();
    assert!(numbers.len() < span, "nothing was lost");
    assert_timeline(
        &film(&given, TrackKind::Video).units,
        3 * u64::from(GOP) * PICTURE_90K,
    );
    assert_eq!(odd.recorded.camera.status().reconnects, 0);
}

/// RFC 3550 §5.1: a network that is away from the middle of a group up to a keyframe. The recording
/// stopped for ever: the muxer took the times of the holes for media time.
#[test]
fn many_datagrams_lost_at_once_do_not_end_the_recording() {
    let mut script = h264();
    let (group, hole) = (u64::from(GOP), u64::from(GOP) * 3 / 2);
    script.edit_packets(move |packet| match packet.unit % (3 * group) {
        within if within >= hole => vec![],
        _ => vec![packet],
    });
    let odd = Odd::start_udp(script);
    let given = odd.record(5 * ENOUGH);
    let units = film(&given, TrackKind::Video).units;
    assert_timeline(&units, 3 * TICKS_PER_SECOND);
    let status = odd.recorded.camera.status();
    assert!(status.lost_packets > 0, "{status:?}");
    assert_eq!(status.reconnects, 0, "{}", odd.story());
}

/// RFC 3550 §8.2, as over TCP.
#[test]
fn datagrams_of_another_source_are_the_same_track() {
    goes_on_with_another_source(&Odd::start_udp(another_source()));
}

/// RFC 3550 §5.1, as over TCP: what orders packets must not wait for a clock that was set.
#[test]
fn a_clock_that_jumps_over_udp_moves_nothing() {
    for ms in [10_000, -400, -10_000] {
        let odd = Odd::start_udp(jumping(ms));
        stays_in_order(&odd, 2 * ENOUGH, TICKS_PER_SECOND);
    }
}

/// RFC 3550 §6.4.1, as over TCP.
#[test]
fn sender_reports_align_sound_and_picture_over_udp() {
    are_aligned_by_reports(&Odd::start_udp(late_pictures()));
}

/// RFC 3550 §6.4.1, as over TCP.
#[test]
fn sender_reports_that_disagree_over_udp_shift_nothing() {
    let odd = Odd::start_udp(oddly(Oddity::WrongReports));
    let given = odd.record(2 * ENOUGH);
    assert_consecutive(&odd.pairs(&given, TrackKind::Audio));
    odd.assert_in_sync(&given);
}

/// RFC 3550 §5.1, as over TCP.
#[test]
fn datagrams_without_time_are_told_apart() {
    are_paced(&Odd::start_udp(oddly(Oddity::NoTime)));
}

/// RFC 2326 §12.33, as over TCP.
#[test]
fn a_wrong_rtp_info_over_udp_loses_nothing() {
    Odd::start_udp(oddly(Oddity::WrongRtpInfo)).is_recorded_as_sent();
}
