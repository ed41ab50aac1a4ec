//! The day index: a static HLS media playlist that is only appended to, so that any player can play
//! the folder and a torn write costs one line group.
//!
//! A segment is one group of lines; its last line is the file name, so a group without it is torn.
//!
//! ```text
//! #DAYREEL-GAP:cause=network                               only after a gap whose cause is known
//! #EXT-X-DISCONTINUITY                                     only after a gap or a new codec, also of
//!                                                          the other track: once for each
//! #EXT-X-MAP:URI="video-00.mp4",BYTERANGE="812@0"          only where the init bytes changed
//! #EXT-X-PROGRAM-DATE-TIME:2026-11-22T00:00:00.000Z
//! #DAYREEL-SEGMENT:start=161582704650000,duration=360000,units=100
//! #EXTINF:4.0,
//! #EXT-X-BYTERANGE:1048576@812
//! video-00.mp4
//! ```
//!
//! A day that is over ends with `#EXT-X-ENDLIST`; where nothing was recorded up to its end, with the
//! cause before it.

use std::fmt::Write as _;

use dayreel_core::{GapCause, MediaTime};
use dayreel_manifest::{Segment, Sequence};

/// Where the four digits of EXT-X-TARGETDURATION stand: the one thing that is ever rewritten.
pub(crate) const TARGET_DURATION_OFFSET: u64 = 47;

/// What says that nothing is ever removed (RFC 8216 §4.3.3.5): not of a day that has lost hours.
const EVENT: &str = "#EXT-X-PLAYLIST-TYPE:EVENT\n";

/// The first lines of an index. RFC 8216 §4.3.3.1: the target duration bounds every EXTINF; it has
/// four digits, so that a longer segment can raise it in place.
pub(crate) fn header(first: Sequence, target_duration_s: u64) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n{TARGET_DURATION}{}\n{EVENT}\
         #EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n#EXT-X-INDEPENDENT-SEGMENTS\n",
        target_duration_digits(target_duration_s),
        first.media,
        first.discontinuity
    )
}

const TARGET_DURATION: &str = "#EXT-X-TARGETDURATION:";
/// A comment to players.
const GAP: &str = "#DAYREEL-GAP";

/// The last lines of the index of a day that is over.
pub(crate) fn ending(ends_with: Option<GapCause>) -> String {
    let cause = ends_with.map(|cause| format!("{GAP}:cause={cause}\n"));
    cause.unwrap_or_default() + "#EXT-X-ENDLIST\n"
}

/// The target duration as the header writes it.
pub(crate) fn target_duration_digits(target_duration_s: u64) -> String {
    format!("{:04}", target_duration_s.min(9999))
}

/// A byte range of a file of the day folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRange {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) len_bytes: u32,
}

/// One group of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) start: MediaTime,
    pub(crate) duration_90k: u32,
    pub(crate) access_units: u32,
    /// Why nothing was recorded before it, if there is a gap and that is known.
    pub(crate) after: Option<GapCause>,
    /// How many: players match tracks by their count.
    pub(crate) discontinuities: u64,
    /// A new init segment, from this entry on.
    pub(crate) map: Option<FileRange>,
    pub(crate) bytes: FileRange,
}

impl Entry {
    pub(crate) fn new(
        segment: &Segment,
        after: Option<GapCause>,
        discontinuities: u64,
        map: Option<FileRange>,
        file: String,
    ) -> Self {
        Self {
            start: segment.start,
            duration_90k: segment.duration_90k,
            access_units: segment.access_units,
            after,
            discontinuities,
            map,
            bytes: FileRange {
                file,
                offset: segment.bytes.offset,
                len_bytes: segment.bytes.len_bytes,
            },
        }
    }

    /// The instant after its last access unit.
    pub(crate) const fn end(&self) -> MediaTime {
        self.start.saturating_add(self.duration_90k as u64)
    }

