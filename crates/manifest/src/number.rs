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
/// numbers and the NTSC family (`30000/1001`) first, else thousandths.
pub(crate) fn frame_rate_fraction(rate_milli: u64) -> String {
    let near = |exact_milli: u64| rate_milli.abs_diff(exact_milli) <= 5;
    let whole = (rate_milli + 500) / 1000;
    if whole > 0 && near(whole * 1000) {
        return whole.to_string();
    }
    if whole > 0 && near(whole * 1_000_000 / 1001) {
        return format!("{}/1001", whole * 1000);
    }
    format!("{rate_milli}/1000")
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
        assert_eq!(frame_rate_fraction(29_970), "30000/1001");
        assert_eq!(frame_rate_fraction(12_500), "12500/1000");
        assert_eq!(frame_rate_fraction(400), "400/1000");
        assert_eq!(frame_rate_fraction(2), "2/1000");
    }
}
