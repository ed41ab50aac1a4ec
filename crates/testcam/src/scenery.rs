//! The backgrounds: painted once, then only moved. Three bands pass at different speeds, so the
//! whole picture changes with every frame at the price of a copy.

use crate::Look;

/// A picture in I420 without padding that repeats from its right edge on to its left.
pub(crate) struct Scenery {
    width: usize,
    height: usize,
    /// Luma, then the two chroma planes, of half the size each way.
    planes: [Vec<u8>; 3],
}

/// Luma and the two chroma values.
type Colour = [u8; 3];

impl Scenery {
    /// Paints the scenery of `look`; `width` and `height` are even.
    pub(crate) fn paint(look: Look, width: usize, height: usize) -> Self {
        let colour = |x: usize, y: usize| {
            let (across, down) = (x * 1000 / width, y * 1000 / height);
            match look {
                Look::Street => street(across, down),
                Look::Garden => garden(across, down),
            }
        };
        let mut luma = Vec::with_capacity(width * height);
        let (mut blue, mut red) = (Vec::new(), Vec::new());
        for y in 0..height {
            for x in 0..width {
                let [y_level, u, v] = colour(x, y);
                // Grain, so that there is something to encode.
                let grain = u8::try_from(scatter(x / 2, y / 2) % 12).unwrap_or(0);
                luma.push(y_level.saturating_add(grain));
                if x % 2 == 0 && y % 2 == 0 {
                    blue.push(u);
                    red.push(v);
                }
            }
        }
        Self {
            width,
            height,
            planes: [luma, blue, red],
        }
    }

    /// Copies one plane (0: luma, 1 and 2: chroma) as it looks in frame `number`. Rows of `target`
    /// are `stride` bytes apart.
    pub(crate) fn copy_plane(&self, plane: usize, number: usize, target: &mut [u8], stride: usize) {
        let halves = usize::from(plane > 0) + 1;
        let (width, height) = (self.width / halves, self.height / halves);
        let rows = self.planes[plane].chunks_exact(width);
        for (y, (from, to)) in rows.zip(target.chunks_mut(stride)).enumerate() {
            // Luma moves by an even number of pixels, so that chroma can keep up.
            let shift = number * speed(y * 1000 / height) % self.width * 2 / halves % width;
            let (left, right) = from.split_at(shift);
            to[..right.len()].copy_from_slice(right);
            to[right.len()..width].copy_from_slice(left);
        }
    }
}

/// Pixel pairs a frame at a height in thousandths: sky, middle ground, foreground.
fn speed(down: usize) -> usize {
    match down {
        0..450 => 0,
        450..750 => 1,
        _ => 3,
    }
}

/// A street at night: houses with lit windows, a road. Coordinates in thousandths.
fn street(across: usize, down: usize) -> Colour {
    const SKY: Colour = [45, 140, 118];
    let house = across / 100;
    let roof = 460 + scatter(house, 1) % 140;
    match down {
        750.. if (860..880).contains(&down) && (across / 50).is_multiple_of(2) => [200, 128, 128],
        750.. => [75, 126, 130],
        _ if down < roof => SKY,
        _ => {
            let (column, row) = (across % 100 / 14, (down - roof) / 28);
            let is_window = column % 2 == 1 && row % 2 == 1;
            match is_window.then(|| scatter(house * 8 + column, row) % 3) {
                Some(0) => [40, 134, 122],
                Some(_) => [190, 95, 145],
                None if house.is_multiple_of(2) => [95, 116, 150],
                None => [115, 122, 136],
            }
        }
    }
}

/// A garden by day: hills, a meadow with flowers. Coordinates in thousandths.
fn garden(across: usize, down: usize) -> Colour {
    let hill = 480 + wave(across, 500) / 4 + wave(across, 200) / 5;
    match down {
        750.. if scatter(across / 6, down / 10).is_multiple_of(30) => [205, 100, 165],
        750.. => [100, 104, 112],
        _ if down < hill => [175, 150, 112],
        _ => [125, 110, 116],
    }
}

/// A triangle wave: 0 to half its `period` and back.
fn wave(at: usize, period: usize) -> usize {
    let at = at % period;
    at.min(period - at)
}

/// A number that looks random, the same for the same place.
fn scatter(x: usize, y: usize) -> usize {
    let mixed = (x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663)) & 0xffff_ffff;
    let mixed = mixed.wrapping_mul(0x9e37_79b1) & 0xffff_ffff;
    mixed >> 13 & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_differ_and_move() {
        let street = Scenery::paint(Look::Street, 160, 90);
        let garden = Scenery::paint(Look::Garden, 160, 90);
        let frame = |scenery: &Scenery, plane, number| {
            let mut target = vec![0; 192 * 90];
            scenery.copy_plane(plane, number, &mut target, 192);
            target
        };
        assert_ne!(frame(&street, 0, 0), frame(&garden, 0, 0));
        assert_ne!(frame(&street, 0, 0), frame(&street, 0, 1));
        assert_ne!(frame(&street, 1, 0), frame(&street, 1, 3));
        assert_eq!(frame(&street, 0, 0), frame(&street, 0, 80), "once around");
    }

    #[test]
    fn any_frame_number_can_be_painted() {
        let scenery = Scenery::paint(Look::Garden, 136, 72);
        let mut target = vec![0; 136 * 72];
        scenery.copy_plane(0, u32::MAX.try_into().unwrap(), &mut target, 136);
        assert!(target.iter().any(|level| *level > 0));
    }
}
