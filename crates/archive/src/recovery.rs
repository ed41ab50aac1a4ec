//! Reads a day folder after a stop, a kill or a power cut. In this order:
//!
//! 1. Read the index up to its last whole group; cut off the torn rest.
//! 2. Leave out entries whose bytes are not in their file.
//! 3. Walk the boxes of each track's last hour file past the last indexed byte, and of hour files
//!    the index does not name; list the whole segments found, and append them to the index.
//! 4. Cut the torn chunk off the last hour file.
//!
//! Lost is at most the chunk that was being written. Only the writer of a day mends the folder; for
//! a reader the same is done in memory, because a folder may be read while it is being copied.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use bytes::Bytes;
use dayreel_core::{Day, TrackKind};
use dayreel_manifest::{Init, InitHash, Segment, Slice};
use mp4_atom::{Atom as _, FourCC, Ftyp, Moof, Moov};
use tracing::{info, warn};

use crate::{
    Result, aside,
    cmaf::{MDAT, STYP, next_box, read_chunk},
    day_folder::State,
    error::IoContext as _,
    index::{self, Entry, FileRange, Index},
    init::read_init,
    track_writer::{HourName, index_name, write_header},
};

/// No `ftyp`, `moov` or `moof` of ours is larger; what claims to be is torn or foreign.
const MAX_HEADER_BOX_BYTES: u64 = 1 << 20;

/// Whether the folder is mended on disk, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mend {
    /// By its writer.
    Yes,
    /// By a reader: nothing is written, whatever is found.
    No,
}

/// Loads the day in `folder`, mending it first.
pub(crate) fn load(folder: &Path, day: Day, mend: Mend) -> Result<State> {
    let video = LoadedTrack::read(folder, TrackKind::Video)?;
    let audio = LoadedTrack::read(folder, TrackKind::Audio)?;
    let mut state = State::new(day, video.index.first, audio.index.first);
    let mut tracks = [video, audio];
    list(&mut state, folder, &mut tracks);
    recover(&mut state, folder, &mut tracks, mend)?;
    Ok(state)
}

struct LoadedTrack {
    kind: TrackKind,
    index: Index,
    /// Length of the index file in bytes; more than `index.sound_bytes` if it is torn.
    index_bytes: u64,
    hours: Vec<HourName>,
    /// Where the bytes of what was set aside end, by file.
    aside: HashMap<String, u64>,
}

impl LoadedTrack {
    fn read(folder: &Path, kind: TrackKind) -> Result<Self> {
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
        Ok(Self {
            kind,
            index: index::parse(&text),
            index_bytes: text.len() as u64,
            hours,
            aside: aside::ends(folder, kind, &names)?,
        })
    }
}

/// Steps 1 and 2: what the indexes say, both tracks in order of time.
fn list(state: &mut State, folder: &Path, tracks: &mut [LoadedTrack; 2]) {
    let mut entries = Vec::new();
    for track in tracks.iter_mut() {
        let kind = track.kind;
        let listed = std::mem::take(&mut track.index.entries);
        let mut sound = SoundFiles::default();
        let mut lost = 0_usize;
        for mut entry in listed {
            if sound.holds(folder, &entry.bytes) {
                // What is left out leaves a gap.
                entry.discontinuity |= std::mem::take(&mut lost) > 0;
                entries.push((kind, entry));
            } else {
                lost += 1;
                warn!(folder = %folder.display(), file = entry.bytes.file, offset = entry.bytes.offset,
                    "the index lists bytes that are not there; left out");
                if let Some(map) = entry.map {
                    add_init(state, folder, kind, &map);
                }
            }
        }
    }
    // In the order they were listed: complete, video first.
    entries.sort_by_key(|(kind, entry)| (entry.end(), *kind));
    let mut inits = [None; 2];
    for (kind, entry) in entries {
        if let Some(map) = &entry.map {
            inits[kind as usize] = add_init(state, folder, kind, map);
        }
        if let Some(init) = inits[kind as usize] {
            append_listed(state, kind, init, &entry);
        }
    }
    for LoadedTrack { kind, index, .. } in tracks.iter() {
        state.closed[*kind as usize] = index.closed;
        if let Some(cause) = index.ends_with.filter(|_| *kind == TrackKind::Video) {
            state.timeline.explain_end(cause);
        }
    }
}

fn append_listed(state: &mut State, kind: TrackKind, init: u16, entry: &Entry) {
    let last = state.timeline.track(kind).end();
    if last.is_some_and(|end| entry.start < end) {
        warn!(
            file = entry.bytes.file,
            offset = entry.bytes.offset,
            "overlapping entry left out"
        );
        return;
    }
    let file = state.file_number(kind, &entry.bytes.file);
    let segment = Segment {
        start: entry.start,
        duration_90k: entry.duration_90k,
        access_units: entry.access_units,
        init,
        bytes: Slice {
            file,
            offset: entry.bytes.offset,
            len_bytes: entry.bytes.len_bytes,
        },
    };
    state
        .timeline
        .append_listed(kind, segment, entry.discontinuity);
    state.explain(kind, entry.after);
}

