//! Segments of ffmpeg pass, for both codecs; changed ones are caught.

use std::fs;

use dayreel_testcam::VideoCodec;

use super::{
    boxes::walk,
    segment::{Expected, Segment},
    *,
};
use crate::rules::{Findings, assert_each_is_caught};

/// One HLS rendition of ffmpeg.
struct Media {
    init: Vec<u8>,
    segments: Vec<Vec<u8>>,
}

fn media(codec: VideoCodec) -> Media {
    let folder = tempfile::tempdir().unwrap();
    crate::foreign::make_hls(folder.path(), codec).unwrap();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    Media {
        init: read("init.mp4"),
        segments: (0..5)
            .map(|number| read(&format!("v{number}.m4s")))
            .collect(),
    }
}

fn claims(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "avc1.42c00c",
        VideoCodec::H265 => "hvc1.1.6.L60.90",
        VideoCodec::Mjpeg | VideoCodec::Mpeg4 => "none",
    }
}

/// What the segment number `number` is expected to be.
fn expected(number: u64) -> Expected {
    Expected {
        start: Some(number * 180_000),
        duration: Some((180_000, 0)),
    }
}

#[test]
fn segments_of_ffmpeg_pass() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let media = media(codec);
        let (init, findings) = init::check(&media.init, Some(claims(codec)));
        findings.assert_none("the init segment");
        let init = init.unwrap();
        assert_eq!(init.size, Some((320, 180)));
        let mut read = Vec::new();
        for (number, bytes) in (0..).zip(&media.segments) {
            let (segment, findings) = segment::check(bytes, &init, expected(number));
            findings.assert_none("a segment");
            assert_eq!(segment.samples.len(), 50);
            read.push(segment);
        }
        segment::ascending(&read).assert_none("consecutive segments");
    }
}

/// Offset of the first `kind` box's first byte, wherever it is nested.
fn find(bytes: &[u8], kind: &[u8; 4]) -> usize {
    let at = bytes.windows(4).position(|window| window == kind);
    at.unwrap_or_else(|| panic!("no {}", String::from_utf8_lossy(kind))) - 4
}

/// `bytes` with the number at `at` bytes into the `kind` box replaced.
fn patched(bytes: &[u8], kind: &[u8; 4], at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let from = find(&bytes, kind) + at;
    bytes[from..from + value.len()].copy_from_slice(value);
    bytes
}

/// The top-level boxes in another order, or some of them.
fn arranged(bytes: &[u8], order: &[usize]) -> Vec<u8> {
    let (boxes, _) = walk(bytes);
    order
        .iter()
        .flat_map(|number| boxes[*number].bytes.to_vec())
        .collect()
}

/// `moof` with its `traf` a second time.
fn two_trafs(bytes: &[u8]) -> Vec<u8> {
    let (moof, traf) = (find(bytes, b"moof"), find(bytes, b"traf"));
    let size = |at: usize| u32::from_be_bytes(*bytes[at..].first_chunk().unwrap());
    let end = traf + usize::try_from(size(traf)).unwrap();
    let mut doubled = [&bytes[..end], &bytes[traf..end], &bytes[end..]].concat();
    doubled[moof..moof + 4].copy_from_slice(&(size(moof) + size(traf)).to_be_bytes());
    doubled
}

