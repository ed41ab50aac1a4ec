//! MPD patches: an MPD with its patch applied is the next MPD, byte for byte.

use chrono::TimeDelta;
use dayreel_core::{MediaTime, TrackKind};
use dayreel_manifest::{DayTimeline, Encoding, Presentation, Version, manifest, patch};
use proptest::prelude::*;

use crate::{
    apply::apply,
    camera::{MIDNIGHT_90K, SECOND, append, day_of, empty_day, run},
    random_days::{record, stretches},
};

/// A version of an MPD as a player has it.
#[derive(Clone, Debug)]
pub(crate) struct Had {
    text: String,
    low_latency: bool,
}

fn live(after_ms: i64, low_latency: bool) -> Presentation {
    let midnight = MediaTime::from_ticks(MIDNIGHT_90K).media_to_wall();
    Presentation::Live {
        now: midnight + TimeDelta::milliseconds(after_ms),
        window_s: None,
        low_latency,
    }
}

fn string(document: &dayreel_manifest::Document) -> String {
    String::from_utf8(document.to_vec()).unwrap()
}

impl Had {
    /// The MPD of `day`, that is asked for so long after midnight.
    pub(crate) fn of(day: &DayTimeline, after_ms: i64, low_latency: bool) -> Option<Self> {
        let document = manifest(day, live(after_ms, low_latency), Encoding::Identity)?;
        Some(Self {
            text: string(&document),
            low_latency,
        })
    }

    fn version(&self) -> Version {
        let (_, rest) = self.text.split_once("since=").unwrap();
        let (since, _) = rest.split_once('<').unwrap();
        let version = Version::parse(since, self.low_latency).unwrap();
        assert_eq!(version.to_string(), since);
        version
    }

    /// What has changed since, if a patch can tell: checked.
    pub(crate) fn patched(&self, day: &DayTimeline, after_ms: i64) -> Option<String> {
        let presentation = live(after_ms, self.low_latency);
        let document = patch(day, presentation, &self.version(), Encoding::Identity)?;
        let patch = string(&document);
        if patch.contains("originalPublishTime=\"1970-01-01T00:00:00.000Z\"") {
            assert!(!patch.contains("sel="), "{patch}");
            return None;
        }
        let new = Self::of(day, after_ms, self.low_latency).unwrap();
        assert_eq!(apply(&self.text, &patch).unwrap(), new.text, "{patch}");
        Some(patch)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_mpd_with_its_patch_is_the_next_mpd(
        stretches in stretches(false),
        lag_90k in 0..400_000_u64,
        behind in 1..6_usize,
        low_latency in any::<bool>(),
    ) {
        let mut day = empty_day();
        let mut had = Vec::new();
        for (ms, segment) in (0..).zip(record(&stretches, lag_90k)) {
            append(&mut day, &segment);
            if let Some(old) = had.iter().nth_back(behind) {
                Option::as_ref(old).and_then(|old: &Had| old.patched(&day, ms));
            }
            had.push(Had::of(&day, ms, low_latency));
        }
    }
}

/// A version of such a day, and what its patch says after one more segment of such lengths.
fn after_one_more(lengths_90k: impl Iterator<Item = u32>) -> (Had, String) {
    let mut day = empty_day();
    let mut start_90k = MIDNIGHT_90K;
    let mut had = None;
    let mut told = None;
    for (ms, length_90k) in (0..).zip(lengths_90k) {
        for segment in run(TrackKind::Video, start_90k, length_90k, 1, 0) {
            append(&mut day, &segment);
        }
        start_90k += u64::from(length_90k);
        told = had.and_then(|had: Had| Some((had.clone(), had.patched(&day, ms)?)));
        had = Had::of(&day, ms, false);
    }
    told.unwrap()
}

#[test]
fn a_patch_is_small_however_long_the_day_is() {
    let even = [180_000].into_iter().cycle().take(40_000);
    let (_, patch) = after_one_more(even);
    assert!(patch.len() < 1_500, "{} bytes: {patch}", patch.len());
    // Each has as many pictures and bytes a second as the first has.
    let odd = (0..2_000).map(|index| 180_000 - 3_600 * (index % 2));
    let (had, patch) = after_one_more(odd);
    assert!(had.text.len() > 30_000);
    assert!(patch.len() < 1_500, "{} bytes: {patch}", patch.len());
}

#[test]
fn who_has_another_day_or_another_version_gets_the_mpd() {
    let of_codec =
        |codec| day_of(&run(TrackKind::Video, MIDNIGHT_90K, 180_000, 9, codec).collect::<Vec<_>>());
    let day = of_codec(0);
    let had = Had::of(&day, 1, false).unwrap();
    assert!(had.patched(&day, 2).is_some());
    assert!(had.patched(&day, 1).is_none(), "not later");
    assert!(had.patched(&of_codec(1), 2).is_none(), "another codec");
    let later = run(TrackKind::Video, MIDNIGHT_90K + SECOND, 180_000, 9, 0);
    assert!(
        had.patched(&day_of(&later.collect::<Vec<_>>()), 2)
            .is_none()
    );
    let fewer = run(TrackKind::Video, MIDNIGHT_90K, 180_000, 8, 0);
    assert!(
        had.patched(&day_of(&fewer.collect::<Vec<_>>()), 2)
            .is_none()
    );
    for nonsense in [
        "",
        "0",
        "x-1-1.0-1.0-0.0",
        "1-1-1-1-0",
        "1-1-1.0-1.0-0.0-0.0",
        "1-1-1.0-1.0-0.-1",
    ] {
        assert_eq!(Version::parse(nonsense, false), None, "{nonsense}");
    }
}
