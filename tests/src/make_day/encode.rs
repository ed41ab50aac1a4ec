//! Encodes the loop, as fast as the machine can, with the muxer that records cameras.
//!
//! ```text
//! appsrc ─ x264enc  ─ cmafmux ─ appsink
//! appsrc ─ voaacenc ─ cmafmux ─ appsink
//! ```

use std::{mem, thread};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use dayreel_archive::read_chunk;
use dayreel_core::{TICKS_PER_SECOND, TrackKind};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::{LOOP_S, Media, draw, shift::Moof};

const NS_PER_SECOND: u64 = 1_000_000_000;
/// Samples a second, and in an access unit.
const AUDIO_RATE_HZ: u64 = 48_000;
const AUDIO_UNIT: u64 = 1024;
/// The loop is encoded as if it began here: a `tfdt` of today needs 64 bits, and the muxer writes no
/// more than the time needs.
const BEGIN: gst::ClockTime = gst::ClockTime::from_seconds(1_440_000_000);
/// Coarsest quantiser that leaves the pattern readable.
const QUANTISER: u32 = 38;
/// So much before its target a segment may end: more than the distance of two pictures. A muxer
/// whose last chunk seems to end before the target, but whose last picture ends the GOP after it,
/// waits for ever for the rest of the segment (gst-plugin-fmp4 0.14.5).
const EARLY_MS: u64 = 250;

/// The media of one track that is repeated.
pub(super) struct Loop {
    pub(super) kind: TrackKind,
    pub(super) init: Bytes,
    /// In order, without a hole between two, or between the last and the first again.
    pub(super) segments: Vec<Segment>,
    /// Sum of the segments' durations.
    pub(super) duration_90k: u64,
}

/// One segment of a loop.
pub(super) struct Segment {
    /// Within the loop.
    pub(super) start_90k: u64,
    pub(super) duration_90k: u64,
    pub(super) chunks: Vec<Chunk>,
}

/// One chunk of a segment.
pub(super) struct Chunk {
    /// `[styp] moof` and the head of `mdat`.
    pub(super) head: Moof,
    /// Access units.
    pub(super) rest: Vec<Bytes>,
    /// Within the loop.
    pub(super) start_90k: u64,
}

/// The loops of all tracks, video first.
pub(super) fn loops(media: &Media) -> Result<Vec<Loop>> {
    gst::init()?;
    gstfmp4::plugin_register_static()?;
    let mut loops = vec![video(media)?];
    if media.audio {
        loops.push(audio(media)?);
    }
    Ok(loops)
}

fn video(media: &Media) -> Result<Loop> {
    let Media {
        width, height, fps, ..
    } = *media;
    let gop = media.segment_s * fps;
    let rate = match media.bitrate_kbps {
        // Filler up to the rate, so that the files are as large as those of a real camera.
        Some(kbps) => format!("pass=cbr bitrate={kbps} vbv-buf-capacity=1000"),
        None => format!("pass=quant quantizer={QUANTISER}"),
    };
    let hrd = media.bitrate_kbps.map_or("", |_| ":nal-hrd=cbr");
    let encoder = format!(
        "x264enc name=encoder speed-preset=ultrafast tune=zerolatency threads=2 {rate} \
         key-int-max={gop} option-string=keyint={gop}:min-keyint={gop}:scenecut=0{hrd} \
         ! video/x-h264,stream-format=avc,profile=high"
    );
    let caps = format!("video/x-raw,format=I420,width={width},height={height},framerate={fps}/1");
    let picture_90k = TICKS_PER_SECOND / u64::from(fps);
    let pictures = LOOP_S * fps;
    let irregular = media.irregular;
    let make = move |number: u32| {
        (number < pictures).then(|| {
            let late_90k = |number| {
                // Only where a GOP begins, and not at the ends of the loop.
                let moves = irregular && number > 0 && number < pictures && number % gop == 0;
                if moves { jitter_90k(number / gop) } else { 0 }
            };
            let time = |number: u32| {
                tick_to_time(
                    u64::from(number) * picture_90k + late_90k(number),
                    TICKS_PER_SECOND,
                )
            };
            let position_ms = u64::from(number) * 1000 / u64::from(fps);
            let bytes = draw::picture(width, height, number, position_ms);
            buffer(bytes, time(number), time(number + 1))
        })
    };
    let pieces = run(TrackKind::Video, media, &caps, &encoder, make)?;
    let whole = collect(TrackKind::Video, pieces)?;
    let expected_90k = u64::from(LOOP_S) * TICKS_PER_SECOND;
    ensure!(
        whole.duration_90k == expected_90k
            && whole.segments.len() == usize::try_from(LOOP_S / media.segment_s)?,
        "the encoder made {} segments of {}/90000 s, not of {expected_90k}",
        whole.segments.len(),
        whole.duration_90k
    );
    Ok(whole)
}