    /// The init segment that begins with it.
    pub(crate) const fn map(&self) -> Option<&FileRange> {
        self.map.as_ref()
    }

    /// The group as text.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::with_capacity(256);
        // Writing to a String cannot fail.
        if let Some(cause) = self.after {
            let _ = writeln!(text, "{GAP}:cause={cause}");
        }
        (0..self.discontinuities).for_each(|_| text.push_str("#EXT-X-DISCONTINUITY\n"));
        text.extend(self.map.as_ref().map(map_line));
        let time = self.start.media_to_wall().format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let (start, duration, units) = (self.start.ticks(), self.duration_90k, self.access_units);
        let seconds = f64::from(duration) / 90_000.0;
        let FileRange {
            file,
            offset,
            len_bytes,
        } = &self.bytes;
        let _ = write!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:{time}\n\
             #DAYREEL-SEGMENT:start={start},duration={duration},units={units}\n\
             #EXTINF:{seconds:.6},\n#EXT-X-BYTERANGE:{len_bytes}@{offset}\n{file}\n"
        );
        text
    }
}

/// An index as far as it can be read.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) first: Sequence,
    pub(crate) target_duration_s: u64,
    pub(crate) entries: Vec<Entry>,
    /// Bytes up to the end of the last whole group; what follows is torn.
    pub(crate) sound_bytes: u64,
    /// Bytes up to the end of the last entry, without the ending.
    pub(crate) open_bytes: u64,
    /// Whether the day was closed (EXT-X-ENDLIST).
    pub(crate) closed: bool,
    /// Why nothing was recorded after the last entry, if that is known.
    pub(crate) ends_with: Option<GapCause>,
}

/// Reads an index as far as its lines are whole and ours. Never fails: what cannot be read is left
/// beyond `sound_bytes`, and recovery finds its media in the hour files.
pub(crate) fn parse(text: &[u8]) -> Index {
    let mut index = Index::default();
    let mut group = Group::default();
    let mut offset = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        offset += line.len() as u64;
        let Some(line) = line
            .strip_suffix(b"\n")
            .and_then(|line| std::str::from_utf8(line).ok())
        else {
            break;
        };
        if !index.read_line(line, &mut group, offset) {
            break;
        }
    }
    index
}

/// The index `text` without the groups of the files that are gone, with the numbers `first` for what
/// is left. Other lines stay as they are.
pub(crate) fn without(text: &[u8], first: Sequence, is_gone: impl Fn(&str) -> bool) -> String {
    let index = parse(text);
    let sound = usize::try_from(index.sound_bytes).unwrap_or(usize::MAX);
    let sound = text.get(..sound).unwrap_or(text);
    let sound = String::from_utf8_lossy(sound);
    let begin = sound
        .find(LAST_OF_HEADER)
        .map_or(0, |at| at + LAST_OF_HEADER.len());
    let mut kept = header(first, index.target_duration_s).replace(EVENT, "");
    let header_bytes = kept.len();
    let (mut group, mut map): (Vec<&str>, Option<FileRange>) = (Vec::new(), None);
    for line in sound[begin..].split_inclusive('\n') {
        group.push(line);
        let text = line.trim_end();
        if text.starts_with('#') {
            map = parse_map_line(line).or(map);
            continue;
        }
        let group = std::mem::take(&mut group);
        if is_gone(text) {
            continue;
        }
        let is_first = kept.len() == header_bytes;
        if let Some(map) = map.as_mut().filter(|map| is_first || is_gone(&map.file)) {
            // Each hour file begins with a copy of its init segment.
            (map.file, map.offset) = (text.to_owned(), 0);
            kept.push_str(&map_line(map));
        }
        let is_replaced = |line: &str| {
            // The first that is left follows nothing, and what is before it is not missing.
            let is_map = line.starts_with("#EXT-X-MAP:");
            let is_about_before = line == "#EXT-X-DISCONTINUITY\n" || line.starts_with(GAP);
            is_first && (is_map || is_about_before)
                || is_map && parse_map_line(line).is_none_or(|map| is_gone(&map.file))
        };
        let lines = group.into_iter().filter(|line| !is_replaced(line));
        lines.for_each(|line| kept.push_str(line));
    }
    group.into_iter().for_each(|line| kept.push_str(line));
    kept
}

