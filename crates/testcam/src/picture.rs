//! The generated picture: scenery, a ball, a clock, a counter and the [pattern].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Local};
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::{self as gst_video, prelude::*};

use crate::{
    PictureSettings,
    feed::Source,
    font,
    pattern::{self, PatternReading},
    scenery::Scenery,
    tap::Numbers,
    timeline::tick_to_time,
};

/// Longest line of text, letters.
const MAX_TEXT: usize = 34;

/// The scenery behind the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A street at night.
    Street,
    /// A garden by day.
    Garden,
}

/// Makes the pictures of one run.
pub(crate) struct Pictures {
    painter: Painter,
    pool: gst::BufferPool,
    info: gst_video::VideoInfo,
    fps: u32,
    /// Pictures of this run made so far.
    made: u64,
    /// Number of the camera's next picture.
    next: Arc<AtomicU32>,
    numbers: Numbers,
}

impl Pictures {
    /// # Errors
    /// If GStreamer refuses the size, or there is no memory.
    pub(crate) fn new(
        settings: &PictureSettings,
        name: &str,
        next: Arc<AtomicU32>,
        numbers: Numbers,
    ) -> Result<Self> {
        let fps = gst::Fraction::new(i32::try_from(settings.fps)?, 1);
        let format = gst_video::VideoFormat::I420;
        let info = gst_video::VideoInfo::builder(format, settings.width, settings.height)
            .fps(fps)
            .build()?;
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&info.to_caps()?), u32::try_from(info.size())?, 2, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;
        Ok(Self {
            painter: Painter::new(settings, name)?,
            pool,
            info,
            fps: settings.fps,
            made: 0,
            next,
            numbers,
        })
    }

    /// What `make` makes.
    pub(crate) fn caps(&self) -> Result<gst::Caps> {
        Ok(self.info.to_caps()?)
    }
}

impl Source for Pictures {
    fn due(&self) -> gst::ClockTime {
        pts(self.made, self.fps)
    }

    fn make(&mut self, late: Duration) -> Result<gst::Buffer> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut buffer = self.pool.acquire_buffer(None)?;
        let writable = buffer.get_mut().context("a shared buffer from the pool")?;
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(writable, &self.info)?;
        self.painter
            .paint(&mut frame, number, Local::now() - late)?;
        drop(frame);
        let start = self.due();
        self.made += 1;
        writable.set_pts(start);
        writable.set_duration(self.due() - start);
        self.numbers.expect(start, number);
        Ok(buffer)
    }
}

/// When the `nth` picture is due: on the 90 kHz tick nearest to it.
fn pts(nth: u64, fps: u32) -> gst::ClockTime {
    let fps = u64::from(fps);
    tick_to_time((nth * 90_000 + fps / 2) / fps, 90_000)
}

impl Drop for Pictures {
    fn drop(&mut self) {
        // Buffers still in use go when they come back.
        let _ = self.pool.set_active(false);
    }
}

/// Paints pictures of one look and size.
struct Painter {
    scenery: Scenery,
    name: String,
    width: u32,
    height: u32,
}

/// A picture being painted.
type Frame<'a> = gst_video::VideoFrameRef<&'a mut gst::BufferRef>;

impl Painter {
    fn new(settings: &PictureSettings, name: &str) -> Result<Self> {
        let (width, height) = (settings.width, settings.height);
        Ok(Self {
            scenery: Scenery::paint(settings.look, width.try_into()?, height.try_into()?),
            name: name.chars().take(MAX_TEXT).collect(),
            width,
            height,
        })
    }

    fn paint(&self, frame: &mut Frame<'_>, number: u32, now: DateTime<Local>) -> Result<()> {
        let mut planes = self.planes(frame)?;
        for (index, plane) in planes.iter_mut().enumerate() {
            let moved = usize::try_from(number)?;
            self.scenery
                .copy_plane(index, moved, plane.bytes, plane.stride);
            plane.ball(index, moved);
        }
        self.text(&mut planes, number, now);
        let reading = PatternReading {
            frame_number: number,
            wall_ms: u64::try_from(now.timestamp_millis()).unwrap_or_default(),
        };
        let [luma, blue, red] = &mut planes;
        pattern::write(reading, luma.bytes, self.width, self.height, luma.stride);
        let (share, whole) = pattern::HEIGHT;
        let cells_height = usize::try_from(self.height * share / whole)?;
        blue.grey(0..blue.width, 0..cells_height.div_ceil(2));
        red.grey(0..red.width, 0..cells_height.div_ceil(2));
        Ok(())
    }