/// Reads the init segment at `map` and adds it.
fn add_init(state: &mut State, folder: &Path, kind: TrackKind, map: &FileRange) -> Option<u16> {
    let path = folder.join(&map.file);
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(map.len_bytes).unwrap_or(0)];
        File::open(&path)?.read_exact_at(&mut bytes, map.offset)?;
        Ok(bytes)
    };
    let parsed = read().map_err(|error| error.to_string()).and_then(|bytes| {
        let format = read_init(kind, &bytes).map_err(|error| error.to_string())?;
        Ok((bytes, format))
    });
    match parsed {
        Ok((bytes, format)) => {
            let file = state.file_number(kind, &map.file);
            let location = Slice {
                file,
                offset: map.offset,
                len_bytes: map.len_bytes,
            };
            let hash = InitHash::of(&bytes);
            Some(state.timeline.add_init(
                kind,
                Init {
                    hash,
                    bytes: bytes.into(),
                    format,
                    location,
                },
            ))
        }
        Err(error) => {
            warn!(path = %path.display(), error, "unreadable init segment: its segments are left out");
            None
        }
    }
}

/// Lengths of the files an index names, each asked once.
#[derive(Default)]
struct SoundFiles {
    newest: Option<(String, u64)>,
}

impl SoundFiles {
    fn holds(&mut self, folder: &Path, range: &FileRange) -> bool {
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

/// A segment found by walking boxes.
struct Found {
    kind: TrackKind,
    segment: Segment,
}

/// Steps 3 and 4.
fn recover(
    state: &mut State,
    folder: &Path,
    tracks: &mut [LoadedTrack; 2],
    mend: Mend,
) -> Result<()> {
    let mut found = Vec::new();
    for track in tracks.iter() {
        if mend == Mend::Yes && track.index_bytes > track.index.sound_bytes {
            let path = folder.join(index_name(track.kind));
            info!(path = %path.display(), at = track.index.sound_bytes, "cut a torn index group");
            let file = OpenOptions::new()
                .write(true)
                .open(&path)
                .context("open", &path)?;
            file.set_len(track.index.sound_bytes)
                .context("cut", &path)?;
        }
        for (place, hour) in track.hours.iter().enumerate() {
            let name = hour.to_string();
            let is_last = place + 1 == track.hours.len();
            let indexed = indexed_bytes(state, track.kind, &name);
            let indexed = indexed.max(track.aside.get(&name).copied());
            if indexed.is_none() || is_last {
                let cut = is_last && mend == Mend::Yes;
                found.append(&mut walk(state, folder, track.kind, &name, indexed, cut)?);
            }
        }
    }
    found.sort_by_key(|found| (found.segment.end(), found.kind));
    for Found { kind, segment } in found {
        let end = state.timeline.track(kind).end();
        if end.is_some_and(|end| segment.start < end) {
            continue;
        }
        let entry = state.append(kind, segment, None);
        if mend == Mend::Yes {
            append_to_index(state, folder, kind, &entry)?;
        }
    }
    Ok(())
}

/// The end of the last indexed segment in the file `name`; `None` if no segment is in it.
fn indexed_bytes(state: &mut State, kind: TrackKind, name: &str) -> Option<u64> {
    let file = state.file_number(kind, name);
    let segments = state.timeline.track(kind).segments();
    let last = segments
        .iter()
        .rev()
        .find(|segment| segment.bytes.file == file)?;
    Some(last.bytes.offset + u64::from(last.bytes.len_bytes))
}

fn append_to_index(state: &State, folder: &Path, kind: TrackKind, entry: &Entry) -> Result<()> {
    let path = folder.join(index_name(kind));
    let mut index = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .context("open", &path)?;
    if index.metadata().context("read", &path)?.len() == 0 {
        write_header(
            &mut index,
            state.timeline.track(kind).first(),
            entry.duration_90k,
        )
        .context("write", &path)?;
    }
    index
        .write_all(entry.to_text().as_bytes())
        .context("write", &path)
}

/// Walks the boxes of the hour file `name` from `indexed` on (from its beginning if `None`) and
/// returns the segments found. Cuts off what is torn if `cut`.
fn walk(
    state: &mut State,
    folder: &Path,
    kind: TrackKind,
    name: &str,
    indexed: Option<u64>,
    cut: bool,
) -> Result<Vec<Found>> {
    let path = folder.join(name);
    let file = OpenOptions::new()
        .read(true)
        .write(cut)
        .open(&path)
        .context("open", &path)?;
    let len_bytes = file.metadata().context("read", &path)?.len();
    let mut walker = Walker {
        file: &file,
        len_bytes,
        offset: 0,
    };
    let Some(init) = walker.init(state, kind, name) else {
        warn!(path = %path.display(), "no init segment at the beginning: left as it is");
        return Ok(Vec::new());
    };
    walker.offset = indexed.unwrap_or(walker.offset);
    let number = state.file_number(kind, name);
    let mut found: Vec<Found> = Vec::new();
    while let Some(chunk) = walker.chunk(kind) {
        let Ok(duration_90k) = u32::try_from(chunk.info.duration_90k) else {
            break;
        };
        match found.last_mut().filter(|_| !chunk.begins_segment) {
            Some(Found { segment, .. }) => {
                segment.duration_90k = segment.duration_90k.saturating_add(duration_90k);
                segment.access_units += chunk.info.access_units;
                segment.bytes.len_bytes = segment.bytes.len_bytes.saturating_add(chunk.len_bytes);
            }
            None => found.push(Found {
                kind,
                segment: Segment {
                    start: chunk.info.start,
                    duration_90k,
                    access_units: chunk.info.access_units,
                    init,
                    bytes: Slice {
                        file: number,
                        offset: chunk.offset,
                        len_bytes: chunk.len_bytes,
                    },
                },
            }),
        }
    }
    if !found.is_empty() {
        info!(path = %path.display(), segments = found.len(), "indexed what a crash left");
    }
    if cut && walker.offset < len_bytes {
        info!(path = %path.display(), bytes = len_bytes - walker.offset, "cut a torn chunk");
        file.set_len(walker.offset).context("cut", &path)?;
    }
    found.retain(|found| found.segment.duration_90k > 0);
    Ok(found)
}

/// The init segment (`ftyp` + `moov`) that an hour file begins with; `None` if it does not.
pub(crate) fn init_at_start(file: &File, len_bytes: u64) -> Option<Bytes> {
    let walker = Walker {
        file,
        len_bytes,
        offset: 0,
    };
    let (ftyp, ftyp_bytes) = walker.peek(0)?;
    let (moov, moov_bytes) = walker.peek(ftyp_bytes)?;
    let whole_bytes = ftyp_bytes + moov_bytes;
    if ftyp != Ftyp::KIND || moov != Moov::KIND || whole_bytes > MAX_HEADER_BOX_BYTES {
        return None;
    }
    walker.read(0, whole_bytes).map(Bytes::from)
}

struct Walker<'a> {
    file: &'a File,
    len_bytes: u64,
    /// The end of the last whole init segment or chunk.
    offset: u64,
}

struct WalkedChunk {
    info: crate::ChunkInfo,
    begins_segment: bool,
    offset: u64,
    len_bytes: u32,
}

impl Walker<'_> {
    /// The box at `offset`, if all of it is in the file: its kind and length in bytes.
    fn peek(&self, offset: u64) -> Option<(FourCC, u64)> {
        let mut head = [0; 16];
        let have = usize::try_from(self.len_bytes.checked_sub(offset)?.min(16)).ok()?;
        self.file.read_exact_at(&mut head[..have], offset).ok()?;
        let (kind, len_bytes) = next_box(&head[..have])?;
        (len_bytes <= self.len_bytes - offset).then_some((kind, len_bytes))
    }