/// How much too late a GOP begins: 0 to 8 ms, in steps of 0.1 ms, another for each.
fn jitter_90k(gop: u32) -> u64 {
    u64::from((gop * gop * 29 + gop * 7) % 80) * 9
}

fn audio(media: &Media) -> Result<Loop> {
    let caps =
        format!("audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate={AUDIO_RATE_HZ}");
    let units = u32::try_from(u64::from(LOOP_S) * AUDIO_RATE_HZ / AUDIO_UNIT)?;
    let make = move |number: u32| {
        (number < units).then(|| {
            let first = u64::from(number) * AUDIO_UNIT;
            // A quiet triangle wave of 375 Hz: 128 samples, so that units fit together.
            let sample = |nth: u64| {
                let phase = i16::try_from(nth % 128).unwrap_or(0);
                (if phase < 64 { phase - 32 } else { 96 - phase }) * 60
            };
            let samples = first..first + AUDIO_UNIT;
            let bytes = samples.flat_map(|nth| sample(nth).to_le_bytes()).collect();
            let time = |nth| tick_to_time(nth, AUDIO_RATE_HZ);
            buffer(bytes, time(first), time(first + AUDIO_UNIT))
        })
    };
    let encoder = "voaacenc name=encoder bitrate=32000 ! audio/mpeg,stream-format=raw";
    let pieces = run(TrackKind::Audio, media, &caps, encoder, make)?;
    let mut whole = collect(TrackKind::Audio, pieces)?;
    // Access units do not fit into segments evenly: those that are like the second are the loop,
    // so that it lasts as long as it likes. The encoder's first is not quite steady.
    let usual_90k = whole.segments.get(1).context("no sound")?.duration_90k;
    whole.segments.remove(0);
    whole
        .segments
        .retain(|segment| segment.duration_90k == usual_90k);
    let begin_90k = whole.segments.first().context("no sound")?.start_90k;
    for segment in &mut whole.segments {
        segment.start_90k -= begin_90k;
        for chunk in &mut segment.chunks {
            chunk.start_90k -= begin_90k;
        }
    }
    whole.duration_90k = usual_90k * u64::try_from(whole.segments.len())?;
    Ok(whole)
}

/// The time of a tick of the loop, from which the tick can be had again by rounding down.
fn tick_to_time(tick: u64, rate_hz: u64) -> gst::ClockTime {
    let within = gst::ClockTime::SECOND.mul_div_ceil(tick, rate_hz);
    BEGIN + within.unwrap_or_default()
}

/// Encoders count in ns and round down; the muxer would make segments of it that overlap by a tick.
fn put_on_ticks(buffer: &mut gst::BufferRef) {
    let on_tick = |time: gst::ClockTime| {
        let tick = time
            .nseconds()
            .mul_div_round(TICKS_PER_SECOND, NS_PER_SECOND);
        let ns = tick.and_then(|tick| tick.mul_div_ceil(NS_PER_SECOND, TICKS_PER_SECOND));
        ns.map(gst::ClockTime::from_nseconds)
    };
    let end = buffer.pts().zip(buffer.duration());
    let end = end.and_then(|(pts, duration)| on_tick(pts + duration));
    let pts = buffer.pts().and_then(on_tick);
    buffer.set_pts(pts);
    buffer.set_dts(buffer.dts().and_then(on_tick));
    buffer.set_duration(end.zip(pts).map(|(end, pts)| end.saturating_sub(pts)));
}

fn buffer(bytes: Vec<u8>, start: gst::ClockTime, end: gst::ClockTime) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if let Some(writable) = buffer.get_mut() {
        writable.set_pts(start);
        writable.set_duration(end - start);
    }
    buffer
}

/// What the muxer hands out: an init segment, or whether a segment begins and its buffers.
enum Output {
    Init(Bytes),
    Chunk(bool, Vec<Bytes>),
}

