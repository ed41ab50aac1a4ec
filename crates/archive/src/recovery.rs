//! Reads a day folder after a stop, a kill or a power cut. In this order:
//!
//! 1. Read the index up to its last whole group; what follows is torn.
//! 2. Leave out entries whose bytes are not in their file, and those that overlap.
//! 3. Walk the boxes of each hour file past its last indexed byte; list the whole segments found
//!    where nothing is listed.
//! 4. Cut the torn chunk off the last hour file.
//! 5. Mend the index: cut the torn group, append what was found. It is written anew only if
//!    something was found before its end, or its beginning is gone.
//!
//! Lost is at most the chunk that was being written. Only the writer of a day mends the folder; for
//! a reader the same is done in memory, because a folder may be read while it is being copied. What
//! cannot be mended (a read-only disk, a file that does not open) is left as it is: the rest of the
//! day is there all the same.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use bytes::Bytes;
use dayreel_core::{Day, MediaTime, TrackKind};
use dayreel_manifest::{GAP_90K, Init, InitHash, Segment, Slice, rounded_seconds};
use tracing::{info, warn};

use crate::{
    Result, aside,
    day_state::State,
    error::IoContext as _,
    index::{self, Entry, FileRange, Index},
    index_file::IndexFix,
    init::read_init,
    track_writer::{HourName, index_name},
    walker::{Found, MAX_HEADER_BOX_BYTES, init_at_start, walk},
};

/// No torn chunk is larger; a longer rest is damaged in its middle, and left for a person.
const MAX_TORN_BYTES: u64 = 32 << 20;

/// A day as it was found.
pub(crate) struct Recovered {
    pub(crate) state: State,
    /// Step 5: what is to be done to the index of each track.
    pub(crate) fixes: [IndexFix; TrackKind::COUNT],
}

/// Whether the folder is mended on disk, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mend {
    /// By its writer.
    Yes,
    /// By a reader: nothing is written, whatever is found.
    No,
}

/// Loads the day in `folder`, with steps 1 to 4.
pub(crate) fn load(folder: &Path, day: Day, mend: Mend) -> Result<Recovered> {
    let mut tracks = [
        LoadedTrack::read(folder, TrackKind::Video)?,
        LoadedTrack::read(folder, TrackKind::Audio)?,
        LoadedTrack::read(folder, TrackKind::Preview)?,
    ];
    for track in &mut tracks {
        track.leave_out_lost(folder);
        track.find_unlisted(folder, mend);
    }
    Ok(merge(day, folder, tracks))
}

pub(crate) struct LoadedTrack {
    pub(crate) kind: TrackKind,
    pub(crate) index: Index,
    /// Whether bytes follow the last whole group of the index.
    pub(crate) is_torn: bool,
    /// Whether the index on disk is to be replaced: the files of its first entries are gone.
    pub(crate) must_replace: bool,
    pub(crate) hours: Vec<HourName>,
    /// What was set aside: its bytes are not to be listed again.
    pub(crate) aside: Vec<Entry>,
    pub(crate) found: Vec<Found>,
}

