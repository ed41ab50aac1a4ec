//! Gives a chunk another time: a copy of its `moof` with another `tfdt` and sequence number.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use dayreel_archive::Piece;

/// The bytes of a chunk up to its payload, and where the numbers in them stand.
pub(super) struct Moof {
    bytes: Bytes,
    /// 4 bytes (ISO/IEC 14496-12 §8.8.5).
    sequence_number: usize,
    /// 8 bytes (§8.8.12, version 1).
    decode_time: usize,
}

impl Moof {
    /// Finds the numbers in `[styp] moof`.
    ///
    /// # Errors
    /// There is no `mfhd`, or no `tfdt` of 64 bits.
    pub(super) fn read(bytes: Bytes) -> Result<Self> {
        let moof = find(&bytes, 0..bytes.len(), b"moof").context("no moof")?;
        let mfhd = find(&bytes, moof.clone(), b"mfhd").context("no mfhd")?;
        let traf = find(&bytes, moof, b"traf").context("no traf")?;
        let tfdt = find(&bytes, traf, b"tfdt").context("no tfdt")?;
        let version = bytes.get(tfdt.start).copied();
        // Version and flags, then the number.
        ensure!(
            version == Some(1) && tfdt.len() == 12 && mfhd.len() == 8,
            "an mfhd or tfdt of another form"
        );
        Ok(Self {
            sequence_number: mfhd.start + 4,
            decode_time: tfdt.start + 4,
            bytes,
        })
    }

    /// A copy that begins at `start_90k`.
    pub(super) fn at(&self, start_90k: u64, sequence_number: u32) -> Bytes {
        let mut bytes = self.bytes.to_vec();
        bytes[self.sequence_number..][..4].copy_from_slice(&sequence_number.to_be_bytes());
        bytes[self.decode_time..][..8].copy_from_slice(&start_90k.to_be_bytes());
        bytes.into()
    }
}

/// The payload of the first box of that kind in `within`. Other boxes must be whole.
fn find(bytes: &[u8], within: Range<usize>, kind: &[u8; 4]) -> Option<Range<usize>> {
    let mut at = within.start;
    loop {
        let header = bytes.get(at..at + 8).filter(|_| at + 8 <= within.end)?;
        let (length, name) = header.split_at(4);
        let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
        let end = at.checked_add(length).filter(|_| length >= 8)?;
        if name == kind {
            return (end <= within.end).then_some(at + 8..end);
        }
        at = end;
    }
}

/// How many bytes a piece adds to an hour file.
pub(super) fn len_bytes(piece: &Piece) -> u64 {
    match piece {
        Piece::Init(_) => 0,
        Piece::Chunk { parts, .. } => parts.iter().map(|part| part.len() as u64).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 8).unwrap();
        [&length.to_be_bytes(), &kind[..], payload].concat()
    }

    fn chunk(tfdt_version: u8) -> Bytes {
        let mfhd = boxed(b"mfhd", &[0, 0, 0, 0, 0, 0, 0, 5]);
        let mut payload = vec![tfdt_version, 0, 0, 0];
        payload.extend([0; 8]);
        let traf = [boxed(b"tfhd", &[0; 8]), boxed(b"tfdt", &payload)].concat();
        let moof = boxed(b"moof", &[mfhd, boxed(b"traf", &traf)].concat());
        [boxed(b"styp", b"msdh"), moof].concat().into()
    }

    #[test]
    fn only_the_two_numbers_change() {
        let bytes = chunk(1);
        let moof = Moof::read(bytes.clone()).unwrap();
        assert_eq!(moof.at(0, 5), bytes);
        let shifted = moof.at(0x0102_0304_0506_0708, 6);
        let changed: Vec<_> = (0..bytes.len())
            .filter(|&at| bytes[at] != shifted[at])
            .collect();
        assert_eq!(changed.len(), 9);
        assert_eq!(shifted[shifted.len() - 8..], [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn what_is_torn_or_of_32_bits_is_refused() {
        assert!(Moof::read(chunk(0)).is_err());
        let bytes = chunk(1);
        for torn in 0..bytes.len() {
            assert!(Moof::read(bytes.slice(..torn)).is_err(), "{torn}");
        }
    }
}
