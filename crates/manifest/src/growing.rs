//! Text that only grows, kept ready to send.

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Plain bytes of a frozen block. What is younger is copied and compressed for each request.
const BLOCK_BYTES: usize = 16 * 1024;

/// Append-only text. Its beginning is frozen in blocks, each kept plain and as deflate data that
/// ends on a byte boundary and refers to nothing before it; any sequence of them is one stream.
#[derive(Debug, Default)]
pub struct GrowingText {
    plain: Vec<Bytes>,
    deflated: Vec<Bytes>,
    /// CRC-32 and length of all frozen plain bytes, as gzip's trailer wants them (RFC 1952 §2.3.1).
    checksum: Hasher,
    /// What is not frozen yet; less than a block and an item.
    open: String,
}

impl GrowingText {
    /// Appends `item`.
    pub fn push(&mut self, item: &str) {
        self.open.push_str(item);
        if self.open.len() >= BLOCK_BYTES {
            self.checksum.update(self.open.as_bytes());
            self.deflated
                .push(deflate(self.open.as_bytes(), FlushCompress::Full).into());
            self.plain.push(std::mem::take(&mut self.open).into());
        }
    }

    pub(crate) fn plain_blocks(&self) -> &[Bytes] {
        &self.plain
    }

    pub(crate) fn deflated_blocks(&self) -> &[Bytes] {
        &self.deflated
    }

    pub(crate) const fn checksum(&self) -> &Hasher {
        &self.checksum
    }

    pub(crate) fn open(&self) -> &str {
        &self.open
    }
}

/// `text` as raw deflate data (RFC 1951): with [`FlushCompress::Full`] a block that others may
/// follow, with [`FlushCompress::Finish`] the end of a stream.
pub(crate) fn deflate(text: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut compress = Compress::new(Compression::default(), false);
    let mut out = Vec::with_capacity(text.len() / 4 + 64);
    loop {
        // Compressing into memory has no other error than misuse of this very loop.
        let read = usize::try_from(compress.total_in()).unwrap_or(text.len());
        let rest = text.get(read..).unwrap_or_default();
        let status = compress.compress_vec(rest, &mut out, flush);
        let all_read = compress.total_in() == text.len() as u64;
        match status {
            Ok(Status::StreamEnd) | Err(_) => return out,
            Ok(_) if all_read && flush == FlushCompress::Full && out.len() < out.capacity() => {
                return out;
            }
            Ok(_) => out.reserve(out.capacity().max(64)),
        }
    }
}