impl LoadedTrack {
    /// Step 1.
    pub(crate) fn read(folder: &Path, kind: TrackKind) -> Result<Self> {
        let path = folder.join(index_name(kind));
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.context("read", &path)?,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).context("list", folder)? {
            let name = entry.context("list", folder)?.file_name();
            names.extend(name.into_string().ok());
        }
        let hours = names.iter().filter_map(|name| HourName::parse(kind, name));
        let mut hours: Vec<_> = hours.collect();
        hours.sort_unstable();
        let index = index::parse(&text);
        Ok(Self {
            kind,
            is_torn: (text.len() as u64) > index.sound_bytes,
            must_replace: false,
            index,
            hours,
            aside: aside::entries(folder, kind, &names)?,
            found: Vec::new(),
        })
    }

    /// Step 2. Numbering goes on as if what is left out at the beginning had been there.
    pub(crate) fn leave_out_lost(&mut self, folder: &Path) {
        let mut sound = SoundFiles::default();
        let mut kept: Vec<Entry> = Vec::new();
        let mut map = None;
        // Since the last entry that is kept: how many, and how many discontinuities.
        let (mut lost, mut lost_discontinuities) = (0_u64, 0_u64);
        let mut is_lost_at = None;
        for mut entry in std::mem::take(&mut self.index.entries) {
            map = entry.map.take().or(map);
            let overlaps = kept.last().is_some_and(|last| entry.start < last.end());
            let begins = lost == 0 && kept.is_empty();
            if overlaps || !sound.holds(folder, &entry.bytes) {
                is_lost_at.get_or_insert(entry.bytes.offset);
                lost += 1;
                if !begins {
                    lost_discontinuities += entry.discontinuities;
                }
                self.must_replace |= kept.is_empty() && !folder.join(&entry.bytes.file).exists();
                continue;
            }
            if lost > 0 {
                let listed = entry.discontinuities + std::mem::take(&mut lost_discontinuities);
                // What is left out leaves a gap, unless it was a copy.
                let end = kept.last().map_or_else(MediaTime::default, Entry::end);
                if end.saturating_add(GAP_90K) < entry.start {
                    entry.discontinuities = listed.max(1);
                }
                if kept.is_empty() {
                    self.index.first.media += lost;
                    self.index.first.discontinuity += listed;
                    // What was before it is deleted, not missing.
                    entry.after = None;
                }
                lost = 0;
            }
            entry.map = map.take();
            kept.push(entry);
        }
        if let Some(offset) = is_lost_at {
            let kind = self.kind;
            warn!(folder = %folder.display(), %kind, offset,
                "the index lists bytes that are not there, or overlap; left out");
        }
        self.index.entries = kept;
    }

    /// Steps 3 and 4.
    fn find_unlisted(&mut self, folder: &Path, mend: Mend) {
        let mut ends: HashMap<&str, u64> = HashMap::new();
        for FileRange {
            file,
            offset,
            len_bytes,
        } in self.known_ranges()
        {
            let end = ends.entry(file).or_default();
            *end = offset.saturating_add((*len_bytes).into()).max(*end);
        }
        let mut found = Vec::new();
        for (place, hour) in self.hours.iter().enumerate() {
            let name = hour.to_string();
            let is_last = place + 1 == self.hours.len();
            let indexed = ends.get(name.as_str()).copied();
            let file = match File::open(folder.join(&name)) {
                Err(error) => {
                    warn!(folder = %folder.display(), name, %error, "an hour file does not open");
                    continue;
                }
                Ok(file) => file,
            };
            let mut walked = match walk(&file, self.kind, &name, indexed) {
                Ok(Some(walked)) => walked,
                Ok(None) => continue,
                Err(error) => {
                    warn!(folder = %folder.display(), name, %error, "an hour file is not read");
                    continue;
                }
            };
            if !walked.found.is_empty() {
                info!(folder = %folder.display(), name, segments = walked.found.len(),
                    "indexed what a crash left");
            }
            found.append(&mut walked.found);
            if is_last && walked.torn_bytes > 0 && mend == Mend::Yes {
                cut(&folder.join(&name), walked.whole_bytes, walked.torn_bytes);
            }
        }
        self.add_found(found);
    }

    /// The bytes that are listed or set aside.
    pub(crate) fn known_ranges(&self) -> impl Iterator<Item = &FileRange> {
        let entries = self.index.entries.iter().chain(&self.aside);
        entries.map(|entry| &entry.bytes)
    }

    /// Takes segments that were found, as far as nothing is listed in their place: what is found
    /// there is a copy of it.
    pub(crate) fn add_found(&mut self, mut found: Vec<Found>) {
        let listed = &self.index.entries;
        found.retain(|Found { entry, .. }| {
            let next = listed.partition_point(|other| other.end() <= entry.start);
            let next = listed.get(next);
            next.is_none_or(|other| entry.end() <= other.start)
        });
        self.found.append(&mut found);
    }
}

/// Step 4. A file that cannot be cut is not appended to, so this may fail.
fn cut(path: &Path, whole_bytes: u64, torn_bytes: u64) {
    let file = path.display();
    if torn_bytes > MAX_TORN_BYTES {
        warn!(%file, at = whole_bytes, bytes = torn_bytes, "damaged: run `dayreel verify --repair`");
        return;
    }
    let cut = OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|open| open.set_len(whole_bytes));
    match cut {
        Ok(()) => info!(%file, bytes = torn_bytes, "cut a torn chunk"),
        Err(error) => warn!(%file, %error, "cannot cut a torn chunk"),
    }
}

