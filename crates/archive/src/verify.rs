//! Checks recordings against their indexes, and mends them. For when nothing records.
//!
//! What is found in a day folder, and what mending does:
//!
//! | found | mended |
//! | --- | --- |
//! | a torn entry at the end of an index | cut off |
//! | entries whose bytes are not there, overlap, or are another segment's | left out |
//! | whole segments that no entry lists (an hour file without index, too) | listed |
//! | bytes after the last whole chunk of a file | moved to `lost+found` |
//! | an hour file without media of ours, a foreign file, one that does not open | moved there |
//! | an index of which no media is left | moved there |
//! | an empty folder, or one with the playlist of both tracks alone | deleted |
//!
//! No media is ever deleted. `lost+found` is in the camera's folder: `front-door/lost+found/2026-11-22/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use chrono_tz::Tz;
use dayreel_core::{CameraId, Day, TrackKind};

use crate::{
    Result, aside,
    data_dir::{DataDir, is_in_use},
    day_folder::MULTIVARIANT,
    day_state::KINDS,
    error::IoContext as _,
    index_file::{IndexFix, replace},
    recovery::{LoadedTrack, SoundFiles, merge},
    track_writer::{HourName, index_name},
    walker::{init_at_start, is_segment, walk_range},
};

/// Where in a camera's folder things go that cannot be used.
const LOST_AND_FOUND: &str = "lost+found";

/// Something that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
    /// Whether it was mended.
    pub is_mended: bool,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The end of an index is no whole entry.
    TornIndex,
    /// An index lists so many segments whose bytes are not there.
    Missing(usize),
    /// An index lists so many segments that overlap others or stand behind later ones.
    Overlap(usize),
    /// So many listed segments are not what the index says of them.
    NotAsListed(usize),
    /// So many whole segments in a file are not listed.
    Unlisted(usize),
    /// So many bytes after the last whole chunk of a file.
    TornChunk(u64),
    /// An hour file that does not begin with an init segment.
    NoMedia,
    /// An index of which no media is left.
    NothingLeft,
    /// Not a file of ours.
    Foreign,
    /// It cannot be opened.
    Unreadable(io::ErrorKind),
    /// A day folder with nothing in it.
    EmptyFolder,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornIndex => write!(f, "ends with half an entry"),
            Self::Missing(count) => write!(f, "{count} listed segments are not there"),
            Self::Overlap(count) => {
                write!(f, "{count} listed segments overlap or are out of order")
            }
            Self::NotAsListed(count) => write!(f, "{count} segments are not as listed"),
            Self::Unlisted(count) => write!(f, "{count} whole segments are not listed"),
            Self::TornChunk(bytes) => write!(f, "ends with {bytes} bytes that are no whole chunk"),
            Self::NoMedia => write!(f, "has no init segment at its beginning"),
            Self::NothingLeft => write!(f, "nothing of what it lists is left"),
            Self::Foreign => write!(f, "is not a file of Dayreel"),
            Self::Unreadable(kind) => write!(f, "cannot be read: {kind}"),
            Self::EmptyFolder => write!(f, "is empty"),
        }
    }
}

/// What was checked.
#[derive(Debug, Default)]
pub struct Verified {
    /// Cameras.
    pub cameras: usize,
    /// Day folders.
    pub days: usize,
    /// Listed segments that are sound.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether a server is recording: what it is writing just now was not judged.
    pub is_live: bool,
    /// What is wrong, or was.
    pub problems: Vec<Problem>,
}

