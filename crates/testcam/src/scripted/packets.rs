//! RTP packets of access units, and RTCP, byte by byte: written here once more, so that what the
//! pipeline reads is not what the same library wrote.

use std::time::Duration;

use super::reel::Content;
use crate::VideoCodec;

/// Most bytes of payload in a packet.
const MOST_PAYLOAD_BYTES: usize = 1_000;
/// From the epoch of NTP to that of Unix, s (RFC 5905 §6).
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// An RTP packet on its way to the client, and what is done to it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Which track of the description, from 0.
    pub track: usize,
    /// Number of its access unit, counted from PLAY on.
    pub unit: u64,
    /// Whether a decoder can start with its access unit.
    pub is_keyframe: bool,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
    /// RTP time, in ticks of the track's clock.
    pub time: u32,
    /// The last of its access unit.
    pub marker: bool,
    /// As in the description.
    pub payload_type: u8,
    /// What it carries.
    pub payload: Vec<u8>,
    /// It goes out after so many later packets of its track.
    pub overtaken_by: u32,
    /// Written into the connection before it, as it is.
    pub raw_before: Vec<u8>,
}

impl Packet {
    /// RFC 3550 §5.1.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, u8::from(self.marker) << 7 | self.payload_type & 0x7f];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.time.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }
}

/// The payloads of the packets of one access unit.
pub(crate) fn payloads(pieces: &[Vec<u8>], content: Content) -> Vec<Vec<u8>> {
    match content {
        Content::Video { codec, .. } => pieces
            .iter()
            .flat_map(|nal| nal_payloads(nal, codec))
            .collect(),
        // RFC 3640 §3.3.6: 16 bits say that one header of 16 bits comes: size and index.
        Content::Aac { .. } => pieces
            .iter()
            .map(|piece| {
                let header = u16::try_from(piece.len() << 3).unwrap_or(u16::MAX);
                [&[0, 16][..], &header.to_be_bytes(), piece].concat()
            })
            .collect(),
        Content::G711 { .. } => pieces.to_vec(),
    }
}

/// A NAL unit as one packet, or in fragments: RFC 6184 §5.8 and RFC 7798 §4.4.3.
fn nal_payloads(nal: &[u8], codec: VideoCodec) -> Vec<Vec<u8>> {
    if nal.len() <= MOST_PAYLOAD_BYTES {
        return vec![nal.to_vec()];
    }
    let (head, unit_type, content) = match (codec, nal) {
        (VideoCodec::H264, [head, content @ ..]) => (vec![head & 0xe0 | 28], head & 0x1f, content),
        (VideoCodec::H265, [first, second, content @ ..]) => (
            vec![first & 0x81 | 49 << 1, *second],
            first >> 1 & 0x3f,
            content,
        ),
        _ => return vec![nal.to_vec()],
    };
    let last = content.len().div_ceil(MOST_PAYLOAD_BYTES) - 1;
    let fragments = content.chunks(MOST_PAYLOAD_BYTES).enumerate();
    let fragments = fragments.map(|(index, fragment)| {
        let flags = u8::from(index == 0) << 7 | u8::from(index == last) << 6;
        [&head[..], &[flags | unit_type], fragment].concat()
    });
    fragments.collect()
}

/// A sender report (RFC 3550 §6.4.1): this RTP time was at this time since the Unix epoch.
pub(crate) fn sender_report(ssrc: u32, time: u32, at: Duration, sent: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, 200, 0, 6];
    bytes.extend(ssrc.to_be_bytes());
    let seconds = at.as_secs() + NTP_TO_UNIX_S;
    let fraction = (u64::from(at.subsec_nanos()) << 32) / 1_000_000_000;
    bytes.extend(&seconds.to_be_bytes()[4..]);
    bytes.extend(&fraction.to_be_bytes()[4..]);
    bytes.extend(time.to_be_bytes());
    bytes.extend(sent.to_be_bytes());
    bytes.extend((sent.wrapping_mul(1_000)).to_be_bytes());
    bytes
}

/// The end of a source (RFC 3550 §6.6), behind the empty report that a compound begins with.
pub(crate) fn goodbye(ssrc: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, 201, 0, 1];
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0x81, 203, 0, 1]);
    bytes.extend(ssrc.to_be_bytes());
    bytes
}

/// A packet within the RTSP connection (RFC 2326 §10.12).
pub fn interleaved(channel: u8, packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    [&[b'$', channel][..], &length.to_be_bytes(), packet].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: Content = Content::Video {
        codec: VideoCodec::H264,
        is_large: false,
    };

    #[test]
    fn long_nal_units_are_sent_in_fragments() {
        let nal: Vec<u8> = [0x65].into_iter().chain([7; 2_500]).collect();
        let sent = payloads(&[vec![0x67, 1], nal.clone()], H264);
        let heads: Vec<_> = sent
            .iter()
            .map(|payload| [payload[0], payload[1]])
            .collect();
        assert_eq!(heads, [[0x67, 1], [0x7c, 0x85], [0x7c, 0x05], [0x7c, 0x45]]);
        let content: usize = sent[1..].iter().map(|payload| payload.len() - 2).sum();
        assert_eq!(content, nal.len() - 1);
        let nal: Vec<u8> = [19 << 1, 1].into_iter().chain([7; 1_500]).collect();
        let sent = payloads(
            &[nal],
            Content::Video {
                codec: VideoCodec::H265,
                is_large: false,
            },
        );
        assert_eq!(sent[0][..3], [49 << 1, 1, 0x80 | 19]);
        assert_eq!(sent[1][..3], [49 << 1, 1, 0x40 | 19]);
    }

    #[test]
    fn sound_says_its_length() {
        let aac = Content::Aac {
            rate_hz: 48_000,
            channels: 1,
        };
        assert_eq!(payloads(&[vec![9; 3]], aac), [[0, 16, 0, 24, 9, 9, 9]]);
    }

    #[test]
    fn headers_are_those_of_the_standard() {
        let packet = Packet {
            track: 0,
            unit: 0,
            is_keyframe: true,
            ssrc: 0x0102_0304,
            sequence: 0x0506,
            time: 0x0708_090a,
            marker: true,
            payload_type: 96,
            payload: vec![11],
            overtaken_by: 0,
            raw_before: vec![],
        };
        assert_eq!(
            packet.bytes(),
            [0x80, 0xe0, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 11]
        );
        let report = sender_report(1, 2, Duration::from_millis(500), 3);
        assert_eq!(report.len(), 28);
        assert_eq!(report[8..16], [0x83, 0xaa, 0x7e, 0x80, 0x80, 0, 0, 0]);
        assert_eq!(interleaved(2, &[1]), [b'$', 2, 0, 1, 1]);
    }
}
