//! Writes one track into one day folder. The order of writes is what recovery relies on:
//!
//! 1. A chunk goes to the hour file as soon as it is complete: "what a kill can lose is one chunk".
//! 2. When the segment is complete, the hour file is synced if it is time ([`SYNC_INTERVAL`]: what a
//!    power cut can lose), and only then
//! 3. its group of lines goes to the index, in one write.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use dayreel_core::{Clock, GapCause, MediaTime, TrackFormat, TrackKind};
use dayreel_manifest::{Init, InitHash, Part, Segment, Slice};

use crate::{
    ChunkInfo, DayFolder, Result, data_dir::sync_folder, error::IoContext as _, index,
    index_file::is_gone,
};

/// How often what is written is forced to the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// `writev` takes no more pieces at once (IOV_MAX).
const MAX_PIECES: usize = 1024;

/// The name of a track's index.
pub(crate) fn index_name(kind: TrackKind) -> String {
    format!("{kind}.m3u8")
}

/// Whether the index in `folder` ends as that of a day that is over, or the track has no file at all.
/// Reads its last bytes.
pub(crate) fn ends_closed(folder: &Path, kind: TrackKind) -> bool {
    let ending = index::ending(None);
    let mut last = vec![0; ending.len()];
    let read = File::open(folder.join(index_name(kind))).and_then(|index| {
        let begin = index.metadata()?.len().saturating_sub(last.len() as u64);
        index.read_exact_at(&mut last, begin)
    });
    match read {
        Ok(()) => last == ending.as_bytes(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
            let mut names = fs::read_dir(folder).into_iter().flatten().filter_map(name);
            !names.any(|name| HourName::parse(kind, &name).is_some())
        }
        Err(_) => false,
    }
}

/// The name of an hour file: `video-07.mp4`, and `video-07-2.mp4` after a codec change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HourName {
    /// Local hour, 0 to 23.
    hour: u32,
    /// Counts the files of the hour, from 1.
    number: u32,
    kind: TrackKind,
}

impl HourName {
    /// Local hour, 0 to 23.
    pub(crate) const fn hour(self) -> u32 {
        self.hour
    }

    pub(crate) fn parse(kind: TrackKind, name: &str) -> Option<Self> {
        let stem = name
            .strip_prefix(kind.name())?
            .strip_prefix('-')?
            .strip_suffix(".mp4")?;
        let (hour, number) = stem.split_once('-').unwrap_or((stem, "1"));
        let parsed = Self {
            hour: hour.parse().ok()?,
            number: number.parse().ok()?,
            kind,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for HourName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            1 => write!(f, "{}-{:02}.mp4", self.kind, self.hour),
            number => write!(f, "{}-{:02}-{number}.mp4", self.kind, self.hour),
        }
    }
}

/// The init segment of a track, as the muxer gave it.
#[derive(Clone, Debug)]
pub(crate) struct TrackInit {
    pub(crate) hash: InitHash,
    pub(crate) bytes: Bytes,
    pub(crate) format: TrackFormat,
}

/// The hour file that is being written.
struct HourFile {
    file: File,
    name: HourName,
    /// Its number in the day folder.
    number: u16,
    len_bytes: u64,
    init: InitHash,
}

/// The segment that is being written.
struct OpenSegment {
    start: MediaTime,
    duration_90k: u64,
    access_units: u32,
    init: u16,
    offset: u64,
    /// Why nothing was recorded before it, if there is a gap.
    after: Option<GapCause>,
}

/// The writer of one track in one day.
pub(crate) struct TrackWriter {
    kind: TrackKind,
    folder: Arc<DayFolder>,
    hour: Option<HourFile>,
    open: Option<OpenSegment>,
    /// When that was forced to the disk last, by the steady clock.
    synced: Duration,
    clock: Arc<dyn Clock>,
    /// Files were created: their names are not on the disk yet.
    has_new_files: bool,
}

impl TrackWriter {
    pub(crate) fn new(kind: TrackKind, folder: Arc<DayFolder>, clock: Arc<dyn Clock>) -> Self {
        Self {
            kind,
            folder,
            hour: None,
            open: None,
            synced: clock.steady(),
            clock,
            has_new_files: false,
        }
    }

    pub(crate) fn folder(&self) -> &Arc<DayFolder> {
        &self.folder
    }

    /// Whether a hand has deleted or moved away what is being written.
    pub(crate) fn is_gone(&self) -> bool {
        let is_gone = |hour: &HourFile| {
            let path = self.folder.path().join(hour.name.to_string());
            // What expired was no hand.
            !self.folder.is_gone(self.kind, hour.number) && is_gone(&hour.file, &path)
        };
        self.hour.as_ref().is_some_and(is_gone) || self.folder.index(self.kind).is_gone()
    }