/// Checks all recordings in the data directory `root`: every entry of every index against the boxes
/// in the hour files. With `repair`, mends what is wrong.
///
/// # Errors
/// [`crate::Error::Io`] if the directory cannot be listed; with `repair`, [`crate::Error::InUse`] if a
/// server is recording into it.
pub fn verify(root: &Path, repair: bool) -> Result<Verified> {
    // Locked as long as it is mended; a directory that is only read is left alone.
    let _lock = match repair {
        true => {
            // The mount point of a disk that is away must not be marked.
            let cameras = folders(root)?;
            let has_recordings = cameras.iter().any(|(_, path)| path.join("days").is_dir());
            Some(DataDir::open(root, !has_recordings)?)
        }
        false => None,
    };
    let mut verified = Verified {
        is_live: !repair && is_in_use(root),
        ..Verified::default()
    };
    for (name, path) in folders(root)? {
        let days = path.join("days");
        if name.parse::<CameraId>().is_err() || !days.is_dir() {
            continue;
        }
        verified.cameras += 1;
        let dates = folders(&days)?.into_iter().filter_map(|(name, path)| {
            let date: NaiveDate = name.parse().ok()?;
            (date.to_string() == name).then_some((date, path))
        });
        let dates: BTreeMap<NaiveDate, PathBuf> = dates.collect();
        let newest = dates.keys().last().copied();
        for (date, folder) in dates {
            verified.days += 1;
            let lost = path.join(LOST_AND_FOUND).join(date.to_string());
            let mut day = DayCheck {
                is_written: verified.is_live && Some(date) == newest,
                lost,
                problems: Vec::new(),
                folder,
            };
            let sound = day.check(date, repair)?;
            verified.segments += sound.0;
            verified.bytes += sound.1;
            verified.problems.append(&mut day.problems);
        }
    }
    Ok(verified)
}

/// Names and paths of the folders in `folder`, in order; no links.
fn folders(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).context("list", folder)? {
        let entry = entry.context("list", folder)?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let (true, Ok(name)) = (is_folder, entry.file_name().into_string()) {
            found.insert(name, entry.path());
        }
    }
    Ok(found)
}

struct DayCheck {
    folder: PathBuf,
    /// Whether a server is just writing to it.
    is_written: bool,
    /// Where what cannot be used goes.
    lost: PathBuf,
    problems: Vec<Problem>,
}

/// A track as it was found.
struct CheckedTrack {
    loaded: LoadedTrack,
    /// Hour files that cannot be used.
    useless: BTreeSet<String>,
    /// Files with something torn at their end, and where it begins.
    torn: Vec<(String, u64)>,
    /// Whether the index is not what it should be.
    is_wrong: bool,
}

impl DayCheck {
    /// Returns how many segments are sound, and their bytes.
    fn check(&mut self, date: NaiveDate, repair: bool) -> Result<(u64, u64)> {
        if self.is_empty()? {
            // The playlist of both tracks names what is gone.
            let is_mended = repair && fs::remove_dir_all(&self.folder).is_ok();
            self.report("", Damage::EmptyFolder, is_mended);
            return Ok((0, 0));
        }
        for name in self.foreign()? {
            let is_mended = repair && self.set_aside(&name).is_ok();
            self.report(&name, Damage::Foreign, is_mended);
        }
        let mut tracks = Vec::new();
        for kind in KINDS {
            if let Err(error) = fs::read(self.folder.join(index_name(kind)))
                && error.kind() != io::ErrorKind::NotFound
            {
                // Without it the track is as if it had no index.
                let is_mended = repair && self.set_aside(&index_name(kind)).is_ok();
                self.report(
                    &index_name(kind),
                    Damage::Unreadable(error.kind()),
                    is_mended,
                );
                if !is_mended {
                    return Ok((0, 0));
                }
            }
            tracks.push(self.check_track(kind, repair)?);
        }
        let sound = |track: &CheckedTrack| {
            let entries = &track.loaded.index.entries;
            let bytes = entries.iter().map(|entry| u64::from(entry.bytes.len_bytes));
            (entries.len() as u64, bytes.sum::<u64>())
        };
        let sound = tracks.iter().map(sound);
        let sound = sound.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        if repair {
            self.mend(date, tracks)?;
        }
        Ok(sound)
    }

