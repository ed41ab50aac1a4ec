//! The generated sound: a quiet chord, and a pip that begins with every second of the wall clock.

use std::{f64::consts::TAU, time::Duration};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use gstreamer::{self as gst};

use crate::{AudioCodec, feed::Source, timeline::tick_to_time};

/// Length of the pip, ms.
const PIP_MS: u64 = 100;
/// How far pips may be from the full second.
const TOLERANCE_MS: u64 = 25;

/// Makes the sound of one run: mono, 16 bits, in blocks.
pub(crate) struct Sound {
    rate_hz: u32,
    /// Samples of a block.
    block: u32,
    /// Samples of this run made so far.
    made: u64,
    /// Wall time of the first sample, ms since the epoch.
    first_ms: Option<u64>,
}

impl Sound {
    pub(crate) fn new(codec: AudioCodec) -> Self {
        let (rate_hz, block) = shape(codec);
        Self {
            rate_hz,
            block,
            made: 0,
            first_ms: None,
        }
    }

    /// What `make` makes.
    pub(crate) fn caps(&self) -> String {
        format!(
            "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate={}",
            self.rate_hz
        )
    }

    /// Wall time of the first sample, given the time now. Kept while it is near enough, because a
    /// step would be heard; it is not when the first client says PLAY late.
    fn follow(&mut self, now_ms: u64) -> u64 {
        let played_ms = self.made * 1000 / u64::from(self.rate_hz);
        let estimate_ms = now_ms.saturating_sub(played_ms);
        match self.first_ms {
            Some(first_ms) if first_ms.abs_diff(estimate_ms) <= TOLERANCE_MS => first_ms,
            _ => *self.first_ms.insert(estimate_ms),
        }
    }

    fn sample(&self, nth: u64, first_ms: u64) -> i16 {
        let rate = u64::from(self.rate_hz);
        let is_pip = (first_ms + nth * 1000 / rate) % 1000 < PIP_MS;
        // The tones have whole periods in a second, so the phase needs that much only.
        let at = u32::try_from(nth % rate).unwrap_or_default();
        let tone = |frequency_hz: f64, level: f64| {
            level * (TAU * frequency_hz * f64::from(at) / f64::from(self.rate_hz)).sin()
        };
        let level = if is_pip {
            tone(1000.0, 9000.0)
        } else {
            tone(220.0, 700.0) + tone(330.0, 500.0)
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 9000")]
        let sample = level as i16;
        sample
    }
}

impl Source for Sound {
    fn due(&self) -> gst::ClockTime {
        tick_to_time(self.made, self.rate_hz.into())
    }

    fn make(&mut self, late: Duration) -> Result<gst::Buffer> {
        let first_ms = self.follow(wall_ms(Utc::now() - late));
        let last = self.made + u64::from(self.block);
        let samples = (self.made..last).flat_map(|nth| self.sample(nth, first_ms).to_le_bytes());
        let mut buffer = gst::Buffer::from_mut_slice(samples.collect::<Vec<u8>>());
        let writable = buffer.get_mut().context("a new buffer is shared")?;
        let start = self.due();
        self.made = last;
        writable.set_pts(start);
        writable.set_duration(self.due() - start);
        Ok(buffer)
    }
}

/// Samples of an access unit as the encoder of `codec` makes them out of blocks.
pub(crate) fn unit_samples(codec: AudioCodec) -> u32 {
    match codec {
        // libavcodec gathers a quarter of a second.
        AudioCodec::G726 => 2048,
        _ => shape(codec).1,
    }
}

/// Samples a second, and in a block.
pub(crate) fn shape(codec: AudioCodec) -> (u32, u32) {
    match codec {
        AudioCodec::Aac | AudioCodec::AacLatm => (48_000, 1024),
        AudioCodec::Opus => (48_000, 960),
        AudioCodec::L16 => (16_000, 320),
        AudioCodec::Alaw | AudioCodec::Mulaw | AudioCodec::G726 => (8_000, 160),
    }
}

fn wall_ms(now: DateTime<Utc>) -> u64 {
    u64::try_from(now.timestamp_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A camera that caught up said of its sound, and of its pictures, when it had made them.
    #[test]
    fn regression_what_is_late_was_of_another_time() {
        gst::init().unwrap();
        let mut sound = Sound::new(AudioCodec::Alaw);
        let before_ms = wall_ms(Utc::now());
        sound.make(Duration::ZERO).unwrap();
        let first_ms = sound.first_ms.unwrap();
        sound.make(Duration::from_secs(3)).unwrap();
        let late_ms = before_ms - 3000 - 20;
        assert!(
            (before_ms..before_ms + 1000).contains(&first_ms),
            "{first_ms}"
        );
        assert!((late_ms..late_ms + 1000).contains(&sound.first_ms.unwrap()));
    }

    #[test]
    fn the_pip_is_at_the_full_second() {
        let sound = Sound::new(AudioCodec::Alaw);
        let loudest = |samples: std::ops::Range<u64>| {
            samples
                .map(|nth| sound.sample(nth, 500).unsigned_abs())
                .max()
        };
        assert!(loudest(0..4000) < Some(2000));
        assert!(loudest(4000..4800) > Some(8000));
        assert!(loudest(4800..12_000) < Some(2000));
    }
}
