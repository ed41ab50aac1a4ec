//! Reads an export: the head, then each piece from its hour file, with what its `moof` boxes say made
//! to fit.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, sync::Arc};

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};

use super::{Export, FilePiece, head::track_id};
use crate::{
    chunks::MOST_MOOF_BYTES,
    cmaf::{BOX_HEADER_BYTES, MOOF, next_box},
    front_to_back::{next_piece, of_head},
};

/// Read at once, and all that a reader holds; only a `moof` may be longer.
const WINDOW_BYTES: u64 = 256 * 1024;
/// The longest header of a box.
const LONG_HEADER_BYTES: u64 = 16;
/// Fragments are numbered by piece: so many numbers are for each.
const FRAGMENTS: u32 = 1 << 10;

/// Hands out the bytes of an [`Export`], front to back, some at a time.
///
/// # Errors
/// Those of the disk, of kind `NotFound` where an hour has expired meanwhile. It ends with the first.
#[derive(Debug)]
pub struct ExportReader {
    /// What has not been handed out.
    left: Range<u64>,
    source: Source,
}

#[derive(Debug)]
struct Source {
    export: Arc<Export>,
    /// Where it was left.
    piece: Option<OpenPiece>,
}

/// The piece that is being read.
#[derive(Debug)]
struct OpenPiece {
    index: usize,
    file: File,
    /// Where its next box begins, in the hour file.
    next_box: u64,
    /// How many fragments of it came before that.
    fragments: u32,
}

impl ExportReader {
    pub(super) fn new(export: Arc<Export>, range: Range<u64>) -> Self {
        Self {
            left: range.start..range.end.min(export.len_bytes()),
            source: Source {
                export,
                piece: None,
            },
        }
    }
}

impl Source {
    /// The beginning of `wanted`.
    fn read(&mut self, wanted: &Range<u64>) -> io::Result<Bytes> {
        if let Some(bytes) = of_head(&self.export.head, wanted) {
            return Ok(bytes);
        }
        let index = self
            .export
            .pieces
            .partition_point(|piece| piece.end <= wanted.start);
        let export = Arc::clone(&self.export);
        let piece = export
            .pieces
            .get(index)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let begin = piece.end - piece.len_bytes;
        let from = piece.offset + (wanted.start - begin);
        let mut open = self.open(index, piece)?;
        let mut bytes = open.window(piece, from)?;
        bytes.truncate(usize::try_from(wanted.end - wanted.start).unwrap_or(usize::MAX));
        self.piece = Some(open);
        Ok(bytes)
    }

    /// The piece at `index`, from where it was left if it is the one that is being read.
    fn open(&mut self, index: usize, piece: &FilePiece) -> io::Result<OpenPiece> {
        let before = self.piece.take();
        let path = |index: usize| self.export.pieces.get(index).map(|piece| piece.path);
        match before {
            Some(open) if open.index == index => Ok(open),
            // The hour file may still be open.
            Some(open) if path(open.index) == Some(piece.path) => {
                Ok(OpenPiece::new(index, open.file, piece))
            }
            _ => {
                let file = File::open(&self.export.paths[usize::from(piece.path)])?;
                // It is only a hint.
                let _ = fadvise(&file, piece.offset, None, Advice::Sequential);
                Ok(OpenPiece::new(index, file, piece))
            }
        }
    }
}

impl Iterator for ExportReader {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        next_piece(&mut self.left, |wanted| self.source.read(&wanted))
    }
}

impl OpenPiece {
    const fn new(index: usize, file: File, piece: &FilePiece) -> Self {
        Self {
            index,
            file,
            next_box: piece.offset,
            fragments: 0,
        }
    }

