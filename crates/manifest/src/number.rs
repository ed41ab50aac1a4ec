//! Numbers as playlists and manifests write them.

use std::fmt;

use dayreel_core::TICKS_PER_SECOND;

/// Ticks as decimal seconds, to the nanosecond above, without trailing zeros: `4.0`, `2.033333334`.
///
/// Never below: hls.js adds durations up to learn where its timeline begins, and media that comes
/// out before 0 is dropped by Media Source Extensions up to the next keyframe.
pub(crate) struct Seconds(pub(crate) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = (self.0 % TICKS_PER_SECOND * 1_000_000_000).div_ceil(TICKS_PER_SECOND);
        let digits = format!("{nanos:09}");
        let digits = digits.trim_end_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        write!(f, "{}.{digits}", self.0 / TICKS_PER_SECOND)
    }
}

/// Ticks as whole seconds, to the nearest: how RFC 8216 §4.3.3.1 compares EXTINF with the target
/// duration.
pub const fn rounded_seconds(ticks_90k: u64) -> u64 {
    (ticks_90k + TICKS_PER_SECOND / 2) / TICKS_PER_SECOND
}

/// A frame rate in thousandths of a picture a second as the fraction it most likely is: whole
/// numbers and the NTSC family (`30000/1001`) to a thousandth, else thousandths.
pub(crate) fn frame_rate_fraction(rate_milli: u64) -> String {
    let off_by = |exact_milli: u64| rate_milli.abs_diff(exact_milli);
    let whole = (rate_milli + 500) / 1000;
    let (of_whole, of_ntsc) = (off_by(whole * 1000), off_by(whole * 1_000_000 / 1001));
    match of_whole.min(of_ntsc) {
        least if whole == 0 || least * 1000 > rate_milli => format!("{rate_milli}/1000"),
        least if least == of_whole => whole.to_string(),
        _ => format!("{}/1001", whole * 1000),
    }
}

/// The two leading digits of `number`, rounded up, and zeros: what bounds it, and changes seldom while it grows.
pub(crate) const fn two_digits_above(number: u64) -> u64 {
    let mut unit = 1;
    while number / unit >= 100 {
        unit *= 10;
    }
    number.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_short_and_never_too_few() {
        assert_eq!(Seconds(360_000).to_string(), "4.0");
        assert_eq!(Seconds(183_000).to_string(), "2.033333334");
        assert_eq!(Seconds(90_001).to_string(), "1.000011112");
        assert_eq!(Seconds(179_999).to_string(), "1.999988889");
    }

    #[test]
    fn frame_rates_are_recognised() {
        assert_eq!(frame_rate_fraction(25_001), "25");
        assert_eq!(frame_rate_fraction(25_025), "25");
        assert_eq!(frame_rate_fraction(25_026), "25026/1000");
        assert_eq!(frame_rate_fraction(29_980), "30000/1001");
        assert_eq!(frame_rate_fraction(29_990), "30");
        assert_eq!(frame_rate_fraction(29_970), "30000/1001");
        assert_eq!(frame_rate_fraction(12_500), "12500/1000");
        assert_eq!(frame_rate_fraction(400), "400/1000");
        assert_eq!(frame_rate_fraction(2), "2/1000");
    }

    #[test]
    fn two_digits_are_never_too_few() {
        for (number, above) in [
            (1, 1),
            (99, 99),
            (100, 100),
            (101, 110),
            (891_872, 900_000),
            (2_000_001, 2_100_000),
        ] {
            assert_eq!(two_digits_above(number), above);
        }
    }
}