/// The line that ends the header.
const LAST_OF_HEADER: &str = "#EXT-X-INDEPENDENT-SEGMENTS\n";

fn parse_map_line(line: &str) -> Option<FileRange> {
    parse_map(line.trim_end().strip_prefix("#EXT-X-MAP:")?)
}

fn map_line(map: &FileRange) -> String {
    let FileRange {
        file,
        offset,
        len_bytes,
    } = map;
    format!("#EXT-X-MAP:URI=\"{file}\",BYTERANGE=\"{len_bytes}@{offset}\"\n")
}

#[derive(Default)]
struct Group {
    after: Option<GapCause>,
    discontinuities: u64,
    map: Option<FileRange>,
    segment: Option<(u64, u32, u32)>,
    range: Option<(u32, u64)>,
}

impl Index {
    /// Returns whether the line could be one of ours.
    fn read_line(&mut self, line: &str, group: &mut Group, end_offset: u64) -> bool {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-MEDIA-SEQUENCE" => self.first.media = value.parse().unwrap_or(0),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.first.discontinuity = value.parse().unwrap_or(0);
            }
            "#EXT-X-TARGETDURATION" => self.target_duration_s = value.parse().unwrap_or(0),
            "#EXT-X-INDEPENDENT-SEGMENTS" => {
                self.sound_bytes = end_offset;
                self.open_bytes = end_offset;
            }
            "#EXT-X-ENDLIST" => {
                self.closed = true;
                self.ends_with = group.after.take();
                self.sound_bytes = end_offset;
            }
            GAP => group.after = parse_gap(value),
            "#EXT-X-DISCONTINUITY" => group.discontinuities += 1,
            "#EXT-X-MAP" => match parse_map(value) {
                Some(map) => group.map = Some(map),
                None => return false,
            },
            "#DAYREEL-SEGMENT" => group.segment = parse_segment(value),
            "#EXT-X-BYTERANGE" => group.range = parse_range(value),
            _ if line.starts_with('#') => {}
            file => {
                let group = std::mem::take(group);
                let (Some((start, duration_90k, access_units)), Some((len_bytes, offset))) =
                    (group.segment, group.range)
                else {
                    return false;
                };
                let known_map = group.map.is_some() || !self.entries.is_empty();
                if duration_90k == 0 || !known_map || !is_file_name(file) {
                    return false;
                }
                self.entries.push(Entry {
                    start: MediaTime::from_ticks(start),
                    duration_90k,
                    access_units,
                    after: group.after,
                    discontinuities: group.discontinuities,
                    map: group.map,
                    bytes: FileRange {
                        file: file.to_owned(),
                        offset,
                        len_bytes,
                    },
                });
                self.sound_bytes = end_offset;
                self.open_bytes = end_offset;
                self.closed = false;
                self.ends_with = None;
            }
        }
        true
    }
}

/// Whether a name in an index is a file of its own folder, and can be quoted: an index is foreign bytes
/// once somebody has copied a day here.
fn is_file_name(name: &str) -> bool {
    name.ends_with(".mp4") && !name.contains(['/', '\\', '"', '\0'])
}

fn parse_map(value: &str) -> Option<FileRange> {
    let (file, range) = value
        .strip_prefix("URI=\"")?
        .split_once("\",BYTERANGE=\"")?;
    let (len_bytes, offset) = parse_range(range.strip_suffix('"')?)?;
    is_file_name(file).then(|| FileRange {
        file: file.to_owned(),
        offset,
        len_bytes,
    })
}

fn parse_range(value: &str) -> Option<(u32, u64)> {
    let (len_bytes, offset) = value.split_once('@')?;
    Some((len_bytes.parse().ok()?, offset.parse().ok()?))
}