    /// Some of the bytes of `piece` from `wanted` on, a position in the hour file.
    fn window(&mut self, piece: &FilePiece, wanted: u64) -> io::Result<Bytes> {
        let end = piece.offset + piece.len_bytes;
        // What is asked for may begin anywhere, so that boxes before it are passed by their headers.
        let mut begin = wanted;
        while self.next_box < wanted {
            let header = self.read_at(self.next_box, LONG_HEADER_BYTES.min(end - self.next_box))?;
            let (kind, len_bytes) = next_box(&header).ok_or_else(broken)?;
            let next = self.next_box + len_bytes;
            if kind == MOOF {
                if next > wanted {
                    begin = self.next_box;
                    break;
                }
                self.fragments += 1;
            }
            self.next_box = next;
        }
        let mut window = self.read_at(begin, WINDOW_BYTES.min(end - begin))?;
        let mut cut = window.len();
        while let Some(at) = within(&window, self.next_box, begin) {
            let header = window.get(at..).and_then(next_box);
            let Some((kind, len_bytes)) = header.filter(|(_, len_bytes)| *len_bytes > 0) else {
                // The header is torn by the end of the window: the next begins with it.
                cut = at;
                break;
            };
            if kind == MOOF {
                let behind = at as u64 + len_bytes;
                if behind > window.len() as u64 {
                    if at > 0 {
                        cut = at;
                        break;
                    }
                    if len_bytes > MOST_MOOF_BYTES.min(end - begin) {
                        return Err(broken());
                    }
                    window = self.read_at(begin, len_bytes)?;
                    cut = window.len();
                }
                let moof = at..at + usize::try_from(len_bytes).unwrap_or(0);
                let moof = window.get_mut(moof).ok_or_else(broken)?;
                let nth = u32::try_from(self.index).unwrap_or(0) * FRAGMENTS + self.fragments + 1;
                fit(moof, piece, nth).ok_or_else(broken)?;
                self.fragments += 1;
            }
            self.next_box += len_bytes;
        }
        window.truncate(cut);
        let skipped = usize::try_from(wanted - begin).unwrap_or(usize::MAX);
        let bytes = Bytes::from(window);
        match skipped < bytes.len() {
            true => Ok(bytes.slice(skipped..)),
            false => Err(broken()),
        }
    }

    fn read_at(&self, offset: u64, len_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// Index in `window`, which begins at `begin`, of the box at `next_box`, if it is in it.
fn within(window: &[u8], next_box: u64, begin: u64) -> Option<usize> {
    let at = usize::try_from(next_box.checked_sub(begin)?).ok()?;
    (at < window.len()).then_some(at)
}

/// Makes a `moof` (ISO/IEC 14496-12 §8.8) say that it is the `nth`, of the piece's track, and decoded
/// earlier.
fn fit(moof: &mut [u8], piece: &FilePiece, nth: u32) -> Option<()> {
    let mut rest = moof.get_mut(BOX_HEADER_BYTES..)?;
    while let Some((kind, len_bytes)) = next_box(rest) {
        let (whole, behind) = rest.split_at_mut_checked(usize::try_from(len_bytes).ok()?)?;
        rest = behind;
        // All but `traf` have version and flags before what is set.
        match &<[u8; 4]>::from(kind) {
            b"mfhd" => set(whole, &nth.to_be_bytes())?,
            b"tfhd" => set(whole, &track_id(piece.track).to_be_bytes())?,
            b"tfdt" => match whole.get(BOX_HEADER_BYTES)? {
                0 => {
                    let time = u32::from_be_bytes(field(whole)?);
                    let time = u32::try_from(u64::from(time).checked_sub(piece.earlier_90k)?);
                    set(whole, &time.ok()?.to_be_bytes())?;
                }
                _ => {
                    let time = u64::from_be_bytes(field(whole)?);
                    let time = time.checked_sub(piece.earlier_90k)?;
                    set(whole, &time.to_be_bytes())?;
                }
            },
            b"traf" => fit(whole, piece, nth)?,
            _ => {}
        }
    }
    Some(())
}

/// The first field behind version and flags.
fn field<const N: usize>(whole: &[u8]) -> Option<[u8; N]> {
    let from = BOX_HEADER_BYTES + 4;
    whole.get(from..from + N)?.try_into().ok()
}

fn set(whole: &mut [u8], bytes: &[u8]) -> Option<()> {
    let from = BOX_HEADER_BYTES + 4;
    whole
        .get_mut(from..from + bytes.len())?
        .copy_from_slice(bytes);
    Some(())
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a recording is damaged")
}
