//! Hands out a range of bytes front to back, some at a time.

use std::{io, ops::Range};

use bytes::Bytes;

/// What `read` reads of `left`, from its beginning on: that is no longer left. After an error nothing is.
pub(crate) fn next_piece(
    left: &mut Range<u64>,
    read: impl FnOnce(Range<u64>) -> io::Result<Bytes>,
) -> Option<io::Result<Bytes>> {
    if left.is_empty() {
        return None;
    }
    let piece = read(left.clone());
    match &piece {
        Ok(bytes) => left.start += bytes.len() as u64,
        Err(_) => left.end = left.start,
    }
    Some(piece)
}

/// The part of `head`, which everything begins with, that is in `wanted`; `None` if that is behind it.
pub(crate) fn of_head(head: &Bytes, wanted: &Range<u64>) -> Option<Bytes> {
    let head_bytes = head.len() as u64;
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    (wanted.start < head_bytes)
        .then(|| head.slice(index(wanted.start)..index(wanted.end.min(head_bytes))))
}
