//! The pictures of a GIF: decoded once, some of them made small.
//!
//! Scaling comes before colours, plane by plane, as with frames.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;
use image::RgbImage;
use parking_lot::Mutex;

use super::GifError;
use crate::{
    Cut, Window,
    frame::{Driven, decoder_for, frame_size},
};

/// Neither side of a GIF is longer, in pixels.
const MOST_PIXELS: u32 = 320;

/// Pictures a second of a short moment.
const RATE: u64 = 12;
/// Of one longer than [`LONG`]: there are more of them.
const LONG_RATE: u64 = 10;
const LONG: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// A picture of a GIF.
#[derive(Clone, Debug)]
pub(super) struct Still {
    /// From the beginning of the moment.
    pub(super) at: gst::ClockTime,
    pub(super) image: RgbImage,
}

/// The pictures of a GIF, all of one size, in order, never empty.
#[derive(Clone, Debug)]
pub(super) struct Stills {
    pub(super) stills: Vec<Still>,
    /// Length of the moment.
    pub(super) duration: gst::ClockTime,
}

/// Decodes `cut` with `threads` threads and keeps 12 pictures a second, or 10 of a long one. Stops
/// when `give_up` says so.
///
/// # Errors
/// No decoder, not one good picture, or given up.
pub(super) fn stills(
    cut: &Cut,
    threads: u32,
    give_up: impl Fn() -> bool,
) -> Result<Stills, GifError> {
    let duration = cut.shown.end.saturating_sub(cut.shown.start);
    let rate = if duration > LONG { LONG_RATE } else { RATE };
    let shown = |unit: &&gst::Buffer| {
        unit.pts()
            .is_some_and(|pts| pts >= cut.shown.start && pts < cut.shown.end)
    };
    let count = u64::try_from(cut.access_units.iter().filter(shown).count()).unwrap_or(1);
    let collector = Arc::new(Mutex::new(Collector {
        shown: cut.shown,
        choice: Choice::new(gst::ClockTime::SECOND / rate, duration / count.max(1)),
        scaler: None,
        stills: Vec::new(),
        error: None,
    }));
    let decoder = decoder_for(&cut.caps, threads).map_err(|_| GifError::Codec(cut.caps.clone()))?;
    let driven = Driven::start_with(decoder, &cut.caps, {
        let collector = collector.clone();
        move |caps, picture| collector.lock().take(&caps, &picture)
    })
    .map_err(GifError::Element)?;
    for unit in &cut.access_units {
        if give_up() {
            return Err(GifError::Closing);
        }
        if let Err(error) = driven.push(unit.clone()) {
            // What came until then is shown.
            tracing::debug!(%error, "the decoder gives up");
            break;
        }
    }
    driven.finish();
    let mut collector = collector.lock();
    if let Some(error) = collector.error.take() {
        return Err(GifError::Element(error));
    }
    let mut stills = std::mem::take(&mut collector.stills);
    // A GIF begins with its first picture.
    stills.first_mut().ok_or(GifError::Undecodable)?.at = gst::ClockTime::ZERO;
    Ok(Stills { stills, duration })
}

/// Which pictures of a stream to take so that they come as evenly as they can.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    interval: gst::ClockTime,
    /// Half the distance of two pictures of the stream.
    tolerance: gst::ClockTime,
    due: gst::ClockTime,
}

impl Choice {
    /// One an `interval`, of a stream that has one a `step`.
    pub(super) fn new(interval: gst::ClockTime, step: gst::ClockTime) -> Self {
        Self {
            interval,
            tolerance: step / 2,
            due: gst::ClockTime::ZERO,
        }
    }

    /// Whether the picture at `at` is one. Asked in order.
    pub(super) fn takes(&mut self, at: gst::ClockTime) -> bool {
        if at + self.tolerance < self.due {
            return false;
        }
        while self.due <= at + self.tolerance {
            self.due += self.interval;
        }
        true
    }
}

/// Takes what the decoder puts out.
struct Collector {
    shown: Window,
    choice: Choice,
    scaler: Option<(gst::Caps, Scaler)>,
    stills: Vec<Still>,
    error: Option<glib::BoolError>,
}

impl Collector {
    fn take(&mut self, caps: &gst::Caps, picture: &gst::BufferRef) {
        let Some(pts) = picture.pts().filter(|pts| *pts < self.shown.end) else {
            return;
        };
        let Some(at) = pts.checked_sub(self.shown.start) else {
            return;
        };
        if !self.choice.takes(at) {
            return;
        }
        match self.scale(caps, picture) {
            Ok(image) => self.stills.push(Still { at, image }),
            Err(error) => self.error = Some(error),
        }
    }

    fn scale(
        &mut self,
        caps: &gst::Caps,
        picture: &gst::BufferRef,
    ) -> Result<RgbImage, glib::BoolError> {
        let scaler = match self.scaler.take().filter(|(of, _)| of == caps) {
            Some((_, scaler)) => scaler,
            None => {
                let size = self.stills.first().map(|still| still.image.dimensions());
                Scaler::new(&gst_video::VideoInfo::from_caps(caps)?, size)?
            }
        };
        let (_, scaler) = self.scaler.insert((caps.clone(), scaler));
        scaler.scale(picture)
    }
}