#[test]
fn each_broken_segment_is_caught() {
    let media = media(VideoCodec::H264);
    let good = &media.segments[1];
    let header = &media.init;
    let claimed = Some(claims(VideoCodec::H264));
    let init = init::check(header, claimed).0.unwrap();
    let check = |bytes: &[u8]| -> Findings { segment::check(bytes, &init, expected(1)).1 };
    let check_init = |bytes: &[u8]| -> Findings { init::check(bytes, claimed).1 };
    let tfhd_flags = |flags: u32| patched(good, b"tfhd", 8, &flags.to_be_bytes());
    let read_flags = {
        let at = find(good, b"tfhd") + 8;
        u32::from_be_bytes(*good[at..].first_chunk().unwrap())
    };
    let two_chunks = [&arranged(good, &[0, 1, 2]), &arranged(good, &[1, 2])[..]].concat();
    let earlier = patched(good, b"mfhd", 12, &[0, 0, 0, 0]);
    let descending = [&good[..], &arranged(&earlier, &[1, 2])].concat();
    let read =
        |number: usize| segment::check(&media.segments[number], &init, Expected::default()).0;
    let longer = Expected {
        duration: Some((183_600, 100)),
        ..expected(1)
    };
    let boxes = walk(good)
        .0
        .iter()
        .map(|found| found.name())
        .collect::<Vec<_>>();
    assert_eq!(boxes, ["styp", "moof", "mdat"]);

    let examples = [
        (BOX_ORDER, check(&good[..good.len() - 1])),
        (BOX_ORDER, check(&arranged(good, &[0, 2, 1]))),
        (BOX_ORDER, check(&arranged(good, &[0, 1, 1, 2]))),
        (BOX_ORDER, check(&patched(good, b"moof", 4, b"free"))),
        (BOX_ORDER, check(b"")),
        (STYP, check(&arranged(good, &[1, 2]))),
        (
            STYP,
            check(&patched(good, b"msdh", 0, b"\0\0\0\0isomisomisomisom")),
        ),
        (ONE_TRAF, check(&two_trafs(good))),
        (ONE_TRAF, check(&patched(good, b"tfhd", 12, &[0, 0, 0, 9]))),
        (BASE_IS_MOOF, check(&tfhd_flags(read_flags & !0x02_0000))),
        (TFDT_IS_NAME, check(&media.segments[2])),
        (TFDT_ADVANCES, check(&two_chunks)),
        (DURATION, segment::check(good, &init, longer).1),
        // The flags of the first sample: depends on others, not a sync sample.
        (
            STARTS_WITH_SYNC,
            check(&patched(good, b"trun", 20, &[1, 1, 0, 0])),
        ),
        (DATA, check(&patched(good, b"trun", 16, &[0, 0, 0, 1]))),
        (DATA, check(&patched(good, b"trun", 24, &[0, 0, 0, 1]))),
        (SEQUENCE, check(&descending)),
        (SEQUENCE, segment::ascending([&read(1), &read(1)])),
        (SEQUENCE, segment::ascending([&read(1), &read(0)])),
        (FTYP, check_init(&patched(header, b"cmfc", 4, b"iso6"))),
        (FTYP, check_init(&arranged(header, &[1, 0]))),
        (FTYP, check_init(&header[..header.len() - 1])),
        (FTYP, check_init(&[&header[..], good].concat())),
        (
            ONE_TRAK,
            check_init(&patched(header, b"trex", 12, &[0, 0, 0, 7])),
        ),
        (ONE_TRAK, check_init(&patched(header, b"mvex", 4, b"free"))),
        (
            TIMESCALE,
            check_init(&patched(header, b"mdhd", 20, &[0, 0, 0, 25])),
        ),
        (
            NO_SAMPLES,
            check_init(&patched(header, b"mvhd", 24, &[0, 0, 0, 7])),
        ),
        (CODEC, init::check(header, Some("avc1.640028")).1),
        (CODEC, check_init(&patched(header, b"avc1", 4, b"mp4v"))),
    ];
    assert_each_is_caught(RULES, &examples);
}

#[test]
fn nothing_foreign_panics() {
    let media = media(VideoCodec::H264);
    let init = init::check(&media.init, None).0.unwrap();
    let good = &media.segments[0];
    let cut = find(good, b"mdat") + 16;
    for length in 0..cut {
        let (_, findings) = segment::check(&good[..length], &init, Expected::default());
        assert!(findings.breaks(BOX_ORDER), "{length} bytes");
    }
    for length in 0..media.init.len() {
        assert!(
            init::check(&media.init[..length], None).1.breaks(FTYP),
            "{length} bytes"
        );
    }
    assert_eq!(
        segment::check(b"", &init, Expected::default()).0,
        Segment::default()
    );
}
