use bytes::Bytes;
use dayreel_core::MediaTime;
use mp4_atom::{Atom as _, Mdat, Moov, StszSamples};

use super::*;
use crate::cmaf::{find, next_box};

/// 25 pictures a second.
const PICTURE_90K: u64 = 3600;
/// 1024 samples of 48 kHz.
const SOUND_90K: u64 = 1920;
const BEGIN_90K: u64 = 161_582_704_650_000;

/// A baseline configuration of 320 × 180.
const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0d, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
];

fn sample(number: u64, at_90k: u64, offset_90k: u64, is_keyframe: bool) -> Sample {
    let byte = u8::try_from(number % 251).unwrap();
    Sample {
        bytes: Bytes::from(vec![byte; 100 + usize::from(byte)]),
        dts: MediaTime::from_ticks(BEGIN_90K + at_90k),
        pts: MediaTime::from_ticks(BEGIN_90K + at_90k + offset_90k),
        is_keyframe,
    }
}

/// `lead_in` pictures before the first that is shown, and 50 that are.
fn clip(lead_in: u64) -> Clip {
    let video = (0..lead_in + 50).map(|n| sample(n, n * PICTURE_90K, 0, n % 50 == 0));
    let length_90k = (lead_in + 50) * PICTURE_90K;
    let audio = (0..length_90k / SOUND_90K).map(|n| sample(n, n * SOUND_90K, 0, true));
    Clip {
        start: MediaTime::from_ticks(BEGIN_90K + lead_in * PICTURE_90K),
        end: MediaTime::from_ticks(BEGIN_90K + length_90k),
        video: VideoClip {
            codec: VideoCodec::Avc,
            config: Bytes::from_static(AVCC),
            width: 320,
            height: 180,
            pixel_aspect: (1, 1),
            colour: None,
            samples: video.collect(),
        },
        audio: Some(AudioClip {
            config: Bytes::from_static(&[0x11, 0x88]),
            sample_rate_hz: 48_000,
            channels: 1,
            block: 1024,
            samples: audio.collect(),
        }),
    }
}

fn written(clip: &Clip) -> (Vec<u8>, Moov) {
    let mut file = Vec::new();
    clip.write_mp4(&Tags::default(), &mut file).unwrap();
    let moov = find(dayreel_core::TrackKind::Video, "clip", &file).unwrap();
    (file, moov)
}

/// The boxes of a file: their kinds, and where each begins.
fn boxes(file: &[u8]) -> Vec<([u8; 4], usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let (kind, len_bytes) = next_box(&file[at..]).unwrap();
        found.push((kind.into(), at));
        at += usize::try_from(len_bytes).unwrap();
    }
    assert_eq!(at, file.len(), "the last box ends with the file");
    found
}

/// The samples of a track, as its tables say where they are.
fn read_back<'f>(file: &'f [u8], moov: &Moov, track: usize) -> Vec<&'f [u8]> {
    let tables = &moov.trak[track].mdia.minf.stbl;
    let StszSamples::Different { sizes } = &tables.stsz.samples else {
        panic!("sizes differ");
    };
    let mut sizes = sizes.iter();
    let mut samples = Vec::new();
    for (number, offset) in (1_u32..).zip(&tables.stco.as_ref().unwrap().entries) {
        let entries = tables.stsc.entries.iter();
        let entry = entries
            .take_while(|entry| entry.first_chunk <= number)
            .last();
        let mut at = usize::try_from(*offset).unwrap();
        for size in sizes
            .by_ref()
            .take(entry.unwrap().samples_per_chunk as usize)
        {
            let end = at + *size as usize;
            samples.push(&file[at..end]);
            at = end;
        }
    }
    assert_eq!(sizes.len(), 0, "every sample is in a chunk");
    samples
}

#[test]
fn every_sample_is_where_the_tables_say_and_the_head_comes_first() {
    let clip = clip(30);
    let (file, moov) = written(&clip);
    let kinds: Vec<_> = boxes(&file).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [*b"ftyp", *b"moov", Mdat::KIND.into()]);
    let audio = clip.audio.as_ref().unwrap();
    for (track, samples) in [&clip.video.samples, &audio.samples]
        .into_iter()
        .enumerate()
    {
        let read = read_back(&file, &moov, track);
        assert!(
            read.iter().eq(samples.iter().map(|sample| &sample.bytes)),
            "{track}"
        );
    }
}

