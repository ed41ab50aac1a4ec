//! Stills ─▶ GIF: one palette, ordered dithering, and only what has changed.
//!
//! Ordered dithering, because what stands still then looks the same in every picture: error diffusion
//! would make it crawl, and every picture would be all new. A pixel is drawn again when it differs
//! visibly from what it was when it was last drawn, so nothing creeps.

use std::borrow::Cow;

use color_quant::NeuQuant;
use gif::{AnyExtension, DisposalMethod, Encoder, Extension, Frame, Repeat};
use image::RgbImage;

use super::{GifError, stills::Stills};

/// Colours of the palette; one more index means "as before".
const COLOURS: usize = 255;
const TRANSPARENT: u8 = 255;
/// Pixels that the palette is made from.
const PALETTE_SAMPLES: usize = 50_000;
/// 1 takes every one of them, 30 every thirtieth: faster, and worse.
const PALETTE_SPEED: i32 = 3;
/// Bits of a channel by which a colour is looked up.
const LOOK_UP_BITS: u32 = 5;
/// Brightest minus darkest that dithering adds.
const DITHER_LEVELS: i32 = 18;
/// A difference in each channel that nobody sees in a moving picture.
const UNSEEN: u8 = 7;
/// Thresholds of 8 × 8 pixels, 0 to 63, each in the middle of the largest hole of those before
/// (Bayer 1973).
const BAYER: [[i32; 8]; 8] = [
    [0, 32, 8, 40, 2, 34, 10, 42],
    [48, 16, 56, 24, 50, 18, 58, 26],
    [12, 44, 4, 36, 14, 46, 6, 38],
    [60, 28, 52, 20, 62, 30, 54, 22],
    [3, 35, 11, 43, 1, 33, 9, 41],
    [51, 19, 59, 27, 49, 17, 57, 25],
    [15, 47, 7, 39, 13, 45, 5, 37],
    [63, 31, 55, 23, 61, 29, 53, 21],
];

/// The colours of a GIF, and the nearest of them to any.
pub(super) struct Palette {
    /// Red, green, blue of each.
    rgb: Vec<u8>,
    nearest: Vec<u8>,
}

/// A GIF, or how far it came.
pub(super) enum Encoded {
    Whole(Vec<u8>),
    /// It is larger than allowed: so many bytes after this share of it.
    TooLarge {
        bytes: usize,
        share: f64,
    },
}

impl Palette {
    /// The colours that show `stills` best.
    pub(super) fn of(stills: &Stills) -> Self {
        let pixels: usize = stills
            .stills
            .iter()
            .map(|still| still.image.len() / 3)
            .sum();
        let stride = (pixels / PALETTE_SAMPLES).max(1);
        let all = stills.stills.iter().flat_map(|still| still.image.pixels());
        // A stride that shares a factor with the width would look at some columns only.
        let sampled = all.step_by(stride | 1);
        let rgba: Vec<u8> = sampled
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255])
            .collect();
        let network = NeuQuant::new(PALETTE_SPEED, COLOURS, &rgba);
        let rgb = network.color_map_rgb();
        let nearest = look_up(&rgb);
        Self { rgb, nearest }
    }

    fn nearest(&self, pixel: [u8; 3], dither: i32) -> u8 {
        let index = pixel.iter().fold(0, |index, level| {
            let level = u32::from(dithered(*level, dither));
            index << LOOK_UP_BITS | (level >> (8 - LOOK_UP_BITS)) as usize
        });
        self.nearest[index]
    }
}

fn dithered(level: u8, dither: i32) -> u8 {
    u8::try_from((i32::from(level) + dither).clamp(0, 255)).unwrap_or(u8::MAX)
}

/// For every colour of [`LOOK_UP_BITS`] a channel the nearest of `rgb`, by how bright red, green and
/// blue are to the eye.
fn look_up(rgb: &[u8]) -> Vec<u8> {
    let levels = 1_i32 << LOOK_UP_BITS;
    let centre = |level: i32| (level * 255 + (levels - 1) / 2) / (levels - 1);
    let mut nearest = Vec::with_capacity(1 << (3 * LOOK_UP_BITS));
    for red in (0..levels).map(centre) {
        for green in (0..levels).map(centre) {
            for blue in (0..levels).map(centre) {
                let distance = |colour: &[u8]| {
                    let part = |at: usize, of: i32| (i32::from(colour[at]) - of).pow(2);
                    3 * part(0, red) + 6 * part(1, green) + part(2, blue)
                };
                let index = (0_u8..)
                    .zip(rgb.chunks_exact(3))
                    .min_by_key(|(_, colour)| distance(colour));
                nearest.push(index.map_or(0, |(index, _)| index));
            }
        }
    }
    nearest
}

