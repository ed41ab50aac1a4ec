//! Rules of the parts of a live playlist, and a reader of them.

use super::{
    BLOCK_RELOAD, HINT, HINT_COMES_TRUE, PART_DURATION, PART_HOLD_BACK, PART_INDEPENDENT,
    PART_LEAST, PART_SUM, PARTS_RECENT, PARTS_STAY, REPORT, SYNTAX,
    attributes::{Attributes, attributes},
    reader::{self, Media, decimal_ns},
};
use crate::rules::Findings;

/// What a media playlist says of parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LowLatency {
    /// What it says of segments.
    pub media: Media,
    /// `PART-TARGET`, ns; 0 if there is none.
    pub part_target_ns: u64,
    /// In order.
    pub segments: Vec<Parts>,
    /// What there is of the segment after them.
    pub open: Vec<Part>,
    /// `EXT-X-PRELOAD-HINT`: the URI of the next part.
    pub hint: Option<String>,
    /// `EXT-X-RENDITION-REPORT`s.
    pub reports: Vec<Attributes>,
}

/// A segment and the parts that are listed of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// As written.
    pub uri: String,
    /// `EXTINF`, ns.
    pub duration_ns: u64,
    /// In order; none of older segments.
    pub parts: Vec<Part>,
}

/// An `EXT-X-PART`.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// As written.
    pub uri: String,
    /// `DURATION`, ns.
    pub duration_ns: u64,
    /// `INDEPENDENT=YES`.
    pub independent: bool,
}

