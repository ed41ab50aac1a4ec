//! Frame rate, bit rate and GOP length, measured from access units. Constant memory and no
//! allocation for each.

use dayreel_core::{MediaTime, TICKS_PER_SECOND};

/// A measurement takes at least so long.
const SPAN_90K: u64 = 2 * TICKS_PER_SECOND;

/// What a track does, as far as it has been measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// Access units a second.
    pub(crate) units_per_s: f64,
    /// Bits a second.
    pub(crate) bits_per_s: f64,
    /// Seconds from one keyframe to the next.
    pub(crate) gop_s: f64,
}

/// Measures one track.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    start: Option<MediaTime>,
    keyframe: Option<MediaTime>,
    units: u32,
    bytes: u64,
    rates: Option<Rates>,
    gop_s: f64,
}

impl Meter {
    /// Takes up one access unit.
    pub(crate) fn push(&mut self, at: MediaTime, bytes: usize, is_keyframe: bool) {
        if is_keyframe && let Some(before) = self.keyframe.replace(at) {
            self.gop_s = seconds(at.saturating_since(before));
        }
        let start = *self.start.get_or_insert(at);
        let elapsed_90k = at.saturating_since(start);
        // From keyframe to keyframe where there are any: they are larger than the rest.
        if elapsed_90k >= SPAN_90K && (is_keyframe || elapsed_90k >= 8 * SPAN_90K) {
            let elapsed_s = seconds(elapsed_90k);
            self.rates = Some(Rates {
                units_per_s: f64::from(self.units) / elapsed_s,
                bits_per_s: u32::try_from(self.bytes * 8).map_or(f64::MAX, f64::from) / elapsed_s,
                gop_s: self.gop_s,
            });
            self.start = Some(at);
            self.units = 0;
            self.bytes = 0;
        }
        self.units = self.units.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// The last measurement.
    pub(crate) const fn rates(&self) -> Option<Rates> {
        self.rates
    }
}

fn seconds(ticks_90k: u64) -> f64 {
    std::time::Duration::from_nanos(ticks_90k.saturating_mul(100_000) / 9).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_from_keyframe_to_keyframe() {
        let mut meter = Meter::default();
        for n in 0..101_u64 {
            let is_keyframe = n % 50 == 0;
            let bytes = if is_keyframe { 50_000 } else { 1_000 };
            meter.push(MediaTime::from_ticks(5_000 + n * 3_600), bytes, is_keyframe);
        }
        assert_eq!(
            meter.rates(),
            Some(Rates {
                units_per_s: 25.0,
                bits_per_s: 99_000.0 * 4.0,
                gop_s: 2.0
            })
        );
    }
}