    fn planes<'a>(&self, frame: &'a mut Frame<'_>) -> Result<[Plane<'a>; 3]> {
        let mut strides = [0; 3];
        for (stride, plane) in strides.iter_mut().zip(frame.plane_stride()) {
            *stride = usize::try_from(*plane)?;
        }
        let (width, height) = (usize::try_from(self.width)?, usize::try_from(self.height)?);
        let mut nth = 0;
        let planes = frame.planes_data_mut();
        let [luma, blue, red, _] = planes;
        Ok([luma, blue, red].map(|bytes| {
            let halves = if nth == 0 { 1 } else { 2 };
            let stride = strides[nth];
            nth += 1;
            Plane {
                bytes,
                stride,
                width: width / halves,
                height: height / halves,
            }
        }))
    }

    /// Name, date, time and counter on a dark ground below the pattern.
    fn text(&self, planes: &mut [Plane<'_>; 3], number: u32, now: DateTime<Local>) {
        let lines = [
            self.name.clone(),
            now.format("%Y-%m-%d %:z").to_string(),
            now.format("%H:%M:%S%.3f").to_string(),
            format!("#{number:08}"),
        ];
        let [luma, blue, red] = planes;
        let dot = (luma.width / ((MAX_TEXT + 2) * font::CELL.0)).max(1);
        // Even, because of the chroma planes.
        let (left, mut top) = (2 * dot, luma.height / 5 / 2 * 2);
        for line in &lines {
            let (width, height) = (
                (line.chars().count() * font::CELL.0 + 1) * dot,
                font::CELL.1 * dot,
            );
            let area = (left..left + width, top..top + height);
            luma.fill(area.0.clone(), area.1.clone(), 20);
            for chroma in [&mut *blue, &mut *red] {
                chroma.grey(
                    area.0.start / 2..area.0.end / 2,
                    area.1.start / 2..area.1.end / 2,
                );
            }
            luma.letters(line, left + dot, top + dot, dot);
            top += height;
        }
    }
}

/// One plane of a picture being painted.
struct Plane<'a> {
    bytes: &'a mut [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl Plane<'_> {
    /// Fills an area; what lies outside of the picture is cut off.
    fn fill(&mut self, x: std::ops::Range<usize>, y: std::ops::Range<usize>, level: u8) {
        for row in y.start..y.end.min(self.height) {
            let (from, to) = (x.start.min(self.width), x.end.min(self.width));
            let start = row * self.stride;
            self.bytes[start + from..start + to].fill(level);
        }
    }

    /// Takes the colour from an area of a chroma plane.
    fn grey(&mut self, x: std::ops::Range<usize>, y: std::ops::Range<usize>) {
        self.fill(x, y, 128);
    }

    fn letters(&mut self, text: &str, left: usize, top: usize, dot: usize) {
        for (nth, letter) in text.chars().enumerate() {
            for row in 0..font::CELL.1 {
                for column in (0..font::CELL.0).filter(|column| font::dot(letter, *column, row)) {
                    let x = left + (nth * font::CELL.0 + column) * dot;
                    let y = top + row * dot;
                    self.fill(x..x + dot, y..y + dot, 230);
                }
            }
        }
    }

    /// A ball that bounces through the lower part of the picture. Levels by plane.
    fn ball(&mut self, plane: usize, number: usize) {
        let radius = self.height / 14;
        let travel = |step: usize, room: usize| {
            let at = number * step % (2 * room).max(1);
            at.min(2 * room - at)
        };
        let centre_x = radius + travel(self.width / 100 + 1, self.width - 2 * radius);
        let ground = self.height / 2;
        let centre_y = ground + radius + travel(self.height / 70 + 1, ground - 2 * radius);
        let level = [210, 60, 190][plane];
        for y in centre_y - radius..=centre_y + radius {
            let down = y.abs_diff(centre_y);
            let half = (radius * radius - down * down).isqrt();
            self.fill(centre_x - half..centre_x + half, y..y + 1, level);
        }
    }
}
