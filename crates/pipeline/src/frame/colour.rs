//! The camera's colours ─▶ those of JFIF or of BT.709, on 4:2:0 planes.
//!
//! GStreamer's converter (1.22) is not used for this: between pictures of one format it ignores
//! that the range differs when the matrix is the same, and its 8-bit matrix is off by up to 4 levels.

use gst_video::{VideoColorMatrix, VideoColorRange};
use gstreamer_video as gst_video;

/// Fraction bits of the coefficients.
const BITS: u32 = 14;
const HALF: i32 = 1 << (BITS - 1);
/// Chroma of grey.
const GREY: i32 = 128;

/// One plane: its bytes, and the distance between its rows in bytes.
pub(super) struct Plane<T> {
    pub(super) data: T,
    pub(super) stride: usize,
}

/// Turns Y, Cb, Cr of a camera into those that a file promises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recolour {
    /// Luma that means black.
    black: i32,
    /// And that shall mean it.
    new_black: i32,
    /// Luma from luma, Cb and Cr. Fixed point, like the others.
    luma: [i32; 3],
    /// Cb from Cb and Cr.
    cb: [i32; 2],
    /// Cr from Cb and Cr.
    cr: [i32; 2],
}

/// What Y, Cb, Cr mean.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Space {
    /// Weights of red and blue in luma.
    red: f64,
    blue: f64,
    /// Whether black is 0 and white 255, instead of 16 and 235.
    is_full: bool,
}

impl Space {
    /// ITU-T T.871 §7.
    const JFIF: Self = Self {
        red: 0.299,
        blue: 0.114,
        is_full: true,
    };
    /// BT.709-6 §3.
    const BT709: Self = Self {
        red: 0.2126,
        blue: 0.0722,
        is_full: false,
    };

    /// Of pictures of `colours`; what they leave open is BT.709, limited range.
    fn of(colours: gst_video::VideoColorimetry) -> Self {
        // BT.601-7 §2.5.1, BT.2020-2 table 4, SMPTE 240M, FCC 73.682.
        let (red, blue) = match colours.matrix() {
            VideoColorMatrix::Bt601 => (0.299, 0.114),
            VideoColorMatrix::Bt2020 => (0.2627, 0.0593),
            VideoColorMatrix::Smpte240m => (0.212, 0.087),
            VideoColorMatrix::Fcc => (0.30, 0.11),
            _ => (Self::BT709.red, Self::BT709.blue),
        };
        Self {
            red,
            blue,
            is_full: colours.range() == VideoColorRange::Range0_255,
        }
    }

    /// Luma of black; levels of luma and of chroma from end to end.
    const fn levels(self) -> (i32, f64, f64) {
        if self.is_full {
            (0, 255.0, 255.0)
        } else {
            (16, 219.0, 224.0)
        }
    }
}

impl Recolour {
    /// To those of JFIF, from pictures of `colours`. A file in other colours would be shown in wrong
    /// ones.
    pub(super) fn to_jfif(colours: gst_video::VideoColorimetry) -> Self {
        Self::between(Space::of(colours), Space::JFIF)
    }

    /// To those of BT.709 in limited range; `None` if pictures of `colours` have them.
    pub(crate) fn to_bt709(colours: gst_video::VideoColorimetry) -> Option<Self> {
        let from = Space::of(colours);
        (from != Space::BT709).then(|| Self::between(from, Space::BT709))
    }

