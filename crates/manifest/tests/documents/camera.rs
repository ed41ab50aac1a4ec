//! A camera's day as a list of segments in the order they are recorded.

use bytes::Bytes;
use chrono_tz::Tz;
use dayreel_core::{AudioFormat, Day, MediaTime, TrackFormat, TrackKind, VideoFormat};
use dayreel_manifest::{DayTimeline, Init, InitHash, Segment, Sequence, Slice};

/// 2026-11-22T00:00:00Z, 1/90000 s since the epoch.
pub(crate) const MIDNIGHT_90K: u64 = 1_795_305_600 * 90_000;

/// 1/90000 s in a second.
pub(crate) const SECOND: u64 = 90_000;

/// Numbers that a first segment may have after some days.
pub(crate) const FIRST: Sequence = Sequence {
    media: 1000,
    discontinuity: 7,
};

/// A segment of a track, and the number of its codec configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) kind: TrackKind,
    pub(crate) start_90k: u64,
    pub(crate) duration_90k: u32,
    pub(crate) codec: u8,
}

impl Recorded {
    pub(crate) fn end_90k(&self) -> u64 {
        self.start_90k + u64::from(self.duration_90k)
    }

    pub(crate) fn middle_90k(&self) -> u64 {
        self.start_90k + u64::from(self.duration_90k) / 2
    }

    /// `v-…` or `a-…`.
    pub(crate) fn name(&self) -> String {
        dayreel_manifest::segment_name(self.kind, MediaTime::from_ticks(self.start_90k))
    }
}

/// An empty day in UTC.
pub(crate) fn empty_day() -> DayTimeline {
    let day = Day::new("2026-11-22".parse().unwrap(), Tz::UTC);
    DayTimeline::new(day, FIRST, FIRST)
}

/// The init segment of codec configuration `codec`.
pub(crate) fn init(kind: TrackKind, codec: u8) -> Init {
    let bytes = Bytes::from(format!("{kind} {codec}"));
    let format = match kind {
        TrackKind::Preview => TrackFormat::Video(VideoFormat {
            codec: format!("avc1.42e01{codec}"),
            width: 640,
            height: 360,
        }),
        TrackKind::Video => TrackFormat::Video(VideoFormat {
            codec: format!("avc1.64002{codec}"),
            width: 1920 + 16 * u32::from(codec),
            height: 1080,
        }),
        TrackKind::Audio => TrackFormat::Audio(AudioFormat {
            codec: "mp4a.40.2".into(),
            sample_rate_hz: 48_000,
            channels: 1 + u32::from(codec),
        }),
    };
    Init {
        hash: InitHash::of(&bytes),
        bytes,
        format,
    }
}

/// The name of the init segment that `recorded` needs.
pub(crate) fn init_name_of(recorded: &Recorded) -> String {
    let hash = init(recorded.kind, recorded.codec).hash;
    dayreel_manifest::init_name(recorded.kind, hash)
}

/// Adds what a segment needs and returns it: 25 pictures a second at 2 Mbit/s, sound at 64 kbit/s.
pub(crate) fn segment(day: &mut DayTimeline, recorded: &Recorded) -> Segment {
    let (per_second, bytes_per_second) = match recorded.kind {
        TrackKind::Video => (25, 250_000),
        TrackKind::Audio => (47, 8_000),
        TrackKind::Preview => (15, 60_000),
    };
    let of = |rate: u64| u32::try_from(u64::from(recorded.duration_90k) * rate / SECOND).unwrap();
    Segment {
        start: MediaTime::from_ticks(recorded.start_90k),
        duration_90k: recorded.duration_90k,
        access_units: of(per_second).max(1),
        init: day.add_init(recorded.kind, init(recorded.kind, recorded.codec)),
        bytes: Slice {
            file: 0,
            offset: 0,
            len_bytes: of(bytes_per_second).max(1),
        },
    }
}

/// Records `recorded`; returns how many discontinuities it follows.
pub(crate) fn append(day: &mut DayTimeline, recorded: &Recorded) -> u64 {
    let segment = segment(day, recorded);
    day.append(recorded.kind, segment)
}

/// Reads `recorded` from a day index.
pub(crate) fn append_listed(day: &mut DayTimeline, recorded: &Recorded, discontinuities: u64) {
    let segment = segment(day, recorded);
    day.append_listed(recorded.kind, segment, discontinuities);
}

/// `count` equal segments one after another.
pub(crate) fn run(
    kind: TrackKind,
    start_90k: u64,
    duration_90k: u32,
    count: u64,
    codec: u8,
) -> impl Iterator<Item = Recorded> {
    (0..count).map(move |i| Recorded {
        kind,
        start_90k: start_90k + i * u64::from(duration_90k),
        duration_90k,
        codec,
    })
}

/// In the order of their ends: how two tracks that are recorded at once are listed.
pub(crate) fn by_end(mut recorded: Vec<Recorded>) -> Vec<Recorded> {
    recorded.sort_by_key(|segment| (segment.end_90k(), segment.kind));
    recorded
}

/// A day of those segments.
pub(crate) fn day_of(recorded: &[Recorded]) -> DayTimeline {
    let mut day = empty_day();
    for segment in recorded {
        append(&mut day, segment);
    }
    day
}