    /// Begins a segment whose first chunk says `info`, and before which nothing was recorded for
    /// the reason `after`; the chunk itself is written next.
    pub(crate) fn begin_segment(
        &mut self,
        init: &TrackInit,
        info: &ChunkInfo,
        after: Option<GapCause>,
    ) -> Result<()> {
        self.enter_hour(init, info.start)?;
        let Some(hour) = &self.hour else {
            return Ok(());
        };
        let TrackInit {
            hash,
            bytes,
            format,
        } = init.clone();
        let init = Init {
            hash,
            bytes,
            format,
        };
        self.open = Some(OpenSegment {
            start: info.start,
            duration_90k: 0,
            access_units: 0,
            init: self
                .folder
                .change(|state| state.timeline.add_init(self.kind, init)),
            offset: hour.len_bytes,
            after,
        });
        Ok(())
    }

    /// Appends a chunk of the open segment: from here on it is listed as a part. If that fails, nothing
    /// of the chunk stays.
    pub(crate) fn append_chunk(&mut self, parts: &[Bytes], info: &ChunkInfo) -> Result<()> {
        let (bytes, init, is_first) = self.write_chunk(parts, info)?;
        let Ok(duration_90k) = u32::try_from(info.duration_90k) else {
            return Ok(());
        };
        // hls.js that changes to parts of another picture at the live edge shows none of it.
        if self.kind == TrackKind::Preview {
            return Ok(());
        }
        let part = Part {
            start: info.start,
            duration_90k,
            is_independent: info.starts_with_keyframe,
            bytes,
        };
        self.list_part(init, is_first, part);
        Ok(())
    }

    fn list_part(&self, init: u16, is_first: bool, part: Part) {
        self.folder.change(|state| match is_first {
            true => state.timeline.begin_segment(self.kind, init, part),
            false => state.timeline.append_part(self.kind, part),
        });
    }

    /// Writes a chunk of the open segment, and returns where its bytes are, which init segment it needs
    /// and whether it is the first.
    fn write_chunk(&mut self, parts: &[Bytes], info: &ChunkInfo) -> Result<(Slice, u16, bool)> {
        let (Some(hour), Some(open)) = (&mut self.hour, &mut self.open) else {
            return Err(crate::Error::Orphan(self.kind));
        };
        let offset = hour.len_bytes;
        match write_all_vectored(&hour.file, parts, offset) {
            Ok(written_bytes) => hour.len_bytes += written_bytes,
            Err(error) => {
                // Best effort: what stays behind is overwritten by the next chunk or cut off by
                // recovery.
                let _ = hour.file.set_len(hour.len_bytes);
                return Err(error).context("write", self.folder.path().join(hour.name.to_string()));
            }
        }
        let is_first = open.access_units == 0;
        open.duration_90k += info.duration_90k;
        open.access_units += info.access_units;
        let bytes = Slice {
            file: hour.number,
            offset,
            len_bytes: u32::try_from(hour.len_bytes - offset).unwrap_or(u32::MAX),
        };
        Ok((bytes, open.init, is_first))
    }

    /// Completes the open segment, if there is one with anything in it: from here on it is listed.
    pub(crate) fn finish_segment(&mut self) -> Result<()> {
        let (Some(open), Some(hour)) = (self.open.take(), &self.hour) else {
            return Ok(());
        };
        let length = hour.len_bytes - open.offset;
        let (Ok(len_bytes), Ok(duration_90k)) =
            (u32::try_from(length), u32::try_from(open.duration_90k))
        else {
            return Ok(());
        };
        if duration_90k == 0 {
            return Ok(());
        }
        let segment = Segment {
            start: open.start,
            duration_90k,
            access_units: open.access_units,
            init: open.init,
            bytes: Slice {
                file: hour.number,
                offset: open.offset,
                len_bytes,
            },
        };
        self.list(segment, open.after)
    }

    /// Copies the last segment of the day before, which runs over midnight, into this day, with its `parts`: hls.js
    /// goes on part by part only where those before are listed.
    pub(crate) fn adopt(
        &mut self,
        init: &Init,
        segment: &Segment,
        parts: &[Part],
        bytes: Bytes,
    ) -> Result<()> {
        let start = self.folder.day().start();
        let init = TrackInit {
            hash: init.hash,
            bytes: init.bytes.clone(),
            format: init.format.clone(),
        };
        let info = ChunkInfo {
            start: segment.start,
            duration_90k: segment.duration_90k.into(),
            access_units: segment.access_units,
            starts_with_keyframe: true,
        };
        self.enter_hour(&init, MediaTime::wall_to_media(start))?;
        self.begin_segment(&init, &info, None)?;
        let (copy, init, _) = self.write_chunk(&[bytes], &info)?;
        for (index, part) in parts.iter().enumerate() {
            let within = part.bytes.offset.saturating_sub(segment.bytes.offset);
            let bytes = Slice {
                file: copy.file,
                offset: copy.offset + within,
                ..part.bytes
            };
            self.list_part(init, index == 0, Part { bytes, ..*part });
        }
        self.finish_segment()
    }

