//! Packets and access units that are not as they should be.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use dayreel_config::{OnLoss, Transport};
use dayreel_core::{TICKS_PER_SECOND, TrackKind};
use dayreel_pipeline::{CameraEvent, EventKind};
use dayreel_testcam::{
    Track,
    scripted::{GOP, Oddity, Packet, Script},
};

use crate::check::{
    ENOUGH, Odd, PICTURE_90K, assert_consecutive, assert_pace, assert_timeline, film, h264,
    h264_with_aac, is_recorded, oddly,
};

/// RFC 2326 §12.33: `seq` is that of the first packet. Some cameras make it up; over TCP nobody needs
/// it.
#[test]
fn a_wrong_sequence_number_in_rtp_info_loses_nothing() {
    for sequence in ["seq=0", "seq=7233", "seq=39999", "seq=65535"] {
        let mut script = h264();
        script.rewrite("PLAY", move |_, reply| {
            reply.head = reply.head.replace("seq=40000", sequence);
        });
        is_recorded(script);
    }
}

/// RFC 2326 §12.33: `rtptime` is that of the first packet. A wrong one must not shift anything.
#[test]
fn a_wrong_time_in_rtp_info_shifts_nothing() {
    let mut script = h264_with_aac();
    script.rewrite("PLAY", |_, reply| {
        reply.head = reply.head.replace("rtptime=3000000000", "rtptime=0");
    });
    let odd = Odd::start(script);
    let given = odd.is_recorded_as_sent();
    odd.assert_in_sync(&given);
}

/// RFC 2326 §12.33: it should be there.
#[test]
fn no_rtp_info_is_needed() {
    let odd = Odd::start(oddly(Oddity::NoRtpInfo));
    let given = odd.is_recorded_as_sent();
    odd.assert_in_sync(&given);
}

/// RFC 3550 §8.2: another SSRC is another source. Cameras begin one when their encoder restarts, and
/// mean the same track.
#[test]
fn another_ssrc_in_mid_stream_is_the_same_track() {
    goes_on_with_another_source(&Odd::start(another_source()));
}

/// From picture 40 on, another SSRC with other numbers and times.
pub(crate) fn another_source() -> Script {
    let mut script = h264();
    script.edit_packets(|mut packet| {
        if packet.unit >= 40 {
            packet.ssrc ^= 0x5555_0000;
            packet.sequence = packet.sequence.wrapping_add(20_000);
            packet.time = packet.time.wrapping_add(1_234_567_890);
        }
        vec![packet]
    });
    script
}

pub(crate) fn goes_on_with_another_source(odd: &Odd) {
    let given = odd.record(2 * ENOUGH);
    assert_consecutive(&odd.pairs(&given, TrackKind::Video));
    assert_eq!(odd.recorded.camera.status().reconnects, 0);
    // Between the two sources only arrival says how much time has passed.
    assert_pace(&film(&given, TrackKind::Video).units, 4 * PICTURE_90K);
}

/// RFC 6184 §5.1: NAL units of one access unit share a timestamp, and the marker is on the last.
/// Cameras mark SPS and PPS as well, so that they look like access units of their own.
#[test]
fn parameter_sets_of_their_own_are_no_pictures() {
    is_recorded(oddly(Oddity::SetsApart));
}

/// RFC 6184 §5.6: a packet has a NAL unit, without a start code. Some encoders' output is sent as it is.
#[test]
fn start_codes_in_packets_are_taken_out() {
    let mut script = h264();
    script.edit_packets(|mut packet| {
        // Not of fragments.
        if matches!(packet.payload[0] & 0x1f, 1..24) {
            packet.payload.splice(0..0, [0, 0, 0, 1]);
        }
        vec![packet]
    });
    is_recorded(script);
}

/// RFC 6184 §8.4: `sprop-parameter-sets` may be all there is.
#[test]
fn parameter_sets_may_be_in_the_description_only() {
    is_recorded(oddly(Oddity::NoSetsInBand));
}

/// RFC 6184 §8.1: `sprop-parameter-sets` is optional.
#[test]
fn parameter_sets_may_be_in_band_only() {
    let mut script = h264();
    let (before, after) = script.sdp.split_once(";sprop-parameter-sets=").unwrap();
    script.sdp = format!("{before}{}", &after[after.find("\r\n").unwrap()..]);
    is_recorded(script);
}

