//! The names of media in URLs: `v-{start}.m4s`, `v-{start}.part.m4s`, `k-{start}.m4s` and `v-{hash}.mp4`. They carry the
//! media time, so that they survive restarts and are the same in HLS, in DASH and in every day that lists them.

use dayreel_core::{MediaTime, TrackKind};

use crate::InitHash;

/// What a media name in a URL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaName {
    /// The segment of that track that starts then.
    Segment(TrackKind, MediaTime),
    /// The part of a segment of that track that starts then.
    Part(TrackKind, MediaTime),
    /// The keyframe of the picture that a segment begins with then, by itself.
    Keyframe(MediaTime),
    /// The init segment of that track with that hash.
    Init(TrackKind, InitHash),
}

impl MediaName {
    /// Reads a name such as `v-161582704650000.m4s`. `None` for anything else: there is exactly one
    /// spelling, so that caches hold one copy.
    pub fn parse(name: &str) -> Option<Self> {
        let time = |ticks: &str| Some(MediaTime::from_ticks(ticks.parse().ok()?));
        if let Some(ticks) = name.strip_prefix(KEYFRAME) {
            let start = time(ticks.strip_suffix(".m4s")?)?;
            return (keyframe_name(start) == name).then_some(Self::Keyframe(start));
        }
        let (track, rest) = TrackKind::ALL.into_iter().find_map(|track| {
            Some((track, name.strip_prefix(track.letter())?.strip_prefix('-')?))
        })?;
        if let Some(ticks) = rest.strip_suffix(".part.m4s") {
            let start = time(ticks)?;
            return (part_name(track, start) == name).then_some(Self::Part(track, start));
        }
        if let Some(ticks) = rest.strip_suffix(".m4s") {
            let start = time(ticks)?;
            return (segment_name(track, start) == name).then_some(Self::Segment(track, start));
        }
        let hash = InitHash(u64::from_str_radix(rest.strip_suffix(".mp4")?, 16).ok()?);
        (init_name(track, hash) == name).then_some(Self::Init(track, hash))
    }
}

/// What the names of keyframes begin with. No track has this letter.
pub(crate) const KEYFRAME: &str = "k-";

/// The name of the segment of `track` that starts at `start`.
pub fn segment_name(track: TrackKind, start: MediaTime) -> String {
    format!("{}-{}.m4s", track.letter(), start.ticks())
}

/// The name of the part of a segment of `track` that starts at `start`.
pub fn part_name(track: TrackKind, start: MediaTime) -> String {
    format!("{}-{}.part.m4s", track.letter(), start.ticks())
}

/// The name of the keyframe that the segment of video begins with that starts at `start`.
pub fn keyframe_name(start: MediaTime) -> String {
    format!("{KEYFRAME}{}.m4s", start.ticks())
}

/// The name of the init segment of `track` with that hash.
pub fn init_name(track: TrackKind, hash: InitHash) -> String {
    format!("{}-{:016x}.mp4", track.letter(), hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_spelling() {
        let start = MediaTime::from_ticks(161_582_704_650_000);
        assert_eq!(
            segment_name(TrackKind::Video, start),
            "v-161582704650000.m4s"
        );
        assert_eq!(
            MediaName::parse("v-161582704650000.m4s"),
            Some(MediaName::Segment(TrackKind::Video, start))
        );
        assert_eq!(
            MediaName::parse("v-161582704650000.part.m4s"),
            Some(MediaName::Part(TrackKind::Video, start))
        );
        assert_eq!(
            MediaName::parse("k-161582704650000.m4s"),
            Some(MediaName::Keyframe(start))
        );
        assert_eq!(
            MediaName::parse("a-00000000deadbeef.mp4"),
            Some(MediaName::Init(TrackKind::Audio, InitHash(0xdead_beef)))
        );
        for odd in [
            "",
            "v",
            "v-",
            "p-",
            "v-.m4s",
            "v-+1.m4s",
            "v-01.m4s",
            "v-01.part.m4s",
            "v-.part.m4s",
            "v-1.part.mp4",
            "k-",
            "k-.m4s",
            "k-+1.m4s",
            "k-01.m4s",
            "k-1.part.m4s",
            "k-00000000deadbeef.mp4",
            "x-1.m4s",
            "v-1.mp4",
            "v-1.m4s/",
            "a-DEADBEEF00000000.mp4",
            "v-99999999999999999999.m4s",
            "vä-1.m4s",
        ] {
            assert_eq!(MediaName::parse(odd), None, "{odd}");
        }
    }
}
