//! What a moment's file says about itself, so that it survives being copied.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use chrono::{DateTime, FixedOffset, SecondsFormat};
use serde::{Deserialize, Serialize};

use crate::{
    clip::Tags,
    cmaf::{BOX_HEADER_BYTES, child, next_box},
};

/// A head of a file that is longer than this is not one of a moment: 20 s with all there is need
/// 60 KiB.
const MAX_HEAD_BYTES: u64 = 4 << 20;

/// `ftyp`, and what a program that copied the file may have put before the `moov`.
const MOST_BOXES_BEFORE: usize = 4;

/// What is known of a moment besides its pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct MomentFacts {
    /// When it was asked for, in the camera's zone.
    pub time: DateTime<FixedOffset>,
    /// When its first picture was taken.
    pub start: DateTime<FixedOffset>,
    /// How long it is, 1/90000 s.
    pub duration_90k: u64,
    /// What its maker called it.
    pub label: Option<String>,
    /// How long it was to be, s.
    pub length_s: u32,
    /// How long before the request it was to end, s.
    pub delay_s: u32,
    /// Why it starts later than that, in one word.
    pub starts_late: Option<String>,
    /// Why it ends earlier than that, in one word.
    pub ends_early: Option<String>,
}

/// The part of the facts that no other tag holds, as it stands in `desc`.
#[derive(Serialize, Deserialize)]
struct Description {
    dayreel: u32,
    time: String,
    start: String,
    duration_90k: u64,
    length_s: u32,
    delay_s: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts_late: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_early: Option<String>,
}

/// The version of [`Description`].
const VERSION: u32 = 1;

impl MomentFacts {
    pub(super) fn tags(&self) -> Tags {
        let text =
            |time: &DateTime<FixedOffset>| time.to_rfc3339_opts(SecondsFormat::Millis, false);
        let description = Description {
            dayreel: VERSION,
            time: text(&self.time),
            start: text(&self.start),
            duration_90k: self.duration_90k,
            length_s: self.length_s,
            delay_s: self.delay_s,
            starts_late: self.starts_late.clone(),
            ends_early: self.ends_early.clone(),
        };
        Tags {
            title: self.label.clone(),
            date: text(&self.start),
            // Strings and numbers always make JSON.
            description: serde_json::to_string(&description).unwrap_or_default(),
        }
    }

    /// Reads the head of the file at `path`. `None`: it is no moment of ours, or torn.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        Ok(read_moov(&mut file)?.and_then(|moov| Self::of_moov(&moov)))
    }

    /// From the content of a `moov`.
    fn of_moov(moov: &[u8]) -> Option<Self> {
        let meta = child(child(moov, b"udta")?, b"meta")?;
        // Version and flags (ISO/IEC 14496-12 §8.11.1).
        let tags = child(meta.get(4..)?, b"ilst")?;
        let description: Description = serde_json::from_str(tag(tags, b"desc")?).ok()?;
        let time = |text: &str| DateTime::parse_from_rfc3339(text).ok();
        Some(Self {
            time: time(&description.time)?,
            start: time(&description.start)?,
            duration_90k: description.duration_90k,
            label: tag(tags, b"\xa9nam").map(str::to_owned),
            length_s: description.length_s,
            delay_s: description.delay_s,
            starts_late: description.starts_late,
            ends_early: description.ends_early,
        })
    }
}

/// The text of a tag: behind the type and the locale of its data.
fn tag<'b>(tags: &'b [u8], kind: &[u8; 4]) -> Option<&'b str> {
    let data = child(child(tags, kind)?, b"data")?;
    std::str::from_utf8(data.get(8..)?).ok()
}

/// The content of the `moov` that comes before the media. Reads no more than that.
fn read_moov(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    for _ in 0..MOST_BOXES_BEFORE {
        let mut header = [0; BOX_HEADER_BYTES];
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let found = next_box(&header).filter(|(_, len_bytes)| *len_bytes <= MAX_HEAD_BYTES);
        let Some((kind, len_bytes)) = found else {
            return Ok(None);
        };
        let mut content = Vec::new();
        let len_bytes = len_bytes.saturating_sub(BOX_HEADER_BYTES as u64);
        file.take(len_bytes).read_to_end(&mut content)?;
        if &<[u8; 4]>::from(kind) == b"moov" {
            return Ok(Some(content));
        }
    }
    Ok(None)
}
