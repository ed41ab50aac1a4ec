//! What holds for any bytes, for the fuzz targets and for the test that reads their corpus.

use std::{cell::RefCell, fs::File, os::unix::fs::FileExt as _};

use dayreel_core::TrackKind;
use dayreel_manifest::Sequence;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::{
    cmaf::chunk_units,
    index::{self, Entry},
    init::{read_init, without_times},
    read_chunk,
    walker::{init_at_start, is_segment, walk},
};

/// Any bytes as an index: what is read of them is written and read as the same, and an hour that is
/// taken out is out.
///
/// # Panics
/// If that does not hold.
pub fn index(bytes: &[u8]) {
    let read = index::parse(bytes);
    assert!(read.sound_bytes <= bytes.len() as u64);
    assert!(read.open_bytes <= read.sound_bytes);
    let groups = read.entries.iter().map(Entry::to_text);
    let text = index::header(read.first, read.target_duration_s) + &groups.collect::<String>();
    let again = index::parse(text.as_bytes());
    assert_eq!(again.entries, read.entries);
    assert_eq!(again.first, read.first);
    // Every other file.
    let is_gone = |name: &str| name.len().is_multiple_of(2);
    let first = Sequence {
        media: 7,
        discontinuity: 3,
    };
    let left = index::parse(index::without(text.as_bytes(), first, is_gone).as_bytes());
    let mut kept = read
        .entries
        .iter()
        .filter(|entry| !is_gone(&entry.bytes.file));
    assert_eq!(left.first, first);
    for entry in &left.entries {
        let same = kept.next().expect("nothing is added");
        assert_eq!((&entry.bytes, entry.start), (&same.bytes, same.start));
        let map = entry.map.as_ref();
        assert!(map.is_none_or(|map| !is_gone(&map.file)));
    }
    assert!(kept.next().is_none(), "nothing else is lost");
}

thread_local! {
    /// A file in memory: the walker reads files.
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Any bytes as an hour file, an init segment and a chunk: nothing panics, and what is found lies in
/// order within the bytes.
///
/// # Panics
/// If that does not hold.
pub fn boxes(bytes: &[u8]) {
    let mut changed = bytes.to_vec().into();
    changed = without_times(&changed);
    assert_eq!(changed.len(), bytes.len());
    for kind in TrackKind::ALL {
        // Whether they are readable is theirs to say.
        let _ = read_init(kind, bytes);
        let _ = read_chunk(kind, bytes);
        let _ = chunk_units(kind, bytes, 0);
    }
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| {
            let made = memfd_create("boxes", MemfdFlags::CLOEXEC);
            File::from(made.expect("a file in memory"))
        });
        file.set_len(0)
            .and_then(|()| file.write_all_at(bytes, 0))
            .expect("memory");
        hour_file(file, bytes.len() as u64);
    });
}

fn hour_file(file: &File, len_bytes: u64) {
    let Some(init) = init_at_start(file, len_bytes) else {
        return;
    };
    assert!(init.len() as u64 <= len_bytes);
    let kind = TrackKind::Video;
    for indexed in [None, Some(len_bytes / 2), Some(len_bytes)] {
        let walked = walk(file, kind, "video-00.mp4", indexed).expect("it has a length");
        let Some(walked) = walked else { continue };
        assert_eq!(walked.whole_bytes + walked.torn_bytes, len_bytes);
        let mut end = 0;
        for found in &walked.found {
            let bytes = &found.entry.bytes;
            assert!(bytes.offset >= end, "they do not overlap");
            end = bytes.offset + u64::from(bytes.len_bytes);
            assert!(end <= walked.whole_bytes && found.entry.duration_90k > 0);
            // It need not be one: chunks may say impossible times. It must not panic.
            is_segment(file, kind, &found.entry);
        }
    }
}
