//! The pictures of the loop: the pattern over a moving ramp. Cheap to make, small to encode.

use dayreel_testcam::{PatternReading, pattern};

/// Draws picture `number` as I420 without padding.
pub fn picture(width: u32, height: u32, number: u32, wall_ms: u64) -> Vec<u8> {
    let size = |pixels: u32| usize::try_from(pixels).unwrap_or(0);
    let luma_bytes = size(width) * size(height);
    let mut bytes = Vec::with_capacity(luma_bytes * 3 / 2);
    let ramp = move |shift: u32| {
        let level = move |x: u32| 40 + u8::try_from((x + shift) % 128).unwrap_or(0);
        (0..width).map(level)
    };
    for y in 0..height {
        // The lower third moves.
        let shift = if y >= height * 2 / 3 { number * 2 } else { 0 };
        bytes.extend(ramp(shift));
    }
    let reading = PatternReading {
        frame_number: number,
        wall_ms,
    };
    pattern::write(reading, &mut bytes, width, height, size(width));
    bytes.resize(luma_bytes * 3 / 2, 128);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_says_which_it_is() {
        let (width, height) = (160, 90);
        let bytes = picture(width, height, 77, 15_400);
        assert_eq!(bytes.len(), 160 * 90 * 3 / 2);
        let read = pattern::read(&bytes, width, height, 160).unwrap();
        assert_eq!((read.frame_number, read.wall_ms), (77, 15_400));
    }
}
