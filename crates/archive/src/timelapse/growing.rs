//! The growing part of a day's timelapse.
//!
//! ```text
//! 22.growing.mp4   ftyp moov (uuid moof mdat) (uuid moof mdat) …
//! ```
//!
//! A fragmented MP4 that players open. A group of pictures is appended with one write; the `uuid`
//! box before it says how far the day is done, how the pictures were wanted, and a checksum. What a
//! kill or a power cut leaves of a group is cut off when the file is opened again, and made again
//! from the recordings. An empty file says that the day has been begun.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use dayreel_core::{Day, TrackKind};
use mp4_atom::{FourCC, Moof, Moov};
use tracing::{info, warn};

use super::{FilmFormat, Group, Recipe, film};
use crate::{
    Error, Result,
    cmaf::{MDAT, MOOF, find, next_box},
    data_dir::sync_folder,
    error::IoContext as _,
};

const FTYP: FourCC = FourCC::new(b"ftyp");
const MOOV: FourCC = FourCC::new(b"moov");
const UUID: FourCC = FourCC::new(b"uuid");
/// Ours, chosen at random.
const MARK: [u8; 16] = [
    0x6e, 0x1f, 0x0b, 0x52, 0x7c, 0x8d, 0x4a, 0x0e, 0x9b, 0x57, 0x2d, 0x64, 0xd1, 0xa3, 0x5f, 0x20,
];
/// Box header, [`MARK`], five numbers of 32 bits.
const MARK_BYTES: usize = 8 + 16 + 20;
/// Head of the file, or of a group: far more than either has.
const HEAD_BYTES: u64 = 64 * 1024;

/// The timelapse of a day as far as it is made. One at a time for each day.
#[derive(Debug)]
pub struct Growing {
    day: Day,
    path: PathBuf,
    file: File,
    recipe: Recipe,
    /// `None` while there is no picture.
    format: Option<FilmFormat>,
    groups: Vec<Place>,
    len_bytes: u64,
}

/// Where a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Its first picture, in the file.
    offset: u64,
    /// Lengths of its pictures, in bytes.
    sizes: Vec<u32>,
    /// The slot after its last.
    next_slot: u32,
    crc: u32,
}

impl Place {
    fn len_bytes(&self) -> u64 {
        self.sizes.iter().map(|size| u64::from(*size)).sum()
    }
}