/// Puts together what is listed and what was found, all tracks in the order of their ends, as they
/// were recorded: complete, video first.
pub(crate) fn merge(day: Day, folder: &Path, tracks: [LoadedTrack; TrackKind::COUNT]) -> Recovered {
    let mut state = State::new(day, tracks.each_ref().map(|track| track.index.first));
    let mut items: Vec<(TrackKind, Option<Bytes>, Entry)> = Vec::new();
    let mut fixes = [const { IndexFix::Nothing }; TrackKind::COUNT];
    let mut is_new = [false; TrackKind::COUNT];
    let mut ends_with = [None; TrackKind::COUNT];
    for track in tracks {
        let kind = track.kind;
        let last_listed = track.index.entries.last().map(|entry| entry.end());
        is_new[kind as usize] = track.must_replace
            || track.found.iter().any(|found| {
                let end = last_listed.unwrap_or_default();
                found.entry.start < end
            });
        state.aside[kind as usize] = aside::ends(&track.aside);
        state.closed[kind as usize] = track.index.closed && track.found.is_empty();
        ends_with[kind as usize] = track.index.ends_with.filter(|_| track.found.is_empty());
        if track.is_torn || !track.found.is_empty() {
            fixes[kind as usize] = IndexFix::Append {
                groups: String::new(),
                longest_s: 0,
            };
        }
        let listed = track.index.entries.into_iter();
        items.extend(listed.map(|entry| (kind, None, entry)));
        let found = track.found.into_iter();
        items.extend(found.map(|found| (kind, Some(found.init), found.entry)));
    }
    items.sort_by_key(|(kind, _, entry)| (entry.end(), *kind));
    let mut inits = [None; TrackKind::COUNT];
    let mut follows_found = [false; TrackKind::COUNT];
    let mut texts = [const { String::new() }; TrackKind::COUNT];
    for (kind, found_init, entry) in items {
        let is_listed = found_init.is_none();
        let init = match found_init {
            Some(bytes) => add_init(&mut state, kind, bytes),
            None => {
                let own = &mut inits[kind as usize];
                if let Some(map) = &entry.map {
                    *own = read_range(&folder.join(&map.file), map)
                        .and_then(|bytes| add_init(&mut state, kind, bytes));
                }
                // The map may be in a file that is gone: each file begins with a copy.
                *own = own.or_else(|| {
                    let file = File::open(folder.join(&entry.bytes.file)).ok()?;
                    let len_bytes = file.metadata().ok()?.len();
                    add_init(&mut state, kind, init_at_start(&file, len_bytes)?)
                });
                *own
            }
        };
        let Some(init) = init else {
            warn!(folder = %folder.display(), file = entry.bytes.file, "no init segment: left out");
            continue;
        };
        if state.timeline.track(kind).end() > Some(entry.start) {
            // Two copies of the same hour; the first is taken.
            continue;
        }
        let segment = Segment {
            start: entry.start,
            duration_90k: entry.duration_90k,
            access_units: entry.access_units,
            init,
            bytes: Slice {
                file: state.file_number(kind, &entry.bytes.file),
                offset: entry.bytes.offset,
                len_bytes: entry.bytes.len_bytes,
            },
        };
        // What follows something that was found may have been listed as following a gap.
        let follows_found = std::mem::replace(&mut follows_found[kind as usize], !is_listed);
        let listed = Some(entry.discontinuities).filter(|_| is_listed && !follows_found);
        let entry = state.append(kind, segment, entry.after, listed);
        if is_listed && !is_new[kind as usize] {
            continue;
        }
        let text = entry.to_text();
        texts[kind as usize].push_str(&text);
        if let IndexFix::Append { groups, longest_s } = &mut fixes[kind as usize] {
            groups.push_str(&text);
            *longest_s = (*longest_s).max(rounded_seconds(entry.duration_90k.into()));
        }
    }
    for kind in TrackKind::ALL {
        if is_new[kind as usize] {
            let track = state.timeline.track(kind);
            let longest_90k = track.segments().iter().map(|segment| segment.duration_90k);
            let target_s = rounded_seconds(longest_90k.max().unwrap_or(0).into()).max(1);
            let header = index::header(track.first(), target_s);
            let ending = match state.closed[kind as usize] {
                true => index::ending(ends_with[kind as usize]),
                false => String::new(),
            };
            fixes[kind as usize] = IndexFix::Replace(header + &texts[kind as usize] + &ending);
        }
    }
    if let Some(cause) = ends_with[TrackKind::Video as usize] {
        state.timeline.explain_end(cause);
    }
    state.timeline.interrupt();
    Recovered { state, fixes }
}

fn add_init(state: &mut State, kind: TrackKind, bytes: Bytes) -> Option<u16> {
    let hash = InitHash::of(&bytes);
    let known = state.timeline.track(kind).init_index(hash);
    known.or_else(|| {
        let format = read_init(kind, &bytes)
            .inspect_err(|error| warn!(%error, "unreadable init segment"))
            .ok()?;
        let init = Init {
            hash,
            bytes,
            format,
        };
        Some(state.timeline.add_init(kind, init))
    })
}

fn read_range(path: &Path, range: &FileRange) -> Option<Bytes> {
    if u64::from(range.len_bytes) > MAX_HEADER_BOX_BYTES {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(range.len_bytes).ok()?];
    let file = File::open(path).ok()?;
    file.read_exact_at(&mut bytes, range.offset).ok()?;
    Some(bytes.into())
}

/// Lengths of the files an index names, each asked once.
#[derive(Default)]
pub(crate) struct SoundFiles {
    newest: Option<(String, u64)>,
}

impl SoundFiles {
    pub(crate) fn holds(&mut self, folder: &Path, range: &FileRange) -> bool {
        let known = self.newest.as_ref().filter(|(name, _)| *name == range.file);
        let len_bytes = known.map(|(_, len_bytes)| *len_bytes).unwrap_or_else(|| {
            let len_bytes = fs::metadata(folder.join(&range.file)).map_or(0, |file| file.len());
            self.newest = Some((range.file.clone(), len_bytes));
            len_bytes
        });
        range
            .offset
            .checked_add(range.len_bytes.into())
            .is_some_and(|end| end <= len_bytes)
    }
}