/// Decoded picture ─▶ 4:2:0, small ─▶ RGB.
struct Scaler {
    from: gst_video::VideoInfo,
    small: gst_video::VideoInfo,
    rgb: gst_video::VideoInfo,
    shrink: gst_video::VideoConverter,
    colour: gst_video::VideoConverter,
}

impl Scaler {
    fn new(from: &gst_video::VideoInfo, size: Option<(u32, u32)>) -> Result<Self, glib::BoolError> {
        let (width, height) = size.unwrap_or_else(|| gif_size(from));
        let small = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
            .chroma_site(from.chroma_site())
            .colorimetry(&from.colorimetry())
            // The converter changes neither of these.
            .interlace_mode(from.interlace_mode())
            .fps(from.fps())
            .build()?;
        let rgb = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, width, height)
            .interlace_mode(from.interlace_mode())
            .fps(from.fps())
            .build()?;
        let mut config = gst_video::VideoConverterConfig::new();
        config.set_threads(1);
        config.set_dither_method(gst_video::VideoDitherMethod::None);
        config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
        let shrink = gst_video::VideoConverter::new(from, &small, Some(config.clone()))?;
        let colour = gst_video::VideoConverter::new(&small, &rgb, Some(config))?;
        Ok(Self {
            from: from.clone(),
            small,
            rgb,
            shrink,
            colour,
        })
    }

    fn scale(&self, picture: &gst::BufferRef) -> Result<RgbImage, glib::BoolError> {
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(picture, &self.from)?;
        let small = converted(&self.shrink, &from, &self.small)?;
        let small = gst_video::VideoFrameRef::from_buffer_ref_readable(&small, &self.small)?;
        let rgb = converted(&self.colour, &small, &self.rgb)?;
        let rgb = gst_video::VideoFrameRef::from_buffer_ref_readable(&rgb, &self.rgb)?;
        let (width, height) = (self.rgb.width(), self.rgb.height());
        let row_bytes = width as usize * 3;
        let stride = usize::try_from(self.rgb.stride()[0]).unwrap_or(row_bytes);
        let rows = rgb.plane_data(0)?.chunks(stride.max(1));
        let pixels = rows.take(height as usize).flat_map(|row| &row[..row_bytes]);
        RgbImage::from_raw(width, height, pixels.copied().collect())
            .ok_or_else(|| glib::bool_error!("a picture is smaller than it says"))
    }
}

fn converted(
    converter: &gst_video::VideoConverter,
    from: &gst_video::VideoFrameRef<&gst::BufferRef>,
    info: &gst_video::VideoInfo,
) -> Result<gst::Buffer, glib::BoolError> {
    let mut buffer = gst::Buffer::with_size(info.size())?;
    let writable = buffer
        .get_mut()
        .ok_or_else(|| glib::bool_error!("a new buffer is shared"))?;
    let mut into = gst_video::VideoFrameRef::from_buffer_ref_writable(writable, info)?;
    converter.frame_ref(from, &mut into);
    drop(into);
    Ok(buffer)
}

/// In square pixels, neither side longer than [`MOST_PIXELS`], never enlarged.
fn gif_size(info: &gst_video::VideoInfo) -> (u32, u32) {
    let (width, height) = frame_size(info, Some(MOST_PIXELS));
    if height <= MOST_PIXELS {
        return (width, height);
    }
    let (width, height) = (u64::from(width), u64::from(height));
    let narrower = (width * u64::from(MOST_PIXELS) + height / 2) / height;
    let narrower = u32::try_from(narrower).unwrap_or(1).max(1);
    (narrower, MOST_PIXELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(fps: u64, rate: u64, seconds: u64) -> Vec<u64> {
        let step = gst::ClockTime::SECOND / fps;
        let mut choice = Choice::new(gst::ClockTime::SECOND / rate, step);
        (0..fps * seconds)
            .filter(|number| choice.takes(step * *number))
            .collect()
    }

    #[test]
    fn pictures_are_taken_evenly() {
        for (fps, rate) in [(25, 12), (60, 12), (30, 10), (15, 12), (24, 12)] {
            let chosen = chosen(fps, rate, 5);
            let wanted = usize::try_from(rate * 5).unwrap();
            assert!(
                chosen.len().abs_diff(wanted) <= 1,
                "{fps}: {}",
                chosen.len()
            );
            let steps: Vec<_> = chosen.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
            assert!(most - least <= 1, "{fps}: {steps:?}");
        }
        assert_eq!(chosen(10, 12, 2).len(), 20, "all there are");
    }

    #[test]
    fn no_side_is_too_long() {
        gst::init().unwrap();
        let size = |width, height| {
            let format = gst_video::VideoFormat::I420;
            let info = gst_video::VideoInfo::builder(format, width, height).build();
            gif_size(&info.unwrap())
        };
        assert_eq!(size(1920, 1080), (320, 180));
        assert_eq!(size(1080, 1920), (180, 320));
        assert_eq!(size(2592, 1944), (320, 240));
        assert_eq!(size(176, 144), (176, 144));
    }
}