#[test]
fn an_edit_list_hides_the_lead_in_of_both_tracks() {
    for lead_in in [0, 1, 49] {
        let (_, moov) = written(&clip(lead_in));
        assert_eq!(
            (moov.mvhd.timescale, moov.mvhd.duration),
            (90_000, 50 * PICTURE_90K)
        );
        for (trak, ticks) in moov.trak.iter().zip([PICTURE_90K, 1920]) {
            let edits = &trak.edts.as_ref().unwrap().elst.as_ref().unwrap().entries;
            assert_eq!(edits.len(), 1);
            assert_eq!(edits[0].segment_duration, 50 * PICTURE_90K);
            assert_eq!(edits[0].media_time, Some(lead_in * ticks), "{lead_in}");
            assert_eq!(trak.tkhd.duration, 50 * PICTURE_90K);
        }
    }
}

/// As after a start, when the sound came later than the picture.
#[test]
fn regression_sound_that_begins_later_was_heard_too_early() {
    let mut clip = clip(0);
    let audio = clip.audio.as_mut().unwrap();
    audio.samples.drain(..20);
    let late_90k = 20 * SOUND_90K;
    let (_, moov) = written(&clip);
    let edits = |track: usize| {
        let elst = moov.trak[track].edts.as_ref().unwrap().elst.as_ref();
        let entries = elst.unwrap().entries.iter();
        let entry = |one: &mp4_atom::ElstEntry| (one.segment_duration, one.media_time);
        entries.map(entry).collect::<Vec<_>>()
    };
    let duration = 50 * PICTURE_90K;
    assert_eq!(edits(0), [(duration, Some(0))]);
    assert_eq!(edits(1), [(late_90k, None), (duration - late_90k, Some(0))]);
}

#[test]
fn durations_are_exact_and_keyframes_are_listed() {
    let (_, moov) = written(&clip(30));
    let video = &moov.trak[0].mdia;
    let tables = &video.minf.stbl;
    assert_eq!(tables.stts.entries.len(), 1);
    assert_eq!(u64::from(tables.stts.entries[0].sample_delta), PICTURE_90K);
    assert_eq!(tables.stss.as_ref().unwrap().entries, [1, 51]);
    assert!(tables.ctts.is_none());
    let audio = &moov.trak[1].mdia;
    assert_eq!(audio.mdhd.timescale, 48_000);
    assert_eq!(audio.minf.stbl.stts.entries[0].sample_delta, 1024);
    assert!(audio.minf.stbl.stss.is_none(), "sound begins anywhere");
}

/// A picture that is decoded early and shown late: I P B B P B B.
#[test]
fn pictures_out_of_order_are_shown_when_they_are_due() {
    let mut clip = clip(0);
    for (number, sample) in clip.video.samples.iter_mut().enumerate() {
        let later = match (number, number % 3) {
            (0, _) => 1,
            (_, 1) => 3,
            _ => 0,
        };
        sample.pts = sample.dts.saturating_add(later * PICTURE_90K);
    }
    clip.start = clip.start.saturating_add(PICTURE_90K);
    let (_, moov) = written(&clip);
    let tables = &moov.trak[0].mdia.minf.stbl;
    let offsets = tables.ctts.as_ref().unwrap().entries.iter();
    let offsets: Vec<_> = offsets
        .flat_map(|entry| vec![entry.sample_offset; entry.sample_count as usize])
        .collect();
    let picture = i64::try_from(PICTURE_90K).unwrap();
    assert_eq!(offsets[..4], [picture, 3 * picture, 0, 0]);
    let edits = moov.trak[0].edts.as_ref().unwrap().elst.as_ref().unwrap();
    assert_eq!(edits.entries[0].media_time, Some(PICTURE_90K));
}

/// A silence of a second, and rounding that would add up.
#[test]
fn gaps_of_the_sound_stay_and_its_jitter_does_not() {
    let mut clip = clip(0);
    let audio = clip.audio.as_mut().unwrap();
    for (number, sample) in (0_u64..).zip(&mut audio.samples) {
        let gap = if number >= 20 { 90_000 } else { 0 };
        sample.dts = sample.dts.saturating_add(gap + number % 3);
        sample.pts = sample.dts;
    }
    let (_, moov) = written(&clip);
    let durations = &moov.trak[1].mdia.minf.stbl.stts.entries;
    let counted: Vec<_> = durations
        .iter()
        .map(|entry| (entry.sample_count, entry.sample_delta))
        .collect();
    assert_eq!(counted.len(), 3, "{counted:?}");
    assert_eq!((counted[0], counted[2].1), ((19, 1024), 1024));
    assert!(counted[1].1.abs_diff(48_000 + 1024) <= 2, "{counted:?}");
}

#[test]
fn a_configuration_that_is_none_is_refused() {
    let mut clip = clip(0);
    clip.video.config = Bytes::from_static(&[1, 2]);
    let error = clip
        .write_mp4(&Tags::default(), &mut Vec::new())
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
