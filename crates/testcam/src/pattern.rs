//! The machine-readable pattern: which picture this is and when it was made, in black and white
//! cells along the top edge, so that anything that shows the picture can be asked.
//!
//! # Layout
//! All measures are fractions of the whole picture, so the pattern is read the same way at any
//! size, after any (even uneven) scaling, from video or from a screenshot of a `<video>` element.
//!
//! - The pattern fills the full width and the upper [`HEIGHT`] (3/20) of the height.
//! - It has [`ROWS`] = 3 rows of [`COLUMNS`] = 34 cells. Cell (row `r`, column `c`), counted from
//!   the upper left, spans x from `c/34` to `(c+1)/34` of the width and y from `r/20` to
//!   `(r+1)/20` of the height. Its centre is `((c+0.5)/34, (r+0.5)/20)`.
//! - A white cell is a 1, a black cell a 0. Chroma is neutral.
//! - Column 0 is the left sync column: white, black, white. Column 33 is the right one: black,
//!   white, black. White and black levels are taken from these six cells; the threshold lies
//!   halfway between the darkest white and the brightest black.
//! - Columns 1 to 32 of each row are 32 bits, the most significant on the left:
//!
//! | row | bits |
//! | --- | --- |
//! | 0 | frame number, 32 bits |
//! | 1 | wall time, the upper 32 of 48 bits |
//! | 2 | wall time, the lower 16 bits, then CRC-16 |
//!
//! The wall time is in milliseconds since the Unix epoch, taken when the picture was made. The
//! CRC is CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF, no reflection, no final XOR; its
//! check value for `123456789` is 0x29B1) over the ten bytes of frame number and wall time, big
//! endian.
//!
//! A reader averages the middle of each cell (half its width, half its height), compares it with
//! the threshold and checks the sync cells and the CRC.

use serde::Serialize;

/// Rows of cells.
pub const ROWS: u32 = 3;
/// Cells in a row, the two sync cells included.
pub const COLUMNS: u32 = 34;
/// Share of the picture's height that the pattern fills: numerator and denominator.
pub const HEIGHT: (u32, u32) = (ROWS, ROW_UNITS);
/// Smallest picture that can carry the pattern, in pixels: width and height.
pub const MIN_SIZE: (u32, u32) = (136, 72);

/// A row is one twentieth of the picture's height.
const ROW_UNITS: u32 = 20;
/// White and black of limited-range luma.
const WHITE: u8 = 235;
const BLACK: u8 = 16;
/// Least difference between white and black that counts as a pattern at all.
const MIN_CONTRAST: u32 = 40;
const WALL_BITS: u32 = 48;

/// What a picture says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PatternReading {
    /// Number of the picture, from 0 when the camera was created.
    pub frame_number: u32,
    /// When the picture was made, milliseconds since the Unix epoch; 48 bits.
    pub wall_ms: u64,
}

impl PatternReading {
    /// The three rows of 32 bits.
    fn rows(self) -> [u32; 3] {
        let wall = self.wall_ms & ((1 << WALL_BITS) - 1);
        let (upper, lower) = (low_32(wall >> 16), low_32(wall & 0xffff));
        let crc = u32::from(crc16(&bytes_of(self.frame_number, wall)));
        [self.frame_number, upper, lower << 16 | crc]
    }

    fn from_rows([frame_number, upper, lower]: [u32; 3]) -> Option<Self> {
        let wall_ms = u64::from(upper) << 16 | u64::from(lower >> 16);
        let crc = u32::from(crc16(&bytes_of(frame_number, wall_ms)));
        (lower & 0xffff == crc).then_some(Self {
            frame_number,
            wall_ms,
        })
    }
}

/// Draws `reading` into the top of a luma plane of `width` × `height` bytes, rows `stride` bytes
/// apart. The caller makes the chroma above 128.
///
/// # Panics
/// If `luma` is smaller than the plane it is said to hold.
pub fn write(reading: PatternReading, luma: &mut [u8], width: u32, height: u32, stride: usize) {
    let rows = reading.rows();
    for row in 0..ROWS {
        let mut line = vec![BLACK; index(width)];
        for column in 0..COLUMNS {
            if cell(&rows, row, column) {
                let from = index(column * width / COLUMNS);
                let to = index((column + 1) * width / COLUMNS);
                line[from..to].fill(WHITE);
            }
        }
        for y in row * height / ROW_UNITS..(row + 1) * height / ROW_UNITS {
            let start = index(y) * stride;
            luma[start..start + line.len()].copy_from_slice(&line);
        }
    }
}

