//! The headers of AAC in RTP (RFC 3640 §3.2.1), looked at before GStreamer's depayloader reads them:
//! that of 1.22 ends the process at an access unit of no bytes.

use gstreamer as gst;

/// How the headers of a track's access units are built: bits of their fields, from its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuHeaders {
    size: u32,
    index: u32,
    index_delta: u32,
    /// Behind a flag that says whether they are there.
    time_deltas: [u32; 2],
    /// A flag, and the state of the stream.
    rest: u32,
    /// Of the field that says how long auxiliary data between headers and access units are.
    auxiliary: u32,
}

impl AuHeaders {
    /// Those of a track with these caps; `None` if it has no such headers.
    pub(crate) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let fields = caps.structure(0)?;
        if fields.get::<&str>("encoding-name") != Ok("MPEG4-GENERIC") {
            return None;
        }
        let bits = |name: &str| {
            let text = fields.get::<&str>(name).ok();
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let headers = Self {
            size: bits("sizelength"),
            index: bits("indexlength"),
            index_delta: bits("indexdeltalength"),
            time_deltas: [bits("ctsdeltalength"), bits("dtsdeltalength")],
            rest: bits("streamstateindication") + u32::from(bits("randomaccessindication") > 0),
            auxiliary: bits("auxiliarydatasizelength"),
        };
        (headers.size > 0).then_some(headers)
    }

    /// Whether each access unit that the headers of a packet tell of begins within it and has bytes.
    pub(crate) fn admit(&self, payload: &[u8]) -> bool {
        let Some((length, rest)) = payload.split_first_chunk() else {
            return false;
        };
        let length_bits = u16::from_be_bytes(*length);
        let head_bytes = usize::from(length_bits).div_ceil(8);
        let Some((head, mut data)) = rest.split_at_checked(head_bytes) else {
            return false;
        };
        if self.auxiliary > 0 {
            let length_bits = Bits(data, 0).read(self.auxiliary);
            let bytes = length_bits.map(|length| (self.auxiliary + length).div_ceil(8));
            let skipped = bytes.and_then(|bytes| data.get(usize::try_from(bytes).ok()?..));
            let Some(rest) = skipped else { return false };
            data = rest;
        }
        self.sizes(&mut Bits(head, 0), length_bits.into())
            .is_some_and(|sizes| {
                let mut begins = 0;
                !sizes.is_empty()
                    && sizes.into_iter().all(|size| {
                        let is_within = size > 0 && begins < data.len();
                        begins += size;
                        is_within
                    })
            })
    }

    /// Bytes of the access units; `None` if a header is cut off.
    fn sizes(&self, head: &mut Bits<'_>, length_bits: usize) -> Option<Vec<usize>> {
        let all_bits = head.left();
        let mut sizes = vec![];
        while all_bits - head.left() < length_bits {
            sizes.push(usize::try_from(head.read(self.size)?).ok()?);
            head.read(match sizes.len() {
                1 => self.index,
                _ => self.index_delta,
            })?;
            for delta in self.time_deltas.into_iter().filter(|bits| *bits > 0) {
                if head.read(1)? == 1 {
                    head.read(delta)?;
                }
            }
            head.read(self.rest)?;
        }
        Some(sizes)
    }
}

/// Bytes, and how many of their bits have been read, from the highest of the first on.
struct Bits<'a>(&'a [u8], usize);

impl Bits<'_> {
    fn left(&self) -> usize {
        8 * self.0.len() - self.1
    }

    /// The next so many as a number; `None` if there are less, or more than 32.
    fn read(&mut self, count: u32) -> Option<u32> {
        if count > 32 || usize::try_from(count).ok()? > self.left() {
            return None;
        }
        let mut number = 0;
        for _ in 0..count {
            let bit = self.0[self.1 / 8] >> (7 - self.1 % 8) & 1;
            number = number << 1 | u32::from(bit);
            self.1 += 1;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &str) -> Option<AuHeaders> {
        gst::init().unwrap();
        let caps = format!(
            "application/x-rtp,media=audio,clock-rate=16000,encoding-name=MPEG4-GENERIC{fields}"
        );
        AuHeaders::of(&caps.parse::<gst::Caps>().unwrap())
    }

    #[test]
    fn access_units_of_no_bytes_and_outside_of_the_packet_are_refused() {
        let usual = ",sizelength=(string)13,indexlength=(string)3,indexdeltalength=(string)3";
        let headers = headers(usual).unwrap();
        let is_admitted = |payload: &[u8]| headers.admit(payload);
        assert!(is_admitted(&[0, 16, 0, 3 << 3, 1, 2, 3]));
        assert!(is_admitted(&[0, 32, 0, 1 << 3, 0, 2 << 3, 1, 2, 3]));
        // A fragment is shorter than its access unit (RFC 3640 §3.1).
        assert!(is_admitted(&[0, 16, 1, 0, 1, 2, 3]));
        assert!(!is_admitted(&[0, 16, 0, 1, 1, 2, 3]), "no bytes");
        assert!(!is_admitted(&[0, 16, 0, 3 << 3]), "nothing behind");
        assert!(!is_admitted(&[0, 32, 0, 3 << 3, 0, 8, 1, 2, 3]), "outside");
        assert!(!is_admitted(&[0, 0, 1, 2, 3]), "none");
        for short in [&[][..], &[0], &[0, 16], &[0, 16, 0], &[0xff; 40]] {
            assert!(!is_admitted(short), "{short:?}");
        }
    }

    #[test]
    fn headers_have_the_fields_that_the_description_says() {
        let low = headers(",sizelength=(string)6,indexlength=(string)2,indexdeltalength=(string)2");
        assert!(low.unwrap().admit(&[0, 16, 1 << 2, 2 << 2, 1, 2, 3]));
        let timed =
            ",sizelength=(string)16,ctsdeltalength=(string)7,auxiliarydatasizelength=(string)8";
        let timed = headers(timed).unwrap();
        // A flag and a time; 8 bits of auxiliary data.
        assert!(timed.admit(&[0, 24, 0, 2, 0x81, 8, 0, 1, 2]));
        assert!(!timed.admit(&[0, 24, 0, 2, 0x81, 8, 0]));
        assert_eq!(headers(""), None);
        let endless = headers(",sizelength=(string)99").unwrap();
        assert!(!endless.admit(&[0xff; 99]));
    }
}