    fn between(from: Space, to: Space) -> Self {
        let Space { red, blue, .. } = from;
        let (black, luma_levels, chroma_levels) = from.levels();
        let (new_black, new_luma_levels, new_chroma_levels) = to.levels();
        let green = 1.0 - red - blue;
        // R'G'B' minus Y' of a unit of Cb and of Cr.
        let of_cb = [0.0, -2.0 * blue * (1.0 - blue) / green, 2.0 * (1.0 - blue)];
        let of_cr = [2.0 * (1.0 - red), -2.0 * red * (1.0 - red) / green, 0.0];
        // What the new space makes of such R'G'B' differences.
        let new = |[r, g, b]: [f64; 3]| {
            let luma = to.red * r + (1.0 - to.red - to.blue) * g + to.blue * b;
            [
                luma * new_luma_levels,
                (b - luma) / (2.0 * (1.0 - to.blue)) * new_chroma_levels,
                (r - luma) / (2.0 * (1.0 - to.red)) * new_chroma_levels,
            ]
            .map(|part| part / chroma_levels)
        };
        let ([cb_y, cb_cb, cb_cr], [cr_y, cr_cb, cr_cr]) = (new(of_cb), new(of_cr));
        Self {
            black,
            new_black,
            luma: [new_luma_levels / luma_levels, cb_y, cr_y].map(fixed),
            cb: [cb_cb, cr_cb].map(fixed),
            cr: [cb_cr, cr_cr].map(fixed),
        }
    }

    /// Converts a picture of `width` pixels a row. Planes are Y, Cb, Cr; each holds as many whole
    /// rows in `into` as in `from`.
    pub(super) fn convert(
        &self,
        width: usize,
        from: &[Plane<&[u8]>; 3],
        into: &mut [Plane<&mut [u8]>; 3],
    ) {
        let [from_y, from_cb, from_cr] = from;
        let [into_y, into_cb, into_cr] = into;
        // Of every luma column: what its chroma sample and the black level do to it.
        let mut shifts = vec![0_i32; 2 * width.div_ceil(2)];
        let chroma_in = from_cb
            .data
            .chunks(from_cb.stride)
            .zip(from_cr.data.chunks(from_cr.stride));
        let chroma_out = into_cb
            .data
            .chunks_mut(into_cb.stride)
            .zip(into_cr.data.chunks_mut(into_cr.stride));
        let luma_in = from_y.data.chunks(2 * from_y.stride);
        let luma_out = into_y.data.chunks_mut(2 * into_y.stride);
        for ((chroma, chroma_out), (luma, luma_out)) in
            chroma_in.zip(chroma_out).zip(luma_in.zip(luma_out))
        {
            self.convert_chroma_row(chroma, chroma_out, &mut shifts);
            let rows = luma.chunks(from_y.stride);
            for (luma, out) in rows.zip(luma_out.chunks_mut(into_y.stride)) {
                for ((out, &luma), &shift) in out.iter_mut().zip(luma).zip(&shifts[..width]) {
                    *out = sample(sum(self.luma[0], luma.into(), shift) >> BITS);
                }
            }
        }
    }

    fn convert_chroma_row(
        &self,
        (cb, cr): (&[u8], &[u8]),
        (out_cb, out_cr): (&mut [u8], &mut [u8]),
        shifts: &mut [i32],
    ) {
        let black = HALF - self.luma[0] * self.black + (self.new_black << BITS);
        let inputs = cb.iter().zip(cr);
        let outputs = out_cb.iter_mut().zip(out_cr);
        for (((&cb, &cr), (out_cb, out_cr)), shifts) in
            inputs.zip(outputs).zip(shifts.chunks_exact_mut(2))
        {
            let (cb, cr) = (i32::from(cb) - GREY, i32::from(cr) - GREY);
            let of = |[of_cb, of_cr]: [i32; 2], rest| sum(of_cb, cb, sum(of_cr, cr, rest));
            shifts.fill(of([self.luma[1], self.luma[2]], black));
            *out_cb = sample((of(self.cb, HALF) >> BITS) + GREY);
            *out_cr = sample((of(self.cr, HALF) >> BITS) + GREY);
        }
    }
}

/// `factor` × `value` + `rest`. Coefficients below 4 times samples below 256 stay far below 2³¹; a
/// check at every sample would cost the loops their vector instructions, and six times the time.
const fn sum(factor: i32, value: i32, rest: i32) -> i32 {
    factor.wrapping_mul(value).wrapping_add(rest)
}

/// A coefficient in fixed point.
#[allow(
    clippy::cast_possible_truncation,
    reason = "coefficients lie between -3 and 3"
)]
fn fixed(value: f64) -> i32 {
    (value * f64::from(1 << BITS)).round() as i32
}

