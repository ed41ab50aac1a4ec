//! A file's access units for ever, on one unbroken timeline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use gstreamer as gst;

use crate::{
    feed::Source,
    media_file::{FileAudio, MediaFile},
    tap::Numbers,
    timeline::tick_to_time,
};

const VIDEO_RATE_HZ: u64 = 90_000;

/// The pictures of a file: each loop begins where the last picture of the one before ends.
pub(crate) struct LoopedVideo {
    pub(crate) file: Arc<MediaFile>,
    /// Access units of this run made so far.
    pub(crate) made: u64,
    /// Number of the camera's next access unit.
    pub(crate) next: Arc<AtomicU32>,
    pub(crate) numbers: Numbers,
}

impl LoopedVideo {
    /// Index in the file of the next access unit, and where its loop begins.
    fn at(&self) -> (usize, u64) {
        let video = &self.file.video;
        let length = u64::try_from(video.units.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.made % length).unwrap_or_default();
        (index, self.made / length * video.period_90k)
    }
}

impl Source for LoopedVideo {
    fn due(&self) -> gst::ClockTime {
        let (index, loop_90k) = self.at();
        let due_90k = self.file.video.units[index].due_90k;
        tick_to_time(loop_90k + due_90k, VIDEO_RATE_HZ)
    }

    fn make(&mut self, _late: Duration) -> Result<gst::Buffer> {
        let (index, loop_90k) = self.at();
        let unit = &self.file.video.units[index];
        let pts = tick_to_time(loop_90k + unit.pts_90k, VIDEO_RATE_HZ);
        let buffer = retimed(&unit.buffer, pts)?;
        self.numbers
            .expect(pts, self.next.fetch_add(1, Ordering::Relaxed));
        self.made += 1;
        Ok(buffer)
    }
}

/// The sound of a file. It never stops and never jumps; which of the file's access units is next
/// follows from where the pictures are, so the two never drift apart: at the end of a loop some
/// access unit may come twice or not at all.
pub(crate) struct LoopedAudio {
    pub(crate) file: Arc<MediaFile>,
    /// Access units of this run made so far.
    pub(crate) made: u64,
}

impl LoopedAudio {
    fn audio(&self) -> Result<&FileAudio> {
        self.file.audio.as_ref().context("a file without sound")
    }

    /// Index in the file of the next access unit.
    fn index(&self, audio: &FileAudio) -> usize {
        let sample = u128::from(self.made * audio.block);
        let at_90k = sample * u128::from(VIDEO_RATE_HZ) / u128::from(audio.rate_hz);
        let in_loop_90k = at_90k % u128::from(self.file.video.period_90k);
        let unit_90k_by_rate = u128::from(audio.block) * u128::from(VIDEO_RATE_HZ);
        // Rounded, because a tick cut off above must not become an access unit.
        let index =
            (in_loop_90k * u128::from(audio.rate_hz) + unit_90k_by_rate / 2) / unit_90k_by_rate;
        usize::try_from(index).unwrap_or_default() % audio.units.len()
    }
}

impl Source for LoopedAudio {
    fn due(&self) -> gst::ClockTime {
        self.audio().map_or(gst::ClockTime::ZERO, |audio| {
            tick_to_time(self.made * audio.block, audio.rate_hz)
        })
    }

    fn make(&mut self, _late: Duration) -> Result<gst::Buffer> {
        let pts = self.due();
        let audio = self.audio()?;
        let buffer = retimed(&audio.units[self.index(audio)], pts)?;
        self.made += 1;
        Ok(buffer)
    }
}

/// The same bytes at another time.
fn retimed(buffer: &gst::Buffer, pts: gst::ClockTime) -> Result<gst::Buffer> {
    let mut buffer = buffer.copy();
    let writable = buffer.get_mut().context("a copy is shared")?;
    writable.set_pts(pts);
    writable.set_dts(None);
    writable.unset_flags(gst::BufferFlags::DISCONT);
    Ok(buffer)
}