/// Somebody changes the size of the picture at the camera: a new init segment, and no picture lost.
#[test]
fn parameter_sets_that_change_begin_a_new_init_segment() {
    let mut script = h264();
    let grows_at = 2 * GOP;
    script.feed.grows_at = Some(grows_at.into());
    let odd = Odd::start(script);
    let given = odd.record(ENOUGH);
    let pairs = odd.pairs(&given, TrackKind::Video);
    assert_consecutive(&pairs);
    let grown = pairs
        .iter()
        .position(|(sent, _)| sent.number == grows_at)
        .unwrap();
    assert_eq!(film(&given, TrackKind::Video).inits, [0, grown]);
    let format = odd.recorded.camera.status().video.unwrap().format;
    assert_eq!((format.width, format.height), (320, 180));
}

/// ITU-T H.264 §7.4.1.2.1: parameter sets are activated by an IDR picture. One more, in the middle of a
/// group, as what is damaged on the way may look like: where the next keyframe was more than a chunk
/// away, recording stopped for ever.
#[test]
fn parameter_sets_that_change_within_a_group_do_not_end_the_recording() {
    /// Picture parameter set 1, ITU-T H.264 §7.3.2.2.
    const FURTHER: [u8; 4] = [0x68, 0x53, 0x8e, 0x20];
    let mut script = h264();
    let (changes, key) = (u64::from(2 * GOP + 2), u64::from(3 * GOP));
    script.edit_units(move |mut unit| {
        if unit.number == changes {
            unit.pieces.insert(0, FURTHER.to_vec());
        }
        match unit.number == key {
            true => vec![],
            false => vec![unit],
        }
    });
    let odd = Odd::start(script);
    let given = odd.record(2 * ENOUGH);
    let sent = odd.pairs(&given, TrackKind::Video);
    let skips = sent
        .windows(2)
        .map(|pair| pair[1].0.number - pair[0].0.number);
    assert_eq!(skips.max(), Some(2 * GOP - 1), "up to the next keyframe");
    assert_eq!(odd.recorded.camera.status().reconnects, 0);
    assert_eq!(film(&given, TrackKind::Video).inits.len(), 2);
}

/// RFC 3640 §3.2.1.1: AU-size. Of an access unit of no bytes GStreamer's depayloader ends the process.
#[test]
fn sound_of_no_bytes_is_left_out() {
    let mut script = h264_with_aac();
    script.edit_packets(|packet| match (packet.track, packet.unit % 30) {
        (1, 29) => {
            let payload = vec![0, 16, 0, 1, 1, 1];
            let nothing = Packet {
                payload,
                ..packet.clone()
            };
            vec![nothing, packet]
        }
        _ => vec![packet],
    });
    let odd = Odd::start(script);
    let given = odd.is_recorded_as_sent();
    assert_consecutive(&odd.pairs(&given, TrackKind::Audio));
    assert!(odd.recorded.camera.status().unusable_packets > 0);
}

/// Which packet of a picture is lost.
#[derive(Clone, Copy, Debug)]
enum Lost {
    First,
    Middle,
    Last,
}

impl Lost {
    fn is(self, packet: &Packet) -> bool {
        // RFC 6184 §5.8: the start bit of a fragment. Pictures of one packet have neither.
        let is_first = packet.payload[1] & 0x80 != 0;
        match self {
            Self::First => is_first && !packet.marker,
            Self::Middle => !is_first && !packet.marker,
            Self::Last => packet.marker,
        }
    }
}

/// As below, where only whole pictures are wanted: what is recorded of a group ends before the loss, by
/// TCP as by UDP.
#[test]
fn a_lost_packet_costs_its_group_where_the_user_says_so() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut script = h264();
        // Of every third group the fifth picture, and of the next the keyframe.
        let is_hurt = |unit: u64| match unit / u64::from(GOP) % 3 {
            1 => unit % u64::from(GOP) == 5,
            2 => unit.is_multiple_of(u64::from(GOP)),
            _ => false,
        };
        script.edit_packets(move |packet| {
            let arrives = packet.is_keyframe && packet.marker;
            match is_hurt(packet.unit) && !arrives {
                true => vec![],
                false => vec![packet],
            }
        });
        let odd = Odd::start_with(script, |settings| {
            settings.transport = transport;
            settings.on_loss = OnLoss::Drop;
        });
        let given = odd.record(3 * GOP);
        let pairs = odd.pairs(&given, TrackKind::Video);
        let recorded: BTreeSet<u32> = pairs.iter().map(|(sent, _)| sent.number).collect();
        let last = *recorded.last().unwrap();
        assert!(last >= 3 * GOP, "{transport:?}: {recorded:?}");
        let is_whole = |number: u32| match number / GOP % 3 {
            1 => number % GOP < 5,
            2 => false,
            _ => true,
        };
        let first = *recorded.first().unwrap();
        let whole: BTreeSet<u32> = (first..=last).filter(|number| is_whole(*number)).collect();
        assert_eq!(recorded, whole, "{transport:?}");
        let status = odd.recorded.camera.status();
        assert!(
            status.dropped_frames > 0 && status.lost_packets > 0,
            "{status:?}"
        );
        assert!(odd.recorded.camera.counts().damaged > 0);
        let events = odd.recorded.camera.events();
        let said = |kind, code: &str| {
            let is_said = |event: &CameraEvent| event.kind == kind && event.code == code;
            events.iter().any(is_said)
        };
        assert!(said(EventKind::Dropped, "loss"), "{events:?}");
        assert!(said(EventKind::Lost, "packets"), "{events:?}");
    }
}