/// Encodes `stills`; stops when there are more than `max_bytes`.
///
/// # Errors
/// A picture the format has no place for.
pub(super) fn encode(
    stills: &Stills,
    palette: &Palette,
    comment: &str,
    max_bytes: usize,
) -> Result<Encoded, GifError> {
    let failed = |error: gif::EncodingError| {
        tracing::debug!(%error, "a GIF cannot be encoded");
        GifError::Encoding
    };
    let first = &stills.stills[0].image;
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| GifError::Encoding);
    let (width, height) = (side(first.width())?, side(first.height())?);
    let mut gif = Vec::new();
    {
        let mut encoder = Encoder::new(&mut gif, width, height, &palette.rgb).map_err(failed)?;
        encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
        let comment_block = AnyExtension(Extension::Comment as u8);
        encoder
            .write_raw_extension(comment_block, &[comment.as_bytes()])
            .map_err(failed)?;
        let mut screen = Screen::new(first.len() / 3);
        // Drawn, and shown until something changes.
        let mut pending: Option<(u64, Frame<'static>)> = None;
        let count = stills.stills.len();
        for (number, still) in stills.stills.iter().enumerate() {
            let at_cs = hundredths(still.at);
            let Some(frame) = screen.draw(&still.image, palette) else {
                continue;
            };
            if let Some((since_cs, before)) = pending.replace((at_cs, frame)) {
                write(&mut encoder, before, at_cs - since_cs).map_err(failed)?;
            }
            let bytes = encoder.get_ref().len();
            if bytes > max_bytes {
                #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
                let share = number as f64 / count as f64;
                return Ok(Encoded::TooLarge { bytes, share });
            }
        }
        if let Some((since_cs, last)) = pending {
            let end_cs = hundredths(stills.duration).max(since_cs + 1);
            write(&mut encoder, last, end_cs - since_cs).map_err(failed)?;
        }
        encoder.into_inner().map_err(failed)?;
    }
    if gif.len() > max_bytes {
        let (bytes, share) = (gif.len(), 1.0);
        return Ok(Encoded::TooLarge { bytes, share });
    }
    Ok(Encoded::Whole(gif))
}

fn write(
    encoder: &mut Encoder<&mut Vec<u8>>,
    mut frame: Frame<'static>,
    delay_cs: u64,
) -> Result<(), gif::EncodingError> {
    frame.delay = u16::try_from(delay_cs).unwrap_or(u16::MAX);
    encoder.write_frame(&frame)
}

/// Hundredths of a second, which a GIF counts in. Of instants, so that roundings do not add up.
fn hundredths(at: gstreamer::ClockTime) -> u64 {
    (at.mseconds() + 5) / 10
}

/// What a viewer of the GIF sees.
struct Screen {
    /// The colours as they were when each pixel was last drawn.
    drawn: Vec<[u8; 3]>,
    /// What it was drawn with.
    indices: Vec<u8>,
    is_empty: bool,
}

impl Screen {
    fn new(pixels: usize) -> Self {
        Self {
            drawn: vec![[0; 3]; pixels],
            indices: vec![TRANSPARENT; pixels],
            is_empty: true,
        }
    }

    /// The smallest frame that turns what is seen into `image`; `None` if that is the same.
    fn draw(&mut self, image: &RgbImage, palette: &Palette) -> Option<Frame<'static>> {
        let width = image.width() as usize;
        let mut changes = vec![TRANSPARENT; self.drawn.len()];
        let (mut left, mut right, mut top, mut bottom) = (usize::MAX, 0, usize::MAX, 0);
        for (at, pixel) in image.pixels().enumerate() {
            let drawn = &mut self.drawn[at];
            let apart = pixel
                .0
                .iter()
                .zip(&*drawn)
                .map(|(new, old)| new.abs_diff(*old));
            if !self.is_empty && apart.max() <= Some(UNSEEN) {
                continue;
            }
            *drawn = pixel.0;
            let (x, y) = (at % width, at / width);
            let dither = (BAYER[y % 8][x % 8] * 2 - 63) * DITHER_LEVELS / 128;
            let index = palette.nearest(pixel.0, dither);
            if self.indices[at] == index {
                continue;
            }
            self.indices[at] = index;
            changes[at] = index;
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
        }
        self.is_empty = false;
        if left > right {
            return None;
        }
        let rows = changes.chunks(width).skip(top).take(bottom - top + 1);
        let buffer: Vec<u8> = rows.flat_map(|row| &row[left..=right]).copied().collect();
        let pixels = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        Some(Frame {
            dispose: DisposalMethod::Keep,
            transparent: Some(TRANSPARENT),
            left: pixels(left),
            top: pixels(top),
            width: pixels(right - left + 1),
            height: pixels(bottom - top + 1),
            buffer: Cow::Owned(buffer),
            ..Frame::default()
        })
    }
}