/// Reads the pattern from a luma plane (limited or full range) of `width` × `height` bytes, rows
/// `stride` bytes apart. `None`: no pattern, or too damaged to trust.
pub fn read(luma: &[u8], width: u32, height: u32, stride: usize) -> Option<PatternReading> {
    read_with(width, height, |x, y| {
        luma.get(index(y) * stride + index(x)).copied()
    })
}

/// Reads the pattern from packed RGB (`bytes_per_pixel` 3) or RGBA/RGBx (4) pixels, rows `stride`
/// bytes apart, as a decoded PNG screenshot has them. `None`: no pattern, or too damaged to trust.
pub fn read_rgb(
    pixels: &[u8],
    width: u32,
    height: u32,
    stride: usize,
    bytes_per_pixel: usize,
) -> Option<PatternReading> {
    read_with(width, height, |x, y| {
        // Green carries most of the luma, and the cells are grey anyway.
        pixels
            .get(index(y) * stride + index(x) * bytes_per_pixel + 1)
            .copied()
    })
}

fn read_with(
    width: u32,
    height: u32,
    pixel: impl Fn(u32, u32) -> Option<u8>,
) -> Option<PatternReading> {
    if width < COLUMNS || height < ROW_UNITS {
        return None;
    }
    let mut levels = [[0_u32; COLUMNS as usize]; ROWS as usize];
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            levels[index(row)][index(column)] = level(width, height, row, column, &pixel)?;
        }
    }
    let (mut darkest_white, mut brightest_black) = (u32::MAX, 0);
    for (row, cells) in levels.iter().enumerate() {
        let (left, right) = (cells[0], cells[index(COLUMNS - 1)]);
        let (white, black) = if row % 2 == 0 {
            (left, right)
        } else {
            (right, left)
        };
        darkest_white = darkest_white.min(white);
        brightest_black = brightest_black.max(black);
    }
    if darkest_white < brightest_black + MIN_CONTRAST {
        return None;
    }
    let threshold = u32::midpoint(darkest_white, brightest_black);
    let rows = levels.map(|cells| {
        cells[1..index(COLUMNS - 1)]
            .iter()
            .fold(0, |bits, level| bits << 1 | u32::from(*level > threshold))
    });
    PatternReading::from_rows(rows)
}

/// Mean brightness of the middle of a cell: half its width and height, at least one pixel.
fn level(
    width: u32,
    height: u32,
    row: u32,
    column: u32,
    pixel: &impl Fn(u32, u32) -> Option<u8>,
) -> Option<u32> {
    let (x_from, x_to) = middle(column, COLUMNS, width);
    let (y_from, y_to) = middle(row, ROW_UNITS, height);
    let mut sum = 0;
    for y in y_from..y_to {
        for x in x_from..x_to {
            sum += u32::from(pixel(x, y)?);
        }
    }
    Some(sum / ((x_to - x_from) * (y_to - y_from)))
}

/// Pixels of the middle half of the `nth` of `cells` along `length` pixels.
fn middle(nth: u32, cells: u32, length: u32) -> (u32, u32) {
    let quarter = |quarters: u32| quarters * length / (4 * cells);
    let from = quarter(4 * nth + 1);
    (from, quarter(4 * nth + 3).max(from + 1))
}

/// Whether the cell is white.
fn cell(rows: &[u32; 3], row: u32, column: u32) -> bool {
    match column {
        0 => row.is_multiple_of(2),
        33 => row % 2 == 1,
        _ => rows[index(row)] >> (32 - column) & 1 == 1,
    }
}

fn bytes_of(frame_number: u32, wall_ms: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..4].copy_from_slice(&frame_number.to_be_bytes());
    bytes[4..].copy_from_slice(&wall_ms.to_be_bytes()[2..]);
    bytes
}

