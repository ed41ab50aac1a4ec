//! Start codes (ITU-T H.264 and H.265, annex B) within RTP packets, which have none (RFC 6184 §5.6,
//! RFC 7798 §4.4.1): some cameras send what their encoder gave them, one NAL unit or several. Players
//! put another start code before it and go on; GStreamer's depayloader drops it as a NAL unit of no
//! type.

use gstreamer as gst;

/// Of tracks in which start codes are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartCodes {
    H264,
    H265,
}

impl StartCodes {
    /// For a track with these caps; `None` if it is neither H.264 nor H.265.
    pub(crate) fn of(caps: &gst::CapsRef) -> Option<Self> {
        match caps.structure(0)?.get("encoding-name") {
            Ok("H264") => Some(Self::H264),
            Ok("H265") => Some(Self::H265),
            _ => None,
        }
    }

    /// `payload` without start codes, as an aggregation of its NAL units (RFC 6184 §5.7.1, RFC 7798
    /// §4.4.2). `None` if it does not begin with one, as no payload should.
    pub(crate) fn removed(self, payload: &[u8]) -> Option<Vec<u8>> {
        // No NAL unit begins so: its type would be 0, or its temporal id -1.
        if !payload.starts_with(&[0, 0, 1]) && !payload.starts_with(&[0, 0, 0, 1]) {
            return None;
        }
        let units = units(payload);
        let mut aggregation = match (self, *units.first()?) {
            // The highest importance of its units is enough for all.
            (Self::H264, _) => vec![3 << 5 | 24],
            (Self::H265, [first, second, ..]) => vec![first & 0x81 | 48 << 1, *second],
            (Self::H265, _) => return None,
        };
        for unit in units {
            let length = u16::try_from(unit.len()).ok()?;
            aggregation.extend(length.to_be_bytes());
            aggregation.extend(unit);
        }
        Some(aggregation)
    }
}

/// What is between start codes, without the zeros before the next: a NAL unit ends with another byte.
fn units(mut stream: &[u8]) -> Vec<&[u8]> {
    const CODE: [u8; 3] = [0, 0, 1];
    let mut units = vec![];
    loop {
        let code = stream.windows(CODE.len()).position(|bytes| bytes == CODE);
        let mut unit = &stream[..code.unwrap_or(stream.len())];
        while let [before @ .., 0] = unit {
            unit = before;
        }
        if !unit.is_empty() {
            units.push(unit);
        }
        let Some(code) = code else { return units };
        stream = &stream[code + CODE.len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_between_start_codes_are_aggregated() {
        let sent = [
            &[0, 0, 0, 1, 0x67, 1, 2, 0][..],
            &[0, 0, 1, 0x68, 3],
            &[0, 0, 1, 0x65, 0, 0, 2],
        ];
        let removed = StartCodes::H264.removed(&sent.concat());
        let due = [
            &[0x78][..],
            &[0, 3, 0x67, 1, 2],
            &[0, 2, 0x68, 3],
            &[0, 4, 0x65, 0, 0, 2],
        ];
        assert_eq!(removed, Some(due.concat()));
        let removed = StartCodes::H265.removed(&[0, 0, 0, 1, 0x40, 1, 12]);
        assert_eq!(removed, Some(vec![0x60, 1, 0, 3, 0x40, 1, 12]));
    }

    #[test]
    fn what_begins_otherwise_stays() {
        for payload in [
            &[][..],
            &[0],
            &[0, 0],
            &[0, 0, 1],
            &[0, 0, 0, 1],
            &[0, 0, 0, 1, 0],
        ] {
            assert_eq!(StartCodes::H264.removed(payload), None, "{payload:?}");
        }
        for payload in [
            &[0x65, 0, 0, 1, 2][..],
            &[0x7c, 0x85, 0, 0, 1],
            &[0, 0, 2, 1],
        ] {
            assert_eq!(StartCodes::H264.removed(payload), None, "{payload:?}");
        }
        assert_eq!(StartCodes::H265.removed(&[0, 0, 1, 0x40]), None);
    }
}