/// To the nearest value a sample can have.
fn sample(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definitions: Y'CbCr ─▶ R'G'B' ─▶ JFIF, in floating point.
    fn expected([y, cb, cr]: [u8; 3], red: f64, blue: f64, full: bool) -> [f64; 3] {
        let (black, luma, chroma) = if full {
            (0.0, 255.0, 255.0)
        } else {
            (16.0, 219.0, 224.0)
        };
        let y = (f64::from(y) - black) / luma;
        let (cb, cr) = (
            (f64::from(cb) - 128.0) / chroma,
            (f64::from(cr) - 128.0) / chroma,
        );
        let r = y + 2.0 * (1.0 - red) * cr;
        let b = y + 2.0 * (1.0 - blue) * cb;
        let g = (y - red * r - blue * b) / (1.0 - red - blue);
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        let chroma = |difference: f64| difference * 255.0 + 128.0;
        [
            luma * 255.0,
            chroma((b - luma) / 1.772),
            chroma((r - luma) / 1.402),
        ]
    }

    fn convert_one(colours: &str, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        gstreamer::init().unwrap();
        let mut out = ([0; 1], [0; 1], [0; 1]);
        Recolour::to_jfif(colours.parse().unwrap()).convert(
            1,
            &[&[y][..], &[cb][..], &[cr][..]].map(|data| Plane { data, stride: 1 }),
            &mut [&mut out.0[..], &mut out.1[..], &mut out.2[..]]
                .map(|data| Plane { data, stride: 1 }),
        );
        [out.0[0], out.1[0], out.2[0]]
    }

    #[test]
    fn every_matrix_and_range_becomes_jfif() {
        for (colours, red, blue, full) in [
            ("bt709", 0.2126, 0.0722, false),
            ("bt601", 0.299, 0.114, false),
            ("bt2020", 0.2627, 0.0593, false),
            ("smpte240m", 0.212, 0.087, false),
            ("1:3:5:1", 0.2126, 0.0722, true),
            ("1:4:0:0", 0.299, 0.114, true),
        ] {
            for sample in [
                [16, 128, 128],
                [235, 128, 128],
                [100, 110, 170],
                [200, 108, 148],
                [60, 150, 110],
            ] {
                let got = convert_one(colours, sample);
                let expected = expected(sample, red, blue, full);
                for (got, expected) in got.iter().zip(expected) {
                    let off = (f64::from(*got) - expected).abs();
                    assert!(off <= 0.6, "{colours} {sample:?}: {got} for {expected:.2}");
                }
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_clamped() {
        assert_eq!(convert_one("bt709", [0, 128, 128]), [0, 128, 128]);
        assert_eq!(convert_one("bt709", [255, 0, 255])[0], 255);
    }

    #[test]
    fn odd_sizes_and_padded_rows_are_converted_whole() {
        gstreamer::init().unwrap();
        // 5 × 3 pixels in rows of 8, full-range BT.601: nothing changes, and nothing is added.
        let luma: Vec<u8> = (0..24).map(|i| 10 * (i % 8) + i / 8).collect();
        let chroma: Vec<u8> = (100..108).collect();
        let mut out = (vec![255; 15], vec![255; 6], vec![255; 6]);
        Recolour::to_jfif("1:4:0:0".parse().unwrap()).convert(
            5,
            &[(&luma[..], 8), (&chroma[..], 4), (&chroma[..], 4)]
                .map(|(data, stride)| Plane { data, stride }),
            &mut [
                (&mut out.0[..], 5),
                (&mut out.1[..], 3),
                (&mut out.2[..], 3),
            ]
            .map(|(data, stride)| Plane { data, stride }),
        );
        let rows: Vec<u8> = luma.chunks(8).flat_map(|row| &row[..5]).copied().collect();
        assert_eq!(out.0, rows);
        assert_eq!(out.1, [100, 101, 102, 104, 105, 106]);
        assert_eq!(out.2, out.1);
    }
}