/// Over TCP a camera that is too slow drops packets before it sends them. A picture without one of its
/// packets is none; no other is lost, and nothing waits.
#[test]
fn a_lost_packet_costs_one_picture() {
    for lost in [Lost::First, Lost::Middle, Lost::Last] {
        let mut script = h264();
        let broken: Arc<Mutex<BTreeSet<u32>>> = Arc::default();
        let breaks = Arc::clone(&broken);
        script.edit_packets(move |packet| {
            if packet.unit % 7 == 5 && lost.is(&packet) {
                breaks
                    .lock()
                    .unwrap()
                    .insert(packet.unit.try_into().unwrap());
                vec![]
            } else {
                vec![packet]
            }
        });
        let odd = Odd::start(script);
        let given = odd.record(ENOUGH);
        let pairs = odd.pairs(&given, TrackKind::Video);
        let recorded: Vec<u32> = pairs.iter().map(|(sent, _)| sent.number).collect();
        let all = recorded[0]..=recorded[recorded.len() - 1];
        let broken = broken.lock().unwrap();
        let whole: Vec<u32> = all.filter(|number| !broken.contains(number)).collect();
        assert_eq!(recorded, whole, "{lost:?}");
        let units = film(&given, TrackKind::Video).units;
        assert_timeline(&units, 2 * PICTURE_90K + TICKS_PER_SECOND / 1_000);
        let status = odd.recorded.camera.status();
        assert_eq!(status.reconnects, 0);
        assert!(status.lost_packets >= 2, "{lost:?} {status:?}");
    }
}

/// A retransmission that nobody asked for.
#[test]
fn packets_that_come_twice_count_once() {
    is_recorded(oddly(Oddity::DoublesPackets));
}

/// RFC 6184 §5.8: a fragment that is cut off leaves no gap in the sequence; only a decoder sees that its
/// picture is broken. It is recorded as it came, and no other suffers.
#[test]
fn a_truncated_fragment_harms_its_picture_only() {
    let mut script = h264();
    script.edit_packets(|mut packet| {
        if packet.unit == 15 && !packet.marker {
            packet.payload.truncate(50);
        }
        vec![packet]
    });
    let odd = Odd::start(script);
    let given = odd.record(ENOUGH);
    let sent = odd.camera.record().units(Track::Video);
    let units = film(&given, TrackKind::Video).units;
    let first = sent
        .iter()
        .position(|sent| sent.sha256 == units[0].sha256)
        .unwrap();
    let differing = units.iter().zip(&sent[first..]);
    let differing = differing.filter(|(unit, sent)| unit.sha256 != sent.sha256);
    let numbers: Vec<u32> = differing.map(|(_, sent)| sent.number).collect();
    assert_eq!(numbers, [15]);
    assert_timeline(&units, PICTURE_90K + TICKS_PER_SECOND / 1_000);
}

/// ONVIF metadata beside the picture: said to be ignored, not set up.
#[test]
fn metadata_is_left_alone() {
    let mut script = h264();
    script.sdp += "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n\
                   a=control:trackID=8\r\n";
    let odd = is_recorded(script);
    assert_eq!(odd.recorded.camera.status().ignored_tracks.len(), 1);
    assert_eq!(set_up(&odd), 1);
}

/// Two pictures: the first is recorded.
#[test]
fn a_second_picture_is_left_alone() {
    let mut script = h264();
    let (_, picture) = script.sdp.split_once("m=video").unwrap();
    script.sdp += &format!("m=video{}", picture.replace("trackID=0", "trackID=1"));
    let odd = is_recorded(script);
    assert_eq!(odd.recorded.camera.status().ignored_tracks.len(), 1);
    assert_eq!(set_up(&odd), 1);
}

fn set_up(odd: &Odd) -> usize {
    let heard = odd.camera.heard();
    heard
        .iter()
        .filter(|request| request.method == "SETUP")
        .count()
}
