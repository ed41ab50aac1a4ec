//! Days made at random: stretches with gaps, codec changes, irregular durations, and sound that
//! starts elsewhere, is cut elsewhere and arrives late.

use dayreel_core::TrackKind;
use proptest::prelude::*;

use crate::camera::{MIDNIGHT_90K, Recorded, SECOND};

/// A time without a break of the video track.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    /// 0: it follows at once; then both codecs or one of them may still be others.
    pub(crate) gap_90k: u64,
    pub(crate) video_codec: u8,
    pub(crate) audio_codec: u8,
    pub(crate) has_audio: bool,
    /// Durations of its video segments.
    pub(crate) video_90k: Vec<u32>,
    /// Duration of its audio segments.
    pub(crate) audio_90k: u32,
    /// How much later than the video its sound starts.
    pub(crate) audio_offset_90k: i64,
}

fn durations() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        // A good camera: always the same.
        (90_000..900_000_u32, 1..40_usize).prop_map(|(each, count)| vec![each; count]),
        // Jitter, as from a camera with a bad clock.
        prop::collection::vec(359_980..360_020_u32, 1..40),
        prop::collection::vec(20_000..900_000_u32, 1..20),
    ]
}

fn stretch() -> impl Strategy<Value = Stretch> {
    (
        prop_oneof![Just(0), 45_000..9_000_000_u64],
        0..2_u8,
        0..2_u8,
        prop::bool::weighted(0.8),
        durations(),
        45_000..400_000_u32,
        -27_000..27_000_i64,
    )
        .prop_map(|values| Stretch {
            gap_90k: values.0,
            video_codec: values.1,
            audio_codec: values.2,
            has_audio: values.3,
            video_90k: values.4,
            audio_90k: values.5,
            audio_offset_90k: values.6,
        })
}

/// A day whose tracks break only `together`, at gaps, or also each by itself. (Where one breaks by
/// itself, what the other has published of that time already keeps its number.)
pub(crate) fn stretches(together: bool) -> impl Strategy<Value = Vec<Stretch>> {
    prop::collection::vec(stretch(), 1..8).prop_map(move |mut day| {
        for i in (1..day.len()).filter(|_| together) {
            if day[i].gap_90k == 0 {
                day[i].has_audio = day[i - 1].has_audio;
                day[i].audio_codec = day[i - 1].audio_codec;
                day[i].video_codec = day[i - 1].video_codec;
            } else {
                // Longer than the sound may run over the end of the pictures.
                day[i].gap_90k += 300_000;
            }
        }
        day
    })
}

/// The day with sound in every stretch, or in none.
pub(crate) fn with_steady_sound(mut day: Vec<Stretch>) -> Vec<Stretch> {
    let has_audio = day[0].has_audio;
    for stretch in &mut day {
        stretch.has_audio = has_audio;
        // Long enough for an audio segment.
        stretch.video_90k[0] = stretch.video_90k[0].max(400_000);
    }
    day
}

/// What is recorded, in the order in which segments become complete, sound `audio_lag_90k` late.
pub(crate) fn record(stretches: &[Stretch], audio_lag_90k: u64) -> Vec<Recorded> {
    let mut recorded = Vec::new();
    let mut video_end = MIDNIGHT_90K + 10 * SECOND;
    let mut audio_end = None;
    for stretch in stretches {
        let begin = video_end + stretch.gap_90k;
        video_end = begin;
        for duration_90k in &stretch.video_90k {
            recorded.push(Recorded {
                kind: TrackKind::Video,
                start_90k: video_end,
                duration_90k: *duration_90k,
                codec: stretch.video_codec,
            });
            video_end += u64::from(*duration_90k);
        }
        let offset = begin.saturating_add_signed(stretch.audio_offset_90k);
        let mut start_90k = match audio_end.filter(|_| stretch.gap_90k == 0) {
            Some(end) => end,
            None => offset.max(audio_end.unwrap_or(0)),
        };
        audio_end = audio_end.filter(|_| stretch.gap_90k > 0 || stretch.has_audio);
        // The sound ends where the pictures do, to half a segment.
        let half = u64::from(stretch.audio_90k) / 2;
        while stretch.has_audio && start_90k + half < video_end {
            let audio = Recorded {
                kind: TrackKind::Audio,
                start_90k,
                duration_90k: stretch.audio_90k,
                codec: stretch.audio_codec,
            };
            start_90k = audio.end_90k();
            audio_end = Some(start_90k);
            recorded.push(audio);
        }
    }
    recorded.sort_by_key(|segment| {
        let lag_90k = match segment.kind {
            TrackKind::Video | TrackKind::Preview => 0,
            TrackKind::Audio => audio_lag_90k,
        };
        (segment.end_90k() + lag_90k, segment.kind)
    });
    recorded
}
