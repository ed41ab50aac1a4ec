//! A playlist or manifest as the bytes to send: shared blocks and a little text of its own.

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::FlushCompress;

use crate::growing::{GrowingText, deflate};

/// How the bytes of a document are encoded (`Content-Encoding`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
}

/// A text document, in pieces in the order they are sent. Cheap to make: frozen blocks of a
/// [`GrowingText`] are shared, not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The bytes.
    pub pieces: Vec<Bytes>,
}

impl Document {
    /// A document of one text.
    pub fn of_text(text: String, encoding: Encoding) -> Self {
        let mut builder = Builder::new(encoding);
        *builder.text() = text;
        builder.finish()
    }

    /// Length in bytes.
    pub fn len_bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// All its bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

/// Puts a document together from text of its own and from growing text.
pub(crate) struct Builder {
    /// `None` where only the skeleton is of interest.
    encoding: Option<Encoding>,
    pieces: Vec<Bytes>,
    checksum: Hasher,
    /// Own text that has not become a piece yet: runs of it are compressed as one.
    own: String,
}

/// RFC 1952 §2.3: magic, deflate, no flags, no time, no hints, unknown system.
const GZIP_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

impl Builder {
    pub(crate) fn new(encoding: Encoding) -> Self {
        let pieces = match encoding {
            Encoding::Identity => Vec::new(),
            Encoding::Gzip => vec![Bytes::from_static(GZIP_HEADER)],
        };
        Self {
            encoding: Some(encoding),
            pieces,
            checksum: Hasher::new(),
            own: String::new(),
        }
    }

    /// Takes up the skeleton of a document only: what does not [vary](Self::varying) and does not grow.
    pub(crate) fn skeleton() -> Self {
        Self {
            encoding: None,
            pieces: Vec::new(),
            checksum: Hasher::new(),
            own: String::new(),
        }
    }

    /// The text to write to.
    pub(crate) fn text(&mut self) -> &mut String {
        &mut self.own
    }

    pub(crate) const fn is_skeleton(&self) -> bool {
        self.encoding.is_none()
    }

    /// Writes what may be otherwise in the next version of the document, and what grows.
    pub(crate) fn varying(&mut self, write: impl FnOnce(&mut Self)) {
        if !self.is_skeleton() {
            write(self);
        }
    }

    /// Writes what is to be compared with other versions, and is not in the document.
    pub(crate) fn compared(&mut self, write: impl FnOnce(&mut String)) {
        if self.is_skeleton() {
            write(&mut self.own);
        }
    }

    /// What the skeletons of two versions are compared by.
    pub(crate) fn fingerprint(&self) -> u32 {
        crc32fast::hash(self.own.as_bytes())
    }

    /// Appends all of `growing`.
    pub(crate) fn growing(&mut self, growing: &GrowingText) {
        if !growing.plain_blocks().is_empty() {
            self.flush(FlushCompress::Full);
            let blocks = match self.encoding() {
                Encoding::Identity => growing.plain_blocks(),
                Encoding::Gzip => {
                    self.checksum.combine(growing.checksum());
                    growing.deflated_blocks()
                }
            };
            self.pieces.extend_from_slice(blocks);
        }
        self.own.push_str(growing.open());
    }

    /// The finished document.
    pub(crate) fn finish(mut self) -> Document {
        self.flush(FlushCompress::Finish);
        if self.encoding() == Encoding::Gzip {
            // RFC 1952 §2.3.1: CRC-32, then the length modulo 2^32, least significant byte first.
            let length_bytes = self.checksum.total_len().to_le_bytes();
            let mut trailer = self.checksum.finalize().to_le_bytes().to_vec();
            trailer.extend_from_slice(&length_bytes[..4]);
            self.pieces.push(trailer.into());
        }
        Document {
            pieces: self.pieces,
        }
    }

    fn encoding(&self) -> Encoding {
        self.encoding.unwrap_or(Encoding::Identity)
    }

    fn flush(&mut self, flush: FlushCompress) {
        if self.own.is_empty() && flush == FlushCompress::Full {
            return;
        }
        let own = std::mem::take(&mut self.own);
        self.pieces.push(match self.encoding() {
            Encoding::Identity => own.into(),
            Encoding::Gzip => {
                self.checksum.update(own.as_bytes());
                deflate(own.as_bytes(), flush).into()
            }
        });
    }
}
