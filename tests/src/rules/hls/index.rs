//! Rules of the index on disk: `days/<date>/video.m3u8`, byte ranges into the files beside it.

use std::{
    collections::HashMap,
    fs::{File, metadata, read_to_string},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    DISCONTINUITY, INDEX_FORM, RANGES,
    media::{Expected, dates, header, second_parser, segments},
    reader::{Map, Media, read},
};
use crate::rules::Findings;

/// Dates of an index: written per segment, to the millisecond.
const EXPECTED: Expected = Expected {
    epoch_names: false,
    ..Expected::TODAY
};

/// Checks the index file at `path`, and its ranges against the files in the same folder.
///
/// # Errors
/// The index cannot be read.
pub fn check_file(path: &Path) -> io::Result<(Media, Findings)> {
    let text = read_to_string(path)?;
    Ok(check(&text, path.parent().unwrap_or(Path::new("."))))
}

/// Checks the text of an index of files in `folder`.
pub fn check(text: &str, folder: &Path) -> (Media, Findings) {
    let (media, mut findings) = read(text);
    findings.extend(second_parser(text, &media));
    findings.extend(header(&media));
    findings.extend(segments(&media));
    findings.extend(dates(&media, EXPECTED));
    let vod = media.playlist_type.as_deref() == Some("VOD");
    findings.check(!vod || media.end_list, INDEX_FORM, || {
        "VOD may not grow, and has no end".to_owned()
    });
    // Where the ranges of each file have got to, bytes.
    let mut ends_bytes: HashMap<&str, u64> = HashMap::new();
    let mut map: Option<&Map> = None;
    for segment in &media.segments {
        let line = segment.line;
        let own_map = segment.map.as_ref();
        let ranged = own_map.is_some_and(|map| map.byte_range.is_some());
        findings.check(ranged && segment.byte_range.is_some(), INDEX_FORM, || {
            format!("line {line}: no byte range, of itself or its map")
        });
        if let (Some(own), true) = (own_map, own_map != map) {
            let range = own.byte_range.unwrap_or((0, 0));
            findings.extend(range_rules(line, &own.uri, range, 0, folder));
            // Each file may begin with a copy of the same init segment.
            let copied = map.is_none_or(|map| same_bytes(map, own, folder));
            findings.check(segment.discontinuities > 0 || copied, DISCONTINUITY, || {
                format!("line {line}: another init segment without discontinuity")
            });
        }
        map = own_map;
        if let Some((offset, length)) = segment.byte_range {
            let end = ends_bytes.entry(&segment.uri).or_default();
            findings.extend(range_rules(
                line,
                &segment.uri,
                (offset, length),
                *end,
                folder,
            ));
            *end = offset.saturating_add(length);
        }
    }
    (media, findings)
}

fn range_rules(
    line: usize,
    uri: &str,
    (offset, length): (u64, u64),
    not_before: u64,
    folder: &Path,
) -> Findings {
    let mut findings = Findings::default();
    let end = offset.saturating_add(length);
    let size = is_beside(uri).then(|| metadata(folder.join(uri)).ok());
    let size = size.flatten().map(|file| file.len());
    findings.check(
        size.is_some_and(|size| end <= size && length > 0),
        RANGES,
        || format!("line {line}: {length}@{offset} of {uri}, which has {size:?} bytes"),
    );
    findings.check(offset >= not_before, RANGES, || {
        format!("line {line}: {length}@{offset} of {uri} begins before {not_before}")
    });
    findings
}

/// A file name: the folder can be moved and copied as a whole.
fn is_beside(uri: &str) -> bool {
    !uri.contains(['/', '\\', ':']) && uri != ".."
}

fn same_bytes(a: &Map, b: &Map, folder: &Path) -> bool {
    let bytes = |map: &Map| -> Option<Vec<u8>> {
        let (offset, length) = map.byte_range.filter(|_| is_beside(&map.uri))?;
        let mut file = File::open(folder.join(&map.uri)).ok()?;
        file.seek(SeekFrom::Start(offset)).ok()?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    bytes(a).is_some() && bytes(a) == bytes(b)
}