impl LowLatency {
    /// Media sequence number of the newest segment that something is listed of, and the number of
    /// parts that are listed of it.
    pub fn newest(&self) -> (u64, u64) {
        let skipped = self.media.skipped_segments.unwrap_or(0);
        let complete = self.media.media_sequence + skipped + self.segments.len() as u64;
        match (self.open.is_empty(), self.segments.last()) {
            (true, Some(last)) => (complete.saturating_sub(1), last.parts.len() as u64),
            _ => (complete, self.open.len() as u64),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Part> {
        let complete = self.segments.iter().flat_map(|segment| &segment.parts);
        complete.chain(&self.open)
    }
}

/// Reads what `text` says of parts; what cannot be read is a finding of [`SYNTAX`].
pub fn read(text: &str) -> (LowLatency, Findings) {
    let (media, mut findings) = reader::read(text);
    let mut read = LowLatency {
        media,
        ..LowLatency::default()
    };
    let mut duration_ns = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        let list = || attributes(value);
        let readable = match tag {
            "#EXT-X-PART-INF" => set(
                &mut read.part_target_ns,
                list().and_then(|list| nanos(list.unquoted("PART-TARGET")?)),
            ),
            "#EXT-X-PART" => {
                let part = list().and_then(|list| part(&list));
                let readable = part.is_some();
                read.open.extend(part);
                readable
            }
            "#EXT-X-PRELOAD-HINT" => {
                let part = list().filter(|list| list.unquoted("TYPE") == Some("PART"));
                let uri = part.and_then(|list| Some(list.quoted("URI")?.to_owned()));
                let readable = uri.is_some() && read.hint.is_none();
                read.hint = uri;
                readable
            }
            "#EXT-X-RENDITION-REPORT" => {
                let report = list();
                let readable = report.is_some();
                read.reports.extend(report);
                readable
            }
            "#EXTINF" => set(&mut duration_ns, value.split(',').next().and_then(nanos)),
            _ if line.starts_with('#') => true,
            uri => {
                read.segments.push(Parts {
                    uri: uri.to_owned(),
                    duration_ns,
                    parts: std::mem::take(&mut read.open),
                });
                true
            }
        };
        findings.check(readable, SYNTAX, || format!("line {number}: {line:?}"));
    }
    (read, findings)
}

fn nanos(text: &str) -> Option<u64> {
    decimal_ns(text).map(|(ns, _)| ns)
}

fn set<T>(slot: &mut T, value: Option<T>) -> bool {
    value.map(|value| *slot = value).is_some()
}

fn part(list: &Attributes) -> Option<Part> {
    let independent = match list.get("INDEPENDENT") {
        None => false,
        Some("YES") => true,
        Some(_) => return None,
    };
    Some(Part {
        uri: list.quoted("URI")?.to_owned(),
        duration_ns: nanos(list.unquoted("DURATION")?)?,
        independent,
    })
}

/// Checks the text of a live playlist of which parts are listed, of a presentation with `others`
/// other tracks.
pub fn check(text: &str, others: usize) -> (LowLatency, Findings) {
    let (list, mut findings) = read(text);
    let target_ns = list.part_target_ns;
    let control = list.media.server_control.as_ref();
    findings.check(
        control.and_then(|control| control.get("CAN-BLOCK-RELOAD")) == Some("YES"),
        BLOCK_RELOAD,
        || format!("{control:?}"),
    );
    let hold_ns = list.media.server_control_ns("PART-HOLD-BACK").unwrap_or(0);
    findings.check(
        target_ns > 0 && hold_ns >= 2 * target_ns,
        PART_HOLD_BACK,
        || format!("{hold_ns} ns, parts of {target_ns} ns"),
    );
    let listed_ns = 3 * 1_000_000_000 * list.media.target_duration_s.unwrap_or(0);
    let mut after_ns = 0;
    for segment in list.segments.iter().rev() {
        let uri = &segment.uri;
        let Some(last) = segment.parts.last() else {
            after_ns += segment.duration_ns;
            continue;
        };
        findings.check(after_ns < listed_ns, PARTS_RECENT, || {
            format!("{uri} ends {after_ns} ns before the end")
        });
        after_ns += segment.duration_ns;
        let sum_ns: u64 = segment.parts.iter().map(|part| part.duration_ns).sum();
        // Each is rounded up to a nanosecond.
        let rounding_ns = segment.parts.len() as u64;
        findings.check(
            sum_ns.abs_diff(segment.duration_ns) <= rounding_ns,
            PART_SUM,
            || format!("{uri}: {sum_ns} ns in parts, {} ns", segment.duration_ns),
        );
        for part in segment.parts.iter().filter(|part| *part != last) {
            least(part, target_ns, &mut findings);
        }
    }
    let (_, all_but_last) = list.open.split_last().unzip();
    for part in all_but_last.unwrap_or(&[]) {
        least(part, target_ns, &mut findings);
    }
    for part in list.all() {
        findings.check(part.duration_ns <= target_ns, PART_DURATION, || {
            format!("{part:?}, target {target_ns} ns")
        });
    }
    let firsts = list.segments.iter().map(|segment| segment.parts.first());
    for first in firsts.chain([list.open.first()]).flatten() {
        findings.check(first.independent, PART_INDEPENDENT, || format!("{first:?}"));
    }
    let is_listed = |uri: &String| list.all().any(|part| part.uri == *uri);
    findings.check(
        list.hint.as_ref().is_none_or(|hint| !is_listed(hint)),
        HINT,
        || format!("{:?} is there already", list.hint),
    );
    let are_whole = list
        .reports
        .iter()
        .all(|report| report.quoted("URI").is_some() && report.get("LAST-MSN").is_some());
    findings.check(are_whole && list.reports.len() == others, REPORT, || {
        format!("{:?}, {others} other tracks", list.reports)
    });
    (list, findings)
}

/// All parts but the last of a segment are about as long as they are said to be. The last that is
/// listed of an open segment may be its last.
fn least(part: &Part, target_ns: u64, findings: &mut Findings) {
    findings.check(part.duration_ns * 100 >= target_ns * 85, PART_LEAST, || {
        format!("{part:?}, target {target_ns} ns")
    });
}

/// Whether `after` tells of a break behind what `before` lists: then nothing came of what was hinted. That is
/// known where what follows is listed, or that there is a segment that nothing follows yet.
fn breaks_after(before: &LowLatency, after: &LowLatency) -> bool {
    let newest = before.newest().0;
    let numbered = after.media.numbers().into_iter().zip(&after.media.segments);
    let mut newer = numbered.filter(|(number, _)| *number > newest);
    let ends = after.open.is_empty() && after.newest().0 == newest;
    ends || newer
        .next()
        .is_some_and(|(_, segment)| segment.discontinuities > 0)
}

/// Checks that `after` may follow `before`, the playlist that a client had.
pub fn check_reload(before: &LowLatency, after: &LowLatency) -> Findings {
    let mut findings = Findings::default();
    if let Some(hint) = &before.hint {
        let is_there = after.newest() == before.newest()
            || after.all().any(|one| one.uri == *hint)
            || breaks_after(before, after);
        findings.check(is_there, HINT_COMES_TRUE, || {
            format!("{hint} is not among the parts")
        });
    }
    // What was open goes on as the segment with the same first part.
    let first = before.open.first();
    let open = first.filter(|first| after.all().any(|one| one.uri == first.uri));
    let complete = after.segments.iter().map(|segment| &segment.parts);
    let same = complete
        .chain([&after.open])
        .find(|parts| open.is_some() && parts.first() == open);
    findings.check(
        first.is_none() || same.is_some_and(|parts| parts.starts_with(&before.open)),
        PARTS_STAY,
        || format!("{:?} became {same:?}", before.open),
    );
    findings
}