/// Encodes and muxes the buffers that `make` makes until it has no more.
fn run(
    kind: TrackKind,
    media: &Media,
    caps: &str,
    encoder: &str,
    make: impl Fn(u32) -> Option<gst::Buffer> + Send + 'static,
) -> Result<Vec<Output>> {
    let fragment = gst::ClockTime::from_mseconds(u64::from(media.segment_s) * 1000 - EARLY_MS);
    let chunk = media.chunk.map_or(String::new(), |chunk| {
        format!("chunk-duration={}", chunk.as_nanos())
    });
    let launch = format!(
        "appsrc name=source format=time block=true max-buffers=8 caps={caps} ! {encoder} \
         ! cmafmux name=mux fragment-duration={} {chunk} header-update-mode=caps \
         send-force-keyunit=false sink::trak-timescale={TICKS_PER_SECOND} \
         ! appsink name=sink sync=false buffer-list=true max-buffers=16",
        fragment.nseconds()
    );
    let pipeline = gst::parse::launch(&launch)
        .with_context(|| format!("cannot encode {kind}"))?
        .downcast::<gst::Pipeline>()
        .ok()
        .context("no pipeline")?;
    let element = |name| pipeline.by_name(name).context("no such element");
    let source = element("source")?.downcast::<gst_app::AppSrc>();
    let source = source.ok().context("no appsrc")?;
    let sink = element("sink")?.downcast::<gst_app::AppSink>();
    let sink = sink.ok().context("no appsink")?;
    let entry = element("mux")?.static_pad("sink").context("no sink pad")?;
    entry.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            put_on_ticks(buffer.make_mut());
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing)?;
    let feeder = thread::spawn(move || {
        let refused = (0..)
            .map_while(&make)
            .any(|buffer| source.push_buffer(buffer).is_err());
        // If it was refused the pipeline has failed and says why.
        let _ = source.end_of_stream();
        !refused
    });
    let mut outputs = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let list = sample.buffer_list_owned().context("no buffer list")?;
        outputs.extend(read_list(&list)?);
    }
    let failure = pipeline.bus().and_then(|bus| {
        bus.pop_filtered(&[gst::MessageType::Error])
            .map(|message| format!("{message:?}"))
    });
    pipeline.set_state(gst::State::Null)?;
    let complete = feeder.join().unwrap_or(false);
    match failure {
        None if complete => Ok(outputs),
        failure => bail!("cannot encode {kind}: {failure:?}"),
    }
}

/// Reads one buffer list: `[ftyp moov]`, `[styp] moof` and the head of `mdat`, access units.
fn read_list(list: &gst::BufferList) -> Result<Vec<Output>> {
    let bytes = |buffer: gst::Buffer| -> Result<Bytes> {
        let mapped = buffer.into_mapped_buffer_readable();
        Ok(Bytes::from_owner(mapped.ok().context("unreadable")?))
    };
    let mut outputs = Vec::new();
    let mut buffers = list.iter_owned();
    let mut head = buffers.next().context("an empty list")?;
    if head.flags().contains(gst::BufferFlags::DISCONT) {
        outputs.push(Output::Init(bytes(head)?));
        head = match buffers.next() {
            Some(next) => next,
            None => return Ok(outputs),
        };
    }
    let begins = !head.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let parts = std::iter::once(head).chain(buffers).map(bytes);
    outputs.push(Output::Chunk(begins, parts.collect::<Result<_>>()?));
    Ok(outputs)
}

/// Puts chunks together to segments.
fn collect(kind: TrackKind, outputs: Vec<Output>) -> Result<Loop> {
    let mut init = None;
    let mut begin_90k = None;
    let mut segments: Vec<Segment> = Vec::new();
    for output in outputs {
        let (begins, mut parts) = match output {
            Output::Init(bytes) => {
                init = init.or(Some(bytes));
                continue;
            }
            Output::Chunk(begins, parts) => (begins, parts),
        };
        ensure!(!parts.is_empty(), "a chunk of nothing");
        let rest = parts.split_off(1);
        let head = mem::take(&mut parts[0]);
        let info = read_chunk(kind, &head)?;
        let begin_90k = *begin_90k.get_or_insert(info.start.ticks());
        let start_90k = info.start.ticks() - begin_90k;
        if begins {
            segments.push(Segment {
                start_90k,
                duration_90k: 0,
                chunks: Vec::new(),
            });
        }
        let segment = segments.last_mut().context("no segment has begun")?;
        segment.duration_90k += info.duration_90k;
        segment.chunks.push(Chunk {
            head: Moof::read(head)?,
            rest,
            start_90k,
        });
    }
    Ok(Loop {
        kind,
        init: init.context("no init segment")?,
        duration_90k: segments.iter().map(|segment| segment.duration_90k).sum(),
        segments,
    })
}
