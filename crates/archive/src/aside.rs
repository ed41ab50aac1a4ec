//! What a clock recorded that was ahead. When the clock is set back, the recording goes on at a time
//! that is taken: the entries from there on leave the day's index for one of their own, which plays
//! in any player (`video.aside-1.m3u8`). Their bytes stay where they are; nothing is overwritten.

use std::{collections::HashMap, fs, path::Path};

use dayreel_core::{MediaTime, TrackKind};
use dayreel_manifest::Sequence;

use crate::{
    Result,
    day_state::KINDS,
    error::IoContext as _,
    index::{self, Entry, FileRange, Index},
    index_file::replace,
    track_writer::index_name,
};

/// Takes the entries of the track `kind` that end after `from` out of the index in `folder`; returns
/// how many. Done twice, or interrupted and done again, it is the same.
///
/// Media sequence numbers go on after those that were taken out: a player takes what is recorded
/// next for new.
pub(crate) fn set_aside(folder: &Path, kind: TrackKind, from: MediaTime) -> Result<usize> {
    let path = folder.join(index_name(kind));
    let Index {
        first,
        target_duration_s,
        entries,
        ..
    } = index::parse(&fs::read(&path).context("read", &path)?);
    let kept = entries.partition_point(|entry| entry.end() <= from);
    let (kept, ahead) = entries.split_at(kept);
    let Some(begin) = ahead.first() else {
        return Ok(0);
    };
    let map = entries[..=kept.len()].iter().rev().find_map(Entry::map);
    let begin = Entry {
        map: map.cloned(),
        discontinuities: 0,
        after: None,
        ..begin.clone()
    };
    let begin = begin.to_text();
    let rest = ahead[1..].iter().map(Entry::to_text);
    let mut aside = index::header(Sequence::default(), target_duration_s) + &begin;
    aside.extend(rest);
    aside.push_str(&index::ending(None));
    replace(&free_name(folder, kind)?, &aside)?;

    let first = Sequence {
        media: first.media + ahead.len() as u64,
        ..first
    };
    let mut left = index::header(first, target_duration_s);
    left.extend(kept.iter().map(Entry::to_text));
    replace(&path, &left)?;
    Ok(ahead.len())
}

/// What was set aside, of the files called `names`: recovery must not list it again.
pub(crate) fn entries(folder: &Path, kind: TrackKind, names: &[String]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in names.iter().filter(|name| is_aside(kind, name)) {
        let path = folder.join(name);
        let mut index = index::parse(&fs::read(&path).context("read", &path)?);
        entries.append(&mut index.entries);
    }
    Ok(entries)
}

/// Where the bytes of `entries` end, by file.
pub(crate) fn ends(entries: &[Entry]) -> HashMap<String, u64> {
    let mut ends: HashMap<String, u64> = HashMap::new();
    for FileRange {
        file,
        offset,
        len_bytes,
    } in entries.iter().map(|entry| &entry.bytes)
    {
        let end = ends.entry(file.clone()).or_default();
        *end = offset.saturating_add((*len_bytes).into()).max(*end);
    }
    ends
}

/// Takes the segments in files that are gone out of what was set aside in `folder`.
pub(crate) fn forget_files(folder: &Path, is_gone: impl Fn(TrackKind, &str) -> bool) -> Result<()> {
    for entry in fs::read_dir(folder).context("list", folder)? {
        let entry = entry.context("list", folder)?;
        let name = entry.file_name();
        let of = |kind: &TrackKind| name.to_str().is_some_and(|name| is_aside(*kind, name));
        let Some(kind) = KINDS.into_iter().find(of) else {
            continue;
        };
        let path = entry.path();
        let text = fs::read(&path).context("read", &path)?;
        let left = index::without(&text, Sequence::default(), |name| is_gone(kind, name));
        match index::parse(left.as_bytes()).entries.is_empty() {
            true => fs::remove_file(&path).context("delete", &path)?,
            false => replace(&path, &left)?,
        }
    }
    Ok(())
}

/// `video.aside-1.m3u8`
fn aside_name(kind: TrackKind, number: u32) -> String {
    format!("{kind}.aside-{number}.m3u8")
}

pub(crate) fn is_aside(kind: TrackKind, name: &str) -> bool {
    let number = name.strip_prefix(kind.name());
    let number = number.and_then(|name| name.strip_prefix(".aside-")?.strip_suffix(".m3u8"));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn free_name(folder: &Path, kind: TrackKind) -> Result<std::path::PathBuf> {
    let mut number = 1;
    loop {
        let path = folder.join(aside_name(kind, number));
        if !path.try_exists().context("look for", &path)? {
            return Ok(path);
        }
        number += 1;
    }
}