/// CRC-16/CCITT-FALSE.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            }
        })
    })
}

fn low_32(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default()
}

/// Pixel counts fit: no machine this runs on has a 16-bit `usize`.
fn index(pixels: u32) -> usize {
    usize::try_from(pixels).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: PatternReading = PatternReading {
        frame_number: 0xdead_beef,
        wall_ms: 1_795_363_385_120,
    };

    fn picture(width: u32, height: u32) -> Vec<u8> {
        let mut luma = vec![90; index(width) * index(height)];
        write(READING, &mut luma, width, height, index(width));
        luma
    }

    /// The same picture in another size, each pixel the mean of the area it comes from.
    fn scaled(luma: &[u8], from: (u32, u32), to: (u32, u32)) -> Vec<u8> {
        let span = |nth: u32, of: u32, length: u32| {
            let first = u64::from(nth) * u64::from(length) / u64::from(of);
            let last = (u64::from(nth) + 1) * u64::from(length) / u64::from(of);
            low_32(first)..low_32(last.max(first + 1))
        };
        let mut out = Vec::new();
        for y in 0..to.1 {
            for x in 0..to.0 {
                let (mut sum, mut count) = (0, 0);
                for from_y in span(y, to.1, from.1) {
                    for from_x in span(x, to.0, from.0) {
                        sum += u32::from(luma[index(from_y * from.0 + from_x)]);
                        count += 1;
                    }
                }
                out.push(u8::try_from(sum / count).unwrap());
            }
        }
        out
    }

    #[test]
    fn crc_has_its_published_check_value() {
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn is_read_at_every_size_it_was_drawn_in() {
        for (width, height) in [
            MIN_SIZE,
            (160, 90),
            (320, 180),
            (638, 358),
            (768, 576),
            (1280, 720),
            (3840, 2160),
        ] {
            let luma = picture(width, height);
            assert_eq!(
                read(&luma, width, height, index(width)),
                Some(READING),
                "{width}x{height}"
            );
        }
    }

    #[test]
    fn survives_scaling_both_ways_and_unevenly() {
        let original = (1280, 720);
        let luma = picture(original.0, original.1);
        for size in [
            (160, 90),
            (213, 120),
            (640, 480),
            (1921, 1081),
            (3840, 2160),
        ] {
            let other = scaled(&luma, original, size);
            assert_eq!(
                read(&other, size.0, size.1, index(size.0)),
                Some(READING),
                "{size:?}"
            );
        }
    }

    #[test]
    fn survives_noise_and_low_contrast() {
        let mut noise = 12_345_u32;
        let mut luma = picture(640, 360);
        for level in &mut luma {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = u8::try_from(noise >> 26).unwrap();
            *level = *level / 3 + 20 + grain;
        }
        assert_eq!(read(&luma, 640, 360, 640), Some(READING));
    }

    #[test]
    fn one_wrong_cell_is_refused() {
        let mut luma = picture(340, 200);
        for y in 0..10 {
            for x in 100..110 {
                luma[y * 340 + x] = !luma[y * 340 + x];
            }
        }
        assert_eq!(read(&luma, 340, 200, 340), None);
    }

    #[test]
    fn other_pictures_have_no_reading() {
        assert_eq!(read(&[128; 160 * 90], 160, 90, 160), None);
        assert_eq!(read(&[], 160, 90, 160), None);
        assert_eq!(read(&[0; 4], 2, 2, 2), None);
        let ramp: Vec<u8> = (0..=255).cycle().take(640 * 360).collect();
        assert_eq!(read(&ramp, 640, 360, 640), None);
    }

    #[test]
    fn is_read_from_rgb_and_rgba() {
        let luma = picture(320, 180);
        let rgb: Vec<u8> = luma.iter().flat_map(|y| [*y, *y, *y]).collect();
        assert_eq!(read_rgb(&rgb, 320, 180, 960, 3), Some(READING));
        let rgba: Vec<u8> = luma.iter().flat_map(|y| [*y, *y, *y, 255]).collect();
        assert_eq!(read_rgb(&rgba, 320, 180, 1280, 4), Some(READING));
    }
}
