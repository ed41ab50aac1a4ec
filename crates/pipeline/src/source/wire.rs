//! The bytes of an RTSP connection, cut into messages and interleaved packets (RFC 2326 §10.12).
//!
//! The standard allows nothing between them. Some cameras put packets on channels that nobody set up,
//! and bytes of a buffer that overflowed: what cannot be read is skipped up to the next thing that
//! can, and counted.

use super::message::{CameraRequest, Head, NoMessage, Response};

/// Takes two or three pictures of a camera. Longer messages let it grow.
const BUFFER_BYTES: usize = 64 << 10;
/// Header of an interleaved packet: `$`, channel, length.
const FRAME_HEAD_BYTES: usize = 4;
/// So many unreadable bytes in a row are no accident.
const MOST_SKIPPED_BYTES: usize = 1 << 20;
/// Version 2 in the first two bits of RTP and RTCP, RFC 3550 §5.1.
const RTP_VERSION_2: u8 = 0b10;

/// What stands in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Response(Response),
    Request(CameraRequest),
    /// A packet of the track that has this channel.
    Packet {
        channel: u8,
        bytes: &'a [u8],
    },
}

/// The buffer between the socket and what reads it. Used by the thread of its camera.
#[derive(Debug)]
pub(crate) struct Wire {
    buffer: Vec<u8>,
    /// What is in use of `buffer`.
    from: usize,
    to: usize,
    /// Channels below have been set up.
    channels: u8,
    /// Whether an RTSP message has come yet. Before, nothing is skipped: it may be another protocol.
    speaks_rtsp: bool,
    /// Unreadable bytes since the last thing that could be read.
    skipping_bytes: usize,
    skipped_bytes: u64,
}

/// Where the next thing ends in the buffer.
enum Found {
    Message(Head, usize),
    Packet(u8, usize),
    /// As many bytes are no packet for anybody.
    Stray(usize),
    /// More bytes are needed.
    Nothing,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES],
            from: 0,
            to: 0,
            channels: 0,
            speaks_rtsp: false,
            skipping_bytes: 0,
            skipped_bytes: 0,
        }
    }

    /// Packets on channels below `channels` are wanted.
    pub(crate) fn expect_channels(&mut self, channels: u8) {
        self.channels = channels;
    }

    /// Bytes skipped because they could not be read.
    pub(crate) fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes
    }

    /// Where the next bytes go. Not empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.from > 0 && (self.from == self.to || self.to == self.buffer.len()) {
            self.buffer.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        if self.to == self.buffer.len() {
            // Bounded: no message or packet is longer than its limits.
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        self.buffer.get_mut(self.to..).unwrap_or_default()
    }

    /// So many bytes were put into [`Wire::space`].
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.to = (self.to + bytes).min(self.buffer.len());
    }

    /// The next thing in the buffer; `None`: more bytes are needed.
    ///
    /// # Errors
    /// This is not RTSP.
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>, NoMessage> {
        loop {
            let ready = self.buffer.get(self.from..self.to).unwrap_or_default();
            match find(ready, self.channels) {
                Ok(Found::Nothing) => return Ok(None),
                Ok(Found::Stray(length)) => self.take(length),
                Ok(Found::Packet(channel, length)) => {
                    self.take(length);
                    let from = self.from - length + FRAME_HEAD_BYTES;
                    let bytes = self.buffer.get(from..self.from).unwrap_or_default();
                    return Ok(Some(Item::Packet { channel, bytes }));
                }
                Ok(Found::Message(head, length)) => {
                    let body = head.body_bytes()?;
                    self.speaks_rtsp = true;
                    self.take(length);
                    return Ok(Some(match head {
                        Head::Request(request) => Item::Request(request),
                        Head::Response(mut response) => {
                            let body = self.buffer.get(self.from - body..self.from);
                            response.body = body.unwrap_or_default().to_vec();
                            Item::Response(response)
                        }
                    }));
                }
                Err(NoMessage) => self.skip()?,
            }
        }
    }

    fn take(&mut self, length: usize) {
        self.from += length;
        self.skipping_bytes = 0;
    }

    /// Leaves out bytes up to the next that something may begin with.
    fn skip(&mut self) -> Result<(), NoMessage> {
        let ready = self.buffer.get(self.from..self.to).unwrap_or_default();
        let next = ready
            .iter()
            .skip(1)
            .position(|byte| matches!(byte, b'$' | b'R'));
        let length = next.map_or(ready.len(), |next| next + 1);
        self.from += length;
        self.skipping_bytes += length;
        self.skipped_bytes += length as u64;
        if self.speaks_rtsp && self.skipping_bytes <= MOST_SKIPPED_BYTES {
            Ok(())
        } else {
            Err(NoMessage)
        }
    }
}

