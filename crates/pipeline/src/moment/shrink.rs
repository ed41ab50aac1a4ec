//! The largest GIF that is small enough: first narrower, then fewer pictures.

use gstreamer as gst;
use image::imageops::{self, FilterType};

use super::{
    GifError,
    gif::{Encoded, Palette, encode},
    stills::{Choice, Still, Stills},
};

/// Share of width and height, per cent, and pictures a second; 0: all there are.
const STEPS: &[(u32, u64)] = &[
    (100, 0),
    (80, 0),
    (65, 0),
    (50, 0),
    (50, 8),
    (50, 6),
    (50, 4),
    (40, 3),
    (20, 2),
];

/// An estimate this much below the limit is trusted.
const MARGIN: f64 = 0.9;

/// A GIF of `stills` of at most `max_bytes`. Stops when `give_up` says so.
///
/// # Errors
/// Given up, or a picture that the format has no place for.
pub(super) fn smallest_needed(
    stills: &Stills,
    comment: &str,
    max_bytes: usize,
    give_up: impl Fn() -> bool,
) -> Result<Vec<u8>, GifError> {
    let palette = Palette::of(stills);
    let mut step = 0;
    loop {
        if give_up() {
            return Err(GifError::Closing);
        }
        let (percent, rate) = STEPS[step];
        let reduced;
        let shown = if step == 0 {
            stills
        } else {
            reduced = reduce(stills, percent, rate);
            &reduced
        };
        let is_last = step + 1 == STEPS.len();
        match encode(shown, &palette, comment, max_bytes)? {
            Encoded::Whole(gif) => return Ok(gif),
            // Cannot be at any limit that may be set: see the test.
            Encoded::TooLarge { .. } if is_last => return Err(GifError::Encoding),
            Encoded::TooLarge { bytes, share } => {
                #[expect(clippy::cast_precision_loss, reason = "megabytes")]
                let over = bytes as f64 / share.max(0.01) / max_bytes as f64;
                step = next_step(stills, step, over);
            }
        }
    }
}

/// The first step after `step` that is small enough, if `step` was too large by the factor `over`.
fn next_step(stills: &Stills, step: usize, over: f64) -> usize {
    let seconds = stills.duration.seconds().max(1);
    let all = u64::try_from(stills.stills.len()).unwrap_or(u64::MAX);
    let size = |(percent, rate): (u32, u64)| {
        let count = if rate == 0 {
            all
        } else {
            all.min(rate * seconds)
        };
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let count = count as f64;
        f64::from(percent).powi(2) * count
    };
    let fits = |next: &usize| over * size(STEPS[*next]) / size(STEPS[step]) <= MARGIN;
    let last = STEPS.len() - 1;
    (step + 1..last).find(fits).unwrap_or(last)
}

fn reduce(stills: &Stills, percent: u32, rate: u64) -> Stills {
    let count = u64::try_from(stills.stills.len()).unwrap_or(1).max(1);
    let mut choice =
        (rate > 0).then(|| Choice::new(gst::ClockTime::SECOND / rate, stills.duration / count));
    let chosen = stills
        .stills
        .iter()
        .filter(|still| choice.as_mut().is_none_or(|choice| choice.takes(still.at)));
    let smaller = |still: &Still| {
        let side = |pixels: u32| (pixels * percent / 100).max(1);
        let (width, height) = (side(still.image.width()), side(still.image.height()));
        Still {
            at: still.at,
            image: imageops::resize(&still.image, width, height, FilterType::Triangle),
        }
    };
    Stills {
        stills: chosen.map(smaller).collect(),
        duration: stills.duration,
    }
}
