//! Reads media playlists: by `m3u8-rs`, and what it does not know (delta updates, two
//! discontinuities in a row) line by line. Where both know something they must agree.

use chrono::{DateTime, Utc};
use m3u8_rs::parse_media_playlist_res;

/// A segment as a player knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// The last part of its URI.
    pub(crate) name: String,
    pub(crate) duration_s: f64,
    /// How many EXT-X-DISCONTINUITY come before it.
    pub(crate) discontinuities: u64,
    /// EXT-X-MAP, if one stands before it.
    pub(crate) map: Option<String>,
    pub(crate) date: Option<DateTime<Utc>>,
    /// EXT-X-GAP: it is not there.
    pub(crate) is_gap: bool,
}

/// A media playlist.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Media {
    /// The tags before the first segment that are not about it.
    pub(crate) header: Vec<String>,
    pub(crate) media_sequence: u64,
    pub(crate) discontinuity_sequence: u64,
    pub(crate) target_duration_s: u64,
    pub(crate) skipped: usize,
    pub(crate) can_skip_until_s: Option<f64>,
    pub(crate) lines: Vec<Line>,
    pub(crate) ended: bool,
}

impl Media {
    pub(crate) fn read(text: &[u8]) -> Self {
        let theirs = parse_media_playlist_res(text).unwrap();
        let text = std::str::from_utf8(text).unwrap();
        let mut media = Self {
            header: Vec::new(),
            media_sequence: theirs.media_sequence,
            discontinuity_sequence: theirs.discontinuity_sequence,
            target_duration_s: theirs.target_duration,
            skipped: 0,
            can_skip_until_s: None,
            lines: Vec::new(),
            ended: theirs.end_list,
        };
        let mut next = empty_line();
        for line in text.lines() {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXTINF" => next.duration_s = value.strip_suffix(',').unwrap().parse().unwrap(),
                "#EXT-X-GAP" => next.is_gap = true,
                "#EXT-X-DISCONTINUITY" => next.discontinuities += 1,
                "#EXT-X-MAP" => next.map = Some(name_of(value)),
                "#EXT-X-PROGRAM-DATE-TIME" => next.date = Some(value.parse().unwrap()),
                "#EXT-X-SKIP" => {
                    let count = value.strip_prefix("SKIPPED-SEGMENTS=").unwrap();
                    media.skipped = count.parse().unwrap();
                }
                "#EXT-X-ENDLIST" => {}
                tag if tag.starts_with('#') => {
                    if tag == "#EXT-X-SERVER-CONTROL" {
                        let mut attributes = value.split(',');
                        let until = attributes.find_map(|one| one.strip_prefix("CAN-SKIP-UNTIL="));
                        media.can_skip_until_s = until.map(|until| until.parse().unwrap());
                    }
                    media.header.push(line.to_owned());
                }
                uri => {
                    next.name = name_of(uri);
                    media.lines.push(std::mem::replace(&mut next, empty_line()));
                }
            }
        }
        media.agrees_with(&theirs);
        media
    }

    fn agrees_with(&self, theirs: &m3u8_rs::MediaPlaylist) {
        assert_eq!(self.lines.len(), theirs.segments.len());
        assert!(theirs.independent_segments);
        for (ours, theirs) in self.lines.iter().zip(&theirs.segments) {
            assert_eq!(ours.name, name_of(&theirs.uri));
            assert_eq!(ours.discontinuities > 0, theirs.discontinuity);
            assert_eq!(ours.map, theirs.map.as_ref().map(|map| name_of(&map.uri)));
            assert!((ours.duration_s - f64::from(theirs.duration)).abs() < 1e-5);
            assert_eq!(
                ours.date,
                theirs.program_date_time.map(|date| date.to_utc())
            );
        }
    }

    /// Discontinuity sequence number of each segment that is there.
    pub(crate) fn spans(&self) -> Vec<u64> {
        let count = |number: &mut u64, line: &Line| {
            *number += line.discontinuities;
            Some(*number)
        };
        let there = self.lines.iter().filter(|line| !line.is_gap);
        there.scan(self.discontinuity_sequence, count).collect()
    }

    /// The map in force at each segment.
    pub(crate) fn maps(&self) -> Vec<String> {
        let mut force = String::new();
        let maps = self.lines.iter().map(|line| {
            force = line.map.clone().unwrap_or(std::mem::take(&mut force));
            force.clone()
        });
        maps.collect()
    }

    /// What a client has that knew `self` and then got `delta` (RFC 8216bis §6.3.7).
    pub(crate) fn updated_by(&self, delta: &Self) -> Self {
        let dropped = usize::try_from(delta.media_sequence - self.media_sequence).unwrap();
        let known = &self.lines[dropped..dropped + delta.skipped];
        let mut whole = Self {
            skipped: 0,
            ..delta.clone()
        };
        whole.lines.splice(0..0, known.iter().cloned());
        whole
    }
}

fn empty_line() -> Line {
    Line {
        name: String::new(),
        duration_s: 0.0,
        discontinuities: 0,
        map: None,
        date: None,
        is_gap: false,
    }
}

/// `../v-1.m4s` or `URI="../v-1.mp4"` without what is around the name.
fn name_of(uri: &str) -> String {
    let uri = uri
        .strip_prefix("URI=\"")
        .unwrap_or(uri)
        .trim_end_matches('"');
    uri.strip_prefix("../").unwrap().to_owned()
}
