//! The boxes of a file at its top level (ISO/IEC 14496-12 §4.2).

/// A box and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxAt<'a> {
    /// Four-character code.
    pub kind: [u8; 4],
    /// Of its first byte, from the start of the file.
    pub offset: usize,
    /// Bytes of the header: 8, or 16 with a large size.
    pub header_bytes: usize,
    /// All of it, header included.
    pub bytes: &'a [u8],
}

impl<'a> BoxAt<'a> {
    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header_bytes..]
    }

    /// The four-character code as text.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.kind).into_owned()
    }
}

/// The boxes of `bytes`, one after the other, and where the bytes stop being whole boxes, if they
/// do. A size of 0 ("to the end of the file") counts as not whole: a segment must not have it.
pub fn walk(bytes: &[u8]) -> (Vec<BoxAt<'_>>, Option<usize>) {
    let mut found = Vec::new();
    let mut offset = 0;
    while offset < bytes.len() {
        let Some(next) = box_at(bytes, offset) else {
            return (found, Some(offset));
        };
        offset += next.bytes.len();
        found.push(next);
    }
    (found, None)
}

fn box_at(bytes: &[u8], offset: usize) -> Option<BoxAt<'_>> {
    let rest = &bytes[offset..];
    let size = u32::from_be_bytes(*rest.first_chunk()?);
    let kind = *rest.get(4..)?.first_chunk()?;
    let (size, header_bytes) = match size {
        1 => (u64::from_be_bytes(*rest.get(8..)?.first_chunk()?), 16),
        size => (u64::from(size), 8),
    };
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size >= header_bytes)?;
    Some(BoxAt {
        kind,
        offset,
        header_bytes,
        bytes: rest.get(..size)?,
    })
}

#[cfg(test)]
mod tests {
    use super::walk;

    #[test]
    fn walks_small_and_large_sizes_and_stops_at_a_torn_end() {
        let mut bytes = b"\0\0\0\x09free!\0\0\0\x01mdat\0\0\0\0\0\0\0\x12ab".to_vec();
        let (found, torn) = walk(&bytes);
        assert_eq!(torn, None);
        assert_eq!(found[0].payload(), b"!");
        assert_eq!((found[1].offset, found[1].payload()), (9, b"ab".as_slice()));
        bytes.extend(b"\0\0\0\x0amoof!");
        assert_eq!(walk(&bytes).1, Some(27));
        assert_eq!(walk(b"\0\0\0\0mdat").1, Some(0));
        assert_eq!(walk(b"\0\0\0\x07mdat").1, Some(0));
    }
}