impl Growing {
    /// Opens the file at `path`, or makes it. What was made after another recipe is dropped.
    pub(super) fn open(path: PathBuf, day: Day, recipe: Recipe) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .context("open", &path)?;
        let mut growing = Self {
            day,
            path,
            file,
            recipe,
            format: None,
            groups: Vec::new(),
            len_bytes: 0,
        };
        growing.recover()?;
        Ok(growing)
    }

    /// The local day it shows.
    pub const fn day(&self) -> Day {
        self.day
    }

    /// The first slot that is not done.
    pub fn next_slot(&self) -> u32 {
        self.groups.last().map_or(0, |group| group.next_slot)
    }

    /// Pictures so far.
    pub fn pictures(&self) -> usize {
        self.groups.iter().map(|group| group.sizes.len()).sum()
    }

    /// What all its pictures are, once there is one.
    pub const fn format(&self) -> Option<&FilmFormat> {
        self.format.as_ref()
    }

    /// Appends `group`, whose pictures are of `format`, and forces it to the disk.
    ///
    /// # Errors
    /// [`Error::OtherFilm`] if the pictures so far are of another format: then [`Growing::restart`]
    /// and make them all again. [`Error::Io`] if it cannot be written; what there was stays.
    pub fn append(&mut self, format: &FilmFormat, group: &Group) -> Result<()> {
        if group.pictures.is_empty() {
            return Ok(());
        }
        let mut head = match &self.format {
            None => film::growing_head(format, self.recipe.fps)?,
            Some(known) if known == format => Vec::new(),
            Some(_) => return Err(Error::OtherFilm(self.path.clone())),
        };
        let crc = crc_of(&group.pictures);
        head.extend(self.mark(group.next_slot, crc));
        let before = u32::try_from(self.pictures()).unwrap_or(u32::MAX);
        let number = u32::try_from(self.groups.len() + 1).unwrap_or(u32::MAX);
        head.extend(film::fragment_head(&group.pictures, before, number)?);
        let place = Place {
            offset: self.len_bytes + head.len() as u64,
            sizes: group.pictures.iter().map(len_32).collect(),
            next_slot: group.next_slot,
            crc,
        };
        let parts = [&head].map(|head| head.as_slice());
        let pictures = group.pictures.iter().map(|picture| &picture[..]);
        let written = self.write(parts.into_iter().chain(pictures));
        if let Err(error) = written {
            // What there was before stays; the rest of the group is cut off now, or when it is
            // opened again.
            let _ = self.file.set_len(self.len_bytes);
            return Err(error).context("write", &self.path);
        }
        self.len_bytes = place.offset + place.len_bytes();
        self.format.get_or_insert_with(|| format.clone());
        self.groups.push(place);
        Ok(())
    }

    /// Drops all pictures.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).context("cut", &self.path)?;
        (self.format, self.groups, self.len_bytes) = (None, Vec::new(), 0);
        Ok(())
    }

    /// Ends the day: makes a standard MP4 at `into`, in one step for those who read, and deletes the
    /// growing part. Says whether there was a picture; without one nothing is made.
    pub(super) fn finish(mut self, into: &Path) -> Result<bool> {
        if let Some(format) = self.format.take() {
            let part = into.with_extension("mp4.part");
            self.write_film(&format, &part)?;
            fs::rename(&part, into).context("rename", &part)?;
            into.parent().map_or(Ok(()), sync_folder)?;
        }
        let made = !self.groups.is_empty();
        fs::remove_file(&self.path).context("delete", &self.path)?;
        Ok(made)
    }

    fn write_film(&mut self, format: &FilmFormat, path: &Path) -> Result<()> {
        let sizes: Vec<_> = self
            .groups
            .iter()
            .map(|group| group.sizes.clone())
            .collect();
        let created_s = u64::try_from(self.day.start().timestamp()).unwrap_or(0);
        let head = film::finished_head(format, self.recipe.fps, created_s, &sizes)?;
        let mut film = File::create(path).context("create", path)?;
        film.write_all(&head).context("write", path)?;
        for group in &self.groups {
            let from = self.file.seek(SeekFrom::Start(group.offset));
            from.context("read", &self.path)?;
            let mut pictures = (&self.file).take(group.len_bytes());
            let copied = io::copy(&mut pictures, &mut film).context("write", path)?;
            if copied != group.len_bytes() {
                let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(cut).context("read", &self.path);
            }
        }
        film.sync_all().context("sync", path)
    }

    fn write<'b>(&mut self, parts: impl Iterator<Item = &'b [u8]>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.len_bytes))?;
        let mut slices: Vec<IoSlice<'b>> = parts.map(IoSlice::new).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let written = self.file.write_vectored(rest)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
        self.file.sync_data()
    }

    fn mark(&self, next_slot: u32, crc: u32) -> Vec<u8> {
        let Recipe {
            interval_s,
            width,
            fps,
        } = self.recipe;
        let mut mark = Vec::with_capacity(MARK_BYTES);
        mark.extend(u32::try_from(MARK_BYTES).unwrap_or(0).to_be_bytes());
        mark.extend(b"uuid");
        mark.extend(MARK);
        for number in [interval_s, width, fps, next_slot, crc] {
            mark.extend(number.to_be_bytes());
        }
        mark
    }

    /// Finds what is in the file, and cuts off what is torn.
    fn recover(&mut self) -> Result<()> {
        let len_bytes = self.file.metadata().context("read", &self.path)?.len();
        let head = self.read(0, len_bytes.min(HEAD_BYTES))?;
        if let Some((format, begin)) = read_file_head(&head) {
            self.len_bytes = begin;
            while let Some((place, recipe)) = self.next_group(len_bytes)? {
                if recipe != self.recipe {
                    info!(path = %self.path.display(), "the settings of the timelapse have changed: the day is made again");
                    return self.restart();
                }
                self.len_bytes = place.offset + place.len_bytes();
                self.groups.push(place);
            }
            // Only the newest can have been on its way to the disk.
            if let Some(newest) = self.groups.last().cloned()
                && !self.is_whole(&newest)?
            {
                self.groups.pop();
                let before = self.groups.last();
                self.len_bytes = before.map_or(begin, |group| group.offset + group.len_bytes());
            }
            self.format = Some(format);
        }
        if self.groups.is_empty() {
            (self.format, self.len_bytes) = (None, 0);
        }
        if self.len_bytes < len_bytes {
            warn!(path = %self.path.display(), bytes = len_bytes - self.len_bytes, "cut off a torn group of pictures");
            self.file
                .set_len(self.len_bytes)
                .context("cut", &self.path)?;
        }
        Ok(())
    }

    /// The group at `self.len_bytes`, if it lies within the first `end` bytes of the file.
    fn next_group(&self, end: u64) -> Result<Option<(Place, Recipe)>> {
        let at = self.len_bytes;
        let head = self.read(at, HEAD_BYTES.min(end.saturating_sub(at)))?;
        Ok(read_group_head(&head, at)
            .filter(|(place, _)| place.offset.saturating_add(place.len_bytes()) <= end))
    }

    fn is_whole(&self, group: &Place) -> Result<bool> {
        let pictures = self.read(group.offset, group.len_bytes())?;
        Ok(crc32fast::hash(&pictures) == group.crc)
    }

    fn read(&self, offset: u64, len_bytes: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(0)];
        let read = self.file.read_exact_at(&mut bytes, offset);
        read.context("read", &self.path).map(|()| bytes)
    }
}