    /// The day is over: nothing is added any more. `ends_with` is why nothing was recorded up to its
    /// end, if something is missing.
    pub(crate) fn close_day(&mut self, ends_with: Option<GapCause>) -> Result<()> {
        self.folder.close(self.kind, ends_with)?;
        self.sync()
    }

    /// Forces everything to the disk.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.synced = self.clock.steady();
        if let Some(hour) = &self.hour {
            hour.file.sync_data().context("sync", self.folder.path())?;
        }
        self.folder.index(self.kind).sync()?;
        if self.has_new_files {
            sync_folder(self.folder.path())?;
            self.has_new_files = false;
        }
        Ok(())
    }

    fn list(&mut self, segment: Segment, after: Option<GapCause>) -> Result<()> {
        let is_due = self.clock.steady().saturating_sub(self.synced) >= SYNC_INTERVAL;
        let synced = if is_due { self.sync() } else { Ok(()) };
        // It is written: not listed it would be lost, and a hole that no recovery looks into.
        self.folder.list(self.kind, segment, after)?;
        synced
    }

    /// Makes `self.hour` the file that a segment starting at `start` goes to.
    fn enter_hour(&mut self, init: &TrackInit, start: MediaTime) -> Result<()> {
        let day = self.folder.day();
        let wall = start.media_to_wall();
        // What runs over midnight belongs to the first hour.
        let label = if wall < day.start() {
            day.hour_of(day.start())
        } else {
            day.hour_of(wall)
        };
        if self.hour.is_none() {
            self.hour = self.reopen_last_hour()?;
        }
        let is_gone = |hour: &HourFile| self.folder.is_gone(self.kind, hour.number);
        if self.hour.as_ref().is_some_and(is_gone) {
            self.hour = None;
        }
        // In autumn the clock shows an hour again; the file of that hour just goes on.
        let fits = |hour: &HourFile| hour.init == init.hash && label <= hour.name.hour;
        if !self.hour.as_ref().is_some_and(fits) {
            if let Some(done) = &self.hour {
                done.file.sync_data().context("sync", self.folder.path())?;
            }
            self.hour = Some(self.create_hour(label, init)?);
        }
        Ok(())
    }

    fn create_hour(&mut self, hour: u32, init: &TrackInit) -> Result<HourFile> {
        self.folder.ensure_there()?;
        let folder = self.folder.path();
        fs::create_dir_all(folder).context("create", folder)?;
        let mut name = HourName {
            hour,
            number: 1,
            kind: self.kind,
        };
        let (file, path) = loop {
            let path = folder.join(name.to_string());
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => name.number += 1,
                file => break (file.context("create", &path)?, path),
            }
        };
        file.write_all_at(&init.bytes, 0)
            .inspect_err(|_| {
                // A file without init segment is of no use, and the next attempt makes another.
                let _ = fs::remove_file(&path);
            })
            .context("write", &path)?;
        self.has_new_files = true;
        let number = self
            .folder
            .change(|state| state.file_number(self.kind, &name.to_string()));
        let len_bytes = init.bytes.len() as u64;
        Ok(HourFile {
            file,
            name,
            number,
            len_bytes,
            init: init.hash,
        })
    }

    /// The newest hour file of the folder, to go on after a restart. `None` if it holds something
    /// that could not be listed: nothing is appended to that.
    fn reopen_last_hour(&self) -> Result<Option<HourFile>> {
        let folder = self.folder.path();
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(None);
        };
        let names = entries
            .filter_map(|entry| HourName::parse(self.kind, entry.ok()?.file_name().to_str()?));
        let Some(name) = names.max() else {
            return Ok(None);
        };
        let path = folder.join(name.to_string());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .context("open", &path)?;
        let len_bytes = file.metadata().context("read", &path)?.len();
        let Some(init) = crate::walker::init_at_start(&file, len_bytes) else {
            return Ok(None);
        };
        let number = self
            .folder
            .change(|state| state.file_number(self.kind, &name.to_string()));
        let listed = self.folder.listed_bytes(self.kind, number);
        if len_bytes != listed.unwrap_or(init.len() as u64) {
            return Ok(None);
        }
        Ok(Some(HourFile {
            file,
            name,
            number,
            len_bytes,
            init: InitHash::of(&init),
        }))
    }
}

/// Writes `parts` one after another at `offset`; returns how many bytes that were.
fn write_all_vectored(file: &File, parts: &[Bytes], mut offset: u64) -> io::Result<u64> {
    let begin = offset;
    for parts in parts.chunks(MAX_PIECES) {
        let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let written = rustix::io::pwritev(file, rest, offset)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            IoSlice::advance_slices(&mut rest, written);
        }
    }
    Ok(offset - begin)
}