    fn read(&self, offset: u64, len_bytes: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len_bytes.min(MAX_HEADER_BOX_BYTES)).ok()?];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    /// Reads `ftyp` and `moov` and adds the init segment to the timeline.
    fn init(&mut self, state: &mut State, kind: TrackKind, name: &str) -> Option<u16> {
        let bytes = init_at_start(self.file, self.len_bytes)?;
        self.offset = bytes.len() as u64;
        let hash = InitHash::of(&bytes);
        let known = state.timeline.track(kind).init_index(hash);
        known.or_else(|| {
            let format = read_init(kind, &bytes).ok()?;
            let len_bytes = u32::try_from(bytes.len()).ok()?;
            let location = Slice {
                file: state.file_number(kind, name),
                offset: 0,
                len_bytes,
            };
            Some(state.timeline.add_init(
                kind,
                Init {
                    hash,
                    bytes,
                    format,
                    location,
                },
            ))
        })
    }

    /// The next whole `[styp] moof mdat`.
    fn chunk(&mut self, track: TrackKind) -> Option<WalkedChunk> {
        let begin = self.offset;
        let (mut kind, mut len_bytes) = self.peek(begin)?;
        let has_styp = kind == STYP;
        let mut at = begin;
        if has_styp {
            at += len_bytes;
            (kind, len_bytes) = self.peek(at)?;
        }
        if kind != Moof::KIND || len_bytes > MAX_HEADER_BOX_BYTES {
            return None;
        }
        let info = read_chunk(track, &self.read(at, len_bytes)?).ok()?;
        // The last chunk of a session has a `styp` (`lmsg`) without beginning a segment.
        let begins_segment = has_styp && info.starts_with_keyframe;
        at += len_bytes;
        let (kind, len_bytes) = self.peek(at)?;
        if kind != MDAT {
            return None;
        }
        self.offset = at + len_bytes;
        let len_bytes = u32::try_from(self.offset - begin).ok()?;
        Some(WalkedChunk {
            info,
            begins_segment,
            offset: begin,
            len_bytes,
        })
    }
}