/// `ftyp moov`: what the pictures are, and where the first group begins.
fn read_file_head(head: &[u8]) -> Option<(FilmFormat, u64)> {
    let (kind, ftyp_bytes) = next_box(head)?;
    let moov = head.get(usize::try_from(ftyp_bytes).ok()?..)?;
    let (moov_kind, moov_bytes) = next_box(moov)?;
    if (kind, moov_kind) != (FTYP, MOOV) {
        return None;
    }
    let parsed = find::<Moov>(TrackKind::Video, "timelapse", moov).ok()?;
    let (format, _) = film::read_head(&parsed)?;
    Some((format, ftyp_bytes + moov_bytes))
}

/// `uuid moof` and the head of `mdat`, which begin at `at` of the file.
fn read_group_head(head: &[u8], at: u64) -> Option<(Place, Recipe)> {
    let (kind, len_bytes) = next_box(head)?;
    let (mark, rest) = head.split_at_checked(MARK_BYTES)?;
    if kind != UUID || len_bytes != MARK_BYTES as u64 || mark[8..24] != MARK {
        return None;
    }
    let mut numbers = mark[24..].chunks_exact(4).map(|four| {
        let four: [u8; 4] = four.try_into().unwrap_or_default();
        u32::from_be_bytes(four)
    });
    let mut number = || numbers.next();
    let recipe = Recipe {
        interval_s: number()?,
        width: number()?,
        fps: number()?,
    };
    let (next_slot, crc) = (number()?, number()?);
    let (kind, moof_bytes) = next_box(rest)?;
    let mdat = rest.get(usize::try_from(moof_bytes).ok()?..)?;
    let (mdat_kind, mdat_bytes) = next_box(mdat)?;
    if (kind, mdat_kind) != (MOOF, MDAT) {
        return None;
    }
    let moof = find::<Moof>(TrackKind::Video, "timelapse", rest).ok()?;
    let samples = moof.traf.first()?.trun.first()?.samples.iter();
    let sizes: Vec<u32> = samples.map(|sample| sample.size).collect::<Option<_>>()?;
    let place = Place {
        offset: at + MARK_BYTES as u64 + moof_bytes + 8,
        sizes,
        next_slot,
        crc,
    };
    (place.len_bytes() + 8 == mdat_bytes).then_some((place, recipe))
}

fn crc_of(pictures: &[Bytes]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    pictures.iter().for_each(|picture| crc.update(picture));
    crc.finalize()
}

fn len_32(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