/// A cause that this version does not know is none.
fn parse_gap(value: &str) -> Option<GapCause> {
    value.strip_prefix("cause=")?.parse().ok()
}

fn parse_segment(value: &str) -> Option<(u64, u32, u32)> {
    let mut fields = value.split(',');
    let start = fields.next()?.strip_prefix("start=")?.parse().ok()?;
    let duration_90k = fields.next()?.strip_prefix("duration=")?.parse().ok()?;
    let units = fields.next()?.strip_prefix("units=")?.parse().ok()?;
    Some((start, duration_90k, units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: u64) -> Entry {
        Entry {
            start: MediaTime::from_ticks(start),
            duration_90k: 360_000,
            access_units: 100,
            after: (start > 0).then_some(GapCause::Network),
            discontinuities: u64::from(start > 0),
            map: Some(FileRange {
                file: "video-00.mp4".into(),
                offset: 0,
                len_bytes: 812,
            }),
            bytes: FileRange {
                file: "video-00.mp4".into(),
                offset: 812,
                len_bytes: 99,
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let first = Sequence {
            media: 7,
            discontinuity: 3,
        };
        let text = header(first, 4) + &entry(0).to_text() + &entry(360_000).to_text();
        let digits = usize::try_from(TARGET_DURATION_OFFSET).unwrap();
        assert_eq!(&text[digits..digits + 5], "0004\n");
        let index = parse(text.as_bytes());
        assert_eq!((index.first, index.target_duration_s), (first, 4));
        assert_eq!(index.entries, [entry(0), entry(360_000)]);
        assert_eq!(index.sound_bytes, text.len() as u64);
        assert!(!index.closed);
    }

    #[test]
    fn an_ending_is_read_and_what_is_appended_after_it_counts() {
        let open = header(Sequence::default(), 4) + &entry(0).to_text();
        for ends_with in [None, Some(GapCause::Restart)] {
            let closed = open.clone() + &ending(ends_with);
            let index = parse(closed.as_bytes());
            assert_eq!((index.closed, index.ends_with), (true, ends_with));
            assert_eq!(index.sound_bytes, closed.len() as u64);
            assert_eq!(index.open_bytes, open.len() as u64);
            let index = parse((closed + &entry(360_000).to_text()).as_bytes());
            assert_eq!((index.closed, index.ends_with), (false, None));
            assert_eq!(index.entries, [entry(0), entry(360_000)]);
        }
    }

    #[test]
    fn a_cause_that_is_not_known_is_none() {
        let text = header(Sequence::default(), 4)
            + &entry(0).to_text()
            + &entry(360_000).to_text().replace("network", "moonlight");
        let index = parse(text.as_bytes());
        assert_eq!(index.entries.len(), 2);
        assert_eq!(index.entries[1].after, None);
    }

    #[test]
    fn an_index_torn_at_any_byte_keeps_its_whole_groups() {
        let head = header(Sequence::default(), 4);
        let (one, two) = (head.clone() + &entry(0).to_text(), entry(360_000).to_text());
        for torn in 0..two.len() {
            let index = parse((one.clone() + &two[..torn]).as_bytes());
            assert_eq!(index.entries.len(), 1, "torn at {torn}");
            assert_eq!(index.sound_bytes, one.len() as u64);
        }
    }

    #[test]
    fn a_hostile_index_names_no_file_outside_its_folder() {
        let head = header(Sequence::default(), 4);
        let text = head.clone() + &entry(0).to_text().replace("\nvideo-00.mp4", "\n../x.mp4");
        assert_eq!(parse(text.as_bytes()).entries.len(), 0);
        let text = head
            + &entry(0)
                .to_text()
                .replace("=\"video-00.mp4", "=\"/etc/x.mp4");
        assert_eq!(parse(text.as_bytes()).entries.len(), 0);
    }
}