    fn is_empty(&self) -> Result<bool> {
        for entry in fs::read_dir(&self.folder).context("list", &self.folder)? {
            if entry.context("list", &self.folder)?.file_name() != MULTIVARIANT {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is not ours. File managers and NAS systems leave things that begin with a dot or `@`.
    fn foreign(&self) -> Result<Vec<String>> {
        let mut foreign = Vec::new();
        for entry in fs::read_dir(&self.folder).context("list", &self.folder)? {
            let name = entry.context("list", &self.folder)?.file_name();
            let name = name.to_string_lossy().into_owned();
            let is_ours = KINDS.into_iter().any(|kind| {
                let is_hour = HourName::parse(kind, &name).is_some();
                is_hour || name == index_name(kind) || aside::is_aside(kind, &name)
            });
            let is_ours = is_ours || name == MULTIVARIANT;
            if !is_ours && !name.starts_with(['.', '@']) && !self.is_written {
                foreign.push(name);
            }
        }
        foreign.sort_unstable();
        Ok(foreign)
    }

    fn check_track(&mut self, kind: TrackKind, repair: bool) -> Result<CheckedTrack> {
        let mut track = CheckedTrack {
            loaded: LoadedTrack::read(&self.folder, kind)?,
            useless: BTreeSet::new(),
            torn: Vec::new(),
            is_wrong: false,
        };
        let index = index_name(kind);
        if track.loaded.is_torn && !self.is_written {
            track.is_wrong = true;
            self.report(&index, Damage::TornIndex, repair);
        }
        let mut files = BTreeMap::new();
        for hour in track.loaded.hours.clone() {
            let name = hour.to_string();
            match open(&self.folder.join(&name)) {
                Ok(Some(opened)) => {
                    files.insert(name, opened);
                    continue;
                }
                Ok(None) => self.useless(&name, Damage::NoMedia, repair),
                Err(error) => self.useless(&name, Damage::Unreadable(error.kind()), repair),
            }
            track.useless.insert(name);
        }
        self.check_entries(&mut track, &files, repair);
        self.check_files(&mut track, &files, repair);
        Ok(track)
    }

    fn useless(&mut self, name: &str, damage: Damage, repair: bool) {
        let is_mended = repair && self.set_aside(name).is_ok();
        self.report(name, damage, is_mended);
    }

    /// Leaves in the track what is sound of its entries.
    fn check_entries(
        &mut self,
        track: &mut CheckedTrack,
        files: &BTreeMap<String, Opened>,
        repair: bool,
    ) {
        let kind = track.loaded.kind;
        let (mut missing, mut overlaps, mut other) = (0, 0, 0);
        let mut sound = SoundFiles::default();
        let mut end = None;
        let folder = self.folder.clone();
        track.loaded.index.entries.retain(|entry| {
            let file = files.get(&entry.bytes.file);
            if file.is_none() || !sound.holds(&folder, &entry.bytes) {
                missing += 1;
                // It counts in the numbers of what follows.
                return true;
            }
            if end.is_some_and(|end| entry.start < end) {
                overlaps += 1;
                return true;
            }
            let is_as_listed = file.is_some_and(|opened| is_segment(&opened.file, kind, entry));
            match is_as_listed {
                true => end = Some(entry.end()),
                false => other += 1,
            }
            is_as_listed
        });
        let has_any = !track.loaded.index.entries.is_empty();
        let useless = &track.useless;
        let entries = &mut track.loaded.index.entries;
        entries.retain(|entry| !useless.contains(&entry.bytes.file));
        track.loaded.leave_out_lost(&self.folder);
        let is_nothing_left = has_any && track.loaded.index.entries.is_empty() && files.is_empty();
        let index = index_name(kind);
        let found = match is_nothing_left {
            true => vec![(1, Damage::NothingLeft)],
            false => vec![
                (missing, Damage::Missing(missing)),
                (overlaps, Damage::Overlap(overlaps)),
                (other, Damage::NotAsListed(other)),
            ],
        };
        for (_, damage) in found.into_iter().filter(|(count, _)| *count > 0) {
            track.is_wrong = true;
            self.report(&index, damage, repair);
        }
    }

    /// Looks for what no entry names.
    fn check_files(
        &mut self,
        track: &mut CheckedTrack,
        files: &BTreeMap<String, Opened>,
        repair: bool,
    ) {
        let kind = track.loaded.kind;
        let newest = track.loaded.hours.last().map(HourName::to_string);
        for (name, opened) in files {
            let is_written = self.is_written && Some(name) == newest.as_ref();
            let known = track.loaded.known_ranges();
            let known = known.filter(|range| range.file == *name);
            let mut known: Vec<_> = known
                .map(|range| (range.offset, range.offset + u64::from(range.len_bytes)))
                .collect();
            known.sort_unstable();
            let mut found = Vec::new();
            let mut at = opened.init.len() as u64;
            let walk =
                |begin, end| walk_range(&opened.file, kind, name, &opened.init, (begin, end));
            for (begin, end) in known {
                if at < begin {
                    found.append(&mut walk(at, begin).found);
                }
                at = at.max(end);
            }
            if at < opened.len_bytes && !is_written {
                let mut rest = walk(at, opened.len_bytes);
                found.append(&mut rest.found);
                if rest.torn_bytes > 0 {
                    track.torn.push((name.clone(), rest.whole_bytes));
                    self.report(name, Damage::TornChunk(rest.torn_bytes), repair);
                }
            }
            let before = track.loaded.found.len();
            track.loaded.add_found(found);
            let unlisted = track.loaded.found.len() - before;
            if unlisted > 0 {
                track.is_wrong = true;
                self.report(name, Damage::Unlisted(unlisted), repair);
            }
        }
    }

    fn mend(&self, date: NaiveDate, tracks: Vec<CheckedTrack>) -> Result<()> {
        let mut loaded = Vec::new();
        for track in tracks {
            for (name, whole_bytes) in &track.torn {
                self.cut(name, *whole_bytes)?;
            }
            let mut track_loaded = track.loaded;
            track_loaded.must_replace |= track.is_wrong;
            loaded.push(track_loaded);
        }
        let Ok(loaded) = <[LoadedTrack; TrackKind::COUNT]>::try_from(loaded) else {
            return Ok(());
        };
        // Only the names of hours depend on the zone, and they are as they are.
        let day = Day::new(date, Tz::UTC);
        let merged = merge(day, &self.folder, loaded);
        for (kind, fix) in KINDS.into_iter().zip(merged.fixes) {
            let index = index_name(kind);
            let is_empty = merged.state.timeline.track(kind).segments().is_empty();
            match fix {
                IndexFix::Replace(_) if is_empty => self.set_aside(&index)?,
                IndexFix::Replace(text) => replace(&self.folder.join(index), &text)?,
                IndexFix::Nothing | IndexFix::Append { .. } => {}
            }
        }
        Ok(())
    }

    /// Moves what cannot be used out of the way.
    fn set_aside(&self, name: &str) -> Result<()> {
        let to = self.free_name(name)?;
        let from = self.folder.join(name);
        match fs::rename(&from, &to) {
            // An index that was never there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved.context("move", from),
        }
    }

    /// Moves the end of a file out of the way.
    fn cut(&self, name: &str, whole_bytes: u64) -> Result<()> {
        let path = self.folder.join(name);
        let to = self.free_name(&format!("{name}.from-{whole_bytes}"))?;
        let copy = || -> io::Result<()> {
            let mut from = File::open(&path)?;
            from.seek(SeekFrom::Start(whole_bytes))?;
            let mut kept = File::create_new(&to)?;
            io::copy(&mut from.take(u64::MAX), &mut kept)?;
            kept.sync_all()
        };
        copy().context("write", &to)?;
        let file = OpenOptions::new().write(true).open(&path);
        file.and_then(|file| file.set_len(whole_bytes))
            .context("cut", path)
    }

    fn free_name(&self, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(&self.lost).context("create", &self.lost)?;
        let mut path = self.lost.join(name);
        let mut number = 2;
        while fs::symlink_metadata(&path).is_ok() {
            path = self.lost.join(format!("{name}.{number}"));
            number += 1;
        }
        Ok(path)
    }

    fn report(&mut self, name: &str, damage: Damage, is_mended: bool) {
        self.problems.push(Problem {
            path: match name {
                "" => self.folder.clone(),
                name => self.folder.join(name),
            },
            damage,
            is_mended,
        });
    }
}

/// An hour file that can be read.
struct Opened {
    file: File,
    len_bytes: u64,
    init: bytes::Bytes,
}

/// `None` if it has no init segment at its beginning.
fn open(path: &Path) -> io::Result<Option<Opened>> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let len_bytes = found.len();
    Ok(init_at_start(&file, len_bytes).map(|init| Opened {
        file,
        len_bytes,
        init,
    }))
}
