//! The gzip form of a document is one member (RFC 1952) that holds the plain form.

use std::io::Read as _;

use dayreel_core::{MediaTime, TrackKind};
use dayreel_manifest::{
    DayTimeline, Document, Encoding, Extent, Presentation, keyframe_playlist, manifest,
    media_playlist,
};
use flate2::bufread::GzDecoder;

use crate::camera::{MIDNIGHT_90K, Recorded, append, empty_day};

/// Unpacks one member; the decoder checks its CRC and length. Nothing may follow.
pub(crate) fn unpack(document: &Document) -> Vec<u8> {
    let bytes = document.to_vec();
    assert_eq!(bytes.len(), document.len_bytes());
    let mut decoder = GzDecoder::new(bytes.as_slice());
    let mut plain = Vec::new();
    decoder.read_to_end(&mut plain).unwrap();
    assert_eq!(decoder.into_inner(), b"", "one member");
    let length = u32::try_from(plain.len()).unwrap().to_le_bytes();
    assert_eq!(bytes[bytes.len() - 4..], length, "the trailer's length");
    plain
}

/// Each document of the day in both forms.
pub(crate) fn check(day: &DayTimeline) {
    let now = MediaTime::from_ticks(MIDNIGHT_90K).media_to_wall();
    let make: [&dyn Fn(Encoding) -> Option<Document>; 7] = [
        &|encoding| media_playlist(day, TrackKind::Video, false, Extent::Whole, encoding),
        &|encoding| media_playlist(day, TrackKind::Video, false, Extent::Delta, encoding),
        &|encoding| media_playlist(day, TrackKind::Audio, true, Extent::Whole, encoding),
        &|encoding| keyframe_playlist(day, false, Extent::Whole, encoding),
        &|encoding| keyframe_playlist(day, true, Extent::Whole, encoding),
        &|encoding| {
            manifest(
                day,
                Presentation::Live {
                    now,
                    window_s: None,
                    low_latency: false,
                },
                encoding,
            )
        },
        &|encoding| manifest(day, Presentation::Finished, encoding),
    ];
    for make in make {
        let (plain, packed) = (make(Encoding::Identity), make(Encoding::Gzip));
        let plain = plain.map(|document| document.to_vec());
        assert_eq!(packed.map(|document| unpack(&document)), plain);
    }
}

/// 14 000 irregular segments pass many blocks; a look now and then meets any fill of the last one.
#[test]
fn a_day_unpacks_to_its_plain_form_at_any_length() {
    let mut day = empty_day();
    check(&day);
    let mut start_90k = MIDNIGHT_90K;
    for i in 0..14_000_u32 {
        let duration_90k = 180_000 + i * 7919 % 1000;
        for kind in [TrackKind::Video, TrackKind::Audio] {
            let recorded = Recorded {
                kind,
                start_90k,
                duration_90k,
                codec: 0,
            };
            append(&mut day, &recorded);
        }
        start_90k += u64::from(duration_90k);
        if i < 3 || i % 997 == 0 {
            check(&day);
        }
    }
    check(&day);
}
