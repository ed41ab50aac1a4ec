//! What the documents of a day cost after one hour and after 24: the same, but for the bytes that
//! are sent. Sizes are printed first.
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::hint::black_box;

use bytes::Bytes;
use chrono_tz::Tz;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dayreel_core::{AudioFormat, Day, MediaTime, TrackFormat, TrackKind, VideoFormat};
use dayreel_manifest::{
    DayTimeline, Document, Encoding, Extent, Init, InitHash, Presentation, Segment, Sequence,
    Slice, manifest, media_playlist,
};

/// 2026-11-22T00:00:00Z, 1/90000 s since the epoch.
const MIDNIGHT_90K: u64 = 1_795_305_600 * 90_000;

/// 4 s segments in an hour.
const HOUR: u32 = 900;

fn init(kind: TrackKind) -> Init {
    let bytes = Bytes::from_static(kind.name().as_bytes());
    let format = match kind {
        TrackKind::Video | TrackKind::Preview => TrackFormat::Video(VideoFormat {
            codec: "avc1.640028".into(),
            width: 1920,
            height: 1080,
        }),
        TrackKind::Audio => TrackFormat::Audio(AudioFormat {
            codec: "mp4a.40.2".into(),
            sample_rate_hz: 48_000,
            channels: 1,
        }),
    };
    Init {
        hash: InitHash::of(&bytes),
        bytes,
        format,
    }
}

/// Appends the next segment of both tracks; `jitter_90k` makes durations irregular.
fn append(day: &mut DayTimeline, number: u32, jitter_90k: u32) {
    for kind in [TrackKind::Video, TrackKind::Audio] {
        let start = day.track(kind).end();
        let start = start.unwrap_or(MediaTime::from_ticks(MIDNIGHT_90K));
        let jitter_90k = number.wrapping_mul(2_654_435_761) % (2 * jitter_90k + 1);
        let segment = Segment {
            start,
            duration_90k: 360_000 + jitter_90k,
            access_units: 100,
            init: day.add_init(kind, init(kind)),
            bytes: Slice {
                file: 0,
                offset: 0,
                len_bytes: 2_000_000,
            },
        };
        day.append(kind, segment);
    }
}

fn day_of(hours: u32, jitter_90k: u32) -> DayTimeline {
    let day = Day::new(chrono::NaiveDate::default(), Tz::UTC);
    let mut day = DayTimeline::new(day, Sequence::default(), Sequence::default());
    (0..hours * HOUR).for_each(|number| append(&mut day, number, jitter_90k));
    day
}

fn playlist(day: &DayTimeline, extent: Extent, encoding: Encoding) -> Option<Document> {
    media_playlist(day, TrackKind::Video, false, extent, encoding)
}

fn live(day: &DayTimeline, encoding: Encoding) -> Option<Document> {
    let now = day.track(TrackKind::Video).end()?.media_to_wall();
    manifest(
        day,
        Presentation::Live {
            now,
            window_s: None,
            low_latency: false,
        },
        encoding,
    )
}

fn documents(c: &mut Criterion) {
    for hours in [1, 24] {
        let mut group = c.benchmark_group(format!("{hours}h"));
        let (regular, irregular) = (day_of(hours, 0), day_of(hours, 20));
        type Render<'a> = &'a dyn Fn(Encoding) -> Option<Document>;
        let renders: [(&str, Render<'_>); 4] = [
            ("playlist", &|encoding| {
                playlist(&regular, Extent::Whole, encoding)
            }),
            ("delta", &|encoding| {
                playlist(&regular, Extent::Delta, encoding)
            }),
            ("mpd", &|encoding| live(&regular, encoding)),
            ("mpd-irregular", &|encoding| live(&irregular, encoding)),
        ];
        for (name, render) in renders {
            for (form, encoding) in [("plain", Encoding::Identity), ("gzip", Encoding::Gzip)] {
                let bytes = render(encoding).map_or(0, |document| document.len_bytes());
                println!("{hours}h {name} {form}: {bytes} bytes");
                group.bench_function(format!("{name}/{form}"), |b| {
                    b.iter(|| black_box(render(encoding)));
                });
            }
        }
        // Each measurement appends an hour of both tracks to a day of that length, and says so.
        group.bench_function("append-an-hour", |b| {
            b.iter_batched_ref(
                || day_of(hours, 20),
                |day| (0..HOUR).for_each(|number| append(day, number, 20)),
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

criterion_group! {
    name = day;
    config = Criterion::default().sample_size(20).without_plots();
    targets = documents
}
criterion_main!(day);