/// What stands at the beginning of `bytes`.
fn find(bytes: &[u8], channels: u8) -> Result<Found, NoMessage> {
    match bytes {
        [] => Ok(Found::Nothing),
        [b'$', frame @ ..] => {
            let [channel, high, low, content @ ..] = frame else {
                return Ok(Found::Nothing);
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if *channel < channels {
                return match content.first() {
                    // No packet, or bytes that only look like a beginning.
                    Some(first) if length > 0 && first >> 6 != RTP_VERSION_2 => Err(NoMessage),
                    _ if content.len() < length => Ok(Found::Nothing),
                    _ => Ok(Found::Packet(*channel, FRAME_HEAD_BYTES + length)),
                };
            }
            // Nobody set it up. It is a packet if something begins behind it.
            match content.get(length) {
                None => Ok(Found::Nothing),
                Some(b'$' | b'A'..=b'Z') => Ok(Found::Stray(FRAME_HEAD_BYTES + length)),
                Some(_) => Err(NoMessage),
            }
        }
        // The lines that some put between messages.
        [b'\r' | b'\n', ..] => Ok(Found::Stray(1)),
        [b'A'..=b'Z' | b'a'..=b'z', ..] => match Head::parse(bytes)? {
            None if is_message(bytes) => Ok(Found::Nothing),
            None => Err(NoMessage),
            Some((head, length)) => {
                let length = length + head.body_bytes()?;
                match bytes.len() < length {
                    true => Ok(Found::Nothing),
                    false => Ok(Found::Message(head, length)),
                }
            }
        },
        _ => Err(NoMessage),
    }
}

/// Whether the incomplete `bytes` may be the beginning of a message: text, and with its version where
/// its first line is complete.
fn is_message(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let is_text = line
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r'));
    let has_version = || {
        let words = line.windows(5);
        words
            .into_iter()
            .any(|word| word.eq_ignore_ascii_case(b"RTSP/"))
    };
    is_text && (line.len() == bytes.len() || has_version())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bytes` hold, fed in pieces of `piece` bytes.
    fn items(wire: &mut Wire, bytes: &[u8], piece: usize) -> Result<Vec<String>, NoMessage> {
        let mut items = vec![];
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let space = wire.space();
                let length = piece.len().min(space.len());
                let (now, later) = piece.split_at(length);
                space[..length].copy_from_slice(now);
                piece = later;
                wire.filled(length);
                while let Some(item) = wire.next()? {
                    items.push(match item {
                        Item::Packet { channel, bytes } => format!("{channel}:{}", bytes.len()),
                        Item::Response(r) => format!("{} {}", r.status, r.body.len()),
                        Item::Request(request) => request.method,
                    });
                }
            }
        }
        Ok(items)
    }

    fn packet(channel: u8, length: u16) -> Vec<u8> {
        let mut bytes = vec![b'$', channel];
        bytes.extend(length.to_be_bytes());
        bytes.extend(vec![0x80; length.into()]);
        bytes
    }

    const ANSWER: &[u8] = b"RTSP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nv=0";

    fn speaking() -> Wire {
        let mut wire = Wire::new();
        wire.expect_channels(4);
        wire
    }

    #[test]
    fn messages_and_packets_come_in_order_however_they_are_cut() {
        let stream = [
            ANSWER,
            &packet(0, 1400),
            b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            &packet(3, 8),
            &packet(2, 65_535),
            ANSWER,
        ]
        .concat();
        for piece in [1, 3, 1000, 1 << 20] {
            let items = items(&mut speaking(), &stream, piece).unwrap();
            let expected = [
                "200 3",
                "0:1400",
                "GET_PARAMETER",
                "3:8",
                "2:65535",
                "200 3",
            ];
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn packets_of_other_channels_and_garbage_are_left_out() {
        let stream = [
            ANSWER,
            &packet(9, 100),
            &packet(0, 10),
            b"\x00\x01garbage R $\x00\x00\x10 and more $",
            &packet(0, 20),
            b"\r\n",
            ANSWER,
        ]
        .concat();
        for piece in [1, 7, 1 << 20] {
            let mut wire = speaking();
            let items = items(&mut wire, &stream, piece).unwrap();
            assert_eq!(items, ["200 3", "0:10", "0:20", "200 3"], "{piece}");
            assert_eq!(wire.skipped_bytes(), 27, "{piece}");
        }
    }

    #[test]
    fn what_never_spoke_rtsp_is_something_else() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"\x16\x03\x01",
            b"SSH-2.0-x\r\n",
        ] {
            assert_eq!(items(&mut Wire::new(), bytes, 100), Err(NoMessage));
        }
    }

    #[test]
    fn endless_garbage_ends() {
        let mut wire = speaking();
        items(&mut wire, ANSWER, 100).unwrap();
        assert_eq!(
            items(&mut wire, &vec![7; MOST_SKIPPED_BYTES + 1], 5000),
            Err(NoMessage)
        );
    }
}
