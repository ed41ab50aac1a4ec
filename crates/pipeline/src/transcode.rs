//! Pictures that players do not know, as H.264.
//!
//! ```text
//! depay ─ [parse] ─ queue ─ decode ─ crop ─ x264enc ─ h264parse
//!                   ▲ may_pass()     ▲ prepare()
//! ```
//!
//! - Every picture comes out once, in order, with the time it came with: nothing is repeated,
//!   dropped or moved to make a constant frame rate.
//! - The queue has a thread of its own, so that the source goes on while a picture is encoded. Where
//!   the machine is too slow, pictures are dropped before the decoder, up to one that needs no other.
//! - Full range (JPEG, ITU-T T.871) becomes BT.709 in limited range, because many a player takes
//!   everything for that. Other colours stay. Either way the stream says what it has (VUI).

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_video as gst_video;
use parking_lot::Mutex;

use crate::{
    frame::{Recolour, recolour},
    offer::OtherVideo,
    panics,
    session::Parts,
};

/// Distance of keyframes.
const GOP: gst::ClockTime = gst::ClockTime::from_seconds(2);
/// A keyframe may come so much before its time: cameras round, and a picture more would make the GOP
/// longer than the others.
const GOP_EARLY: gst::ClockTime = gst::ClockTime::from_mseconds(10);
/// Constant quality of x264: people use 18 to 28.
const QUALITY: u32 = 23;
/// Most kbit/s, held over a second.
const MOST_KBPS: u32 = 8_000;
/// Of a camera that does not say how many pictures it sends.
const USUAL_FPS: (i32, i32) = (25, 1);
/// Threads of the encoder; each encodes a slice of the same picture, so none adds a delay.
const THREADS: u32 = 2;
/// Pictures that may wait for the decoder, a second of most cameras: more, and the machine is too
/// slow.
const MOST_WAITING: u32 = 25;
const MOST_WAITING_BYTES: u32 = 16 << 20;
/// Pictures between the queue and the parser, with those the decoder made nothing of.
const MOST_ENTRIES: usize = 256;
/// Times that differ by less are one.
const SAME: gst::ClockTime = gst::ClockTime::from_useconds(50);

/// When the pictures came that are being converted, by their running time, on the clock that only runs forward: what a
/// picture waits for the decoder and the encoder says nothing of the camera's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries(Arc<Mutex<VecDeque<(gst::ClockTime, u64)>>>);

impl Entries {
    fn push(&self, time: gst::ClockTime, steady_90k: u64) {
        let mut entries = self.0.lock();
        if entries.len() >= MOST_ENTRIES {
            entries.pop_front();
        }
        entries.push_back((time, steady_90k));
    }

    /// When the picture of this time came. They come out in order, so earlier ones are forgotten with it.
    pub(crate) fn take(&self, time: gst::ClockTime) -> Option<u64> {
        let mut entries = self.0.lock();
        let found = entries
            .iter()
            .position(|(at, _)| at.nseconds().abs_diff(time.nseconds()) < SAME.nseconds())?;
        let (_, steady_90k) = entries.remove(found)?;
        entries.retain(|(at, _)| *at > time);
        Some(steady_90k)
    }
}

/// The elements from the depayloader to the parser of H.264, and once more the latter.
///
/// # Errors
/// An element is missing.
pub(crate) fn to_h264(
    video: OtherVideo,
    parts: &Arc<Parts>,
) -> Result<(Vec<gst::Element>, gst::Element, Entries), glib::BoolError> {
    elements(video, Arc::downgrade(parts))
}

fn elements(
    video: OtherVideo,
    parts: Weak<Parts>,
) -> Result<(Vec<gst::Element>, gst::Element, Entries), glib::BoolError> {
    let (depay, parse, decode) = match video {
        OtherVideo::Jpeg => ("rtpjpegdepay", None, "jpegdec"),
        // The parser knows which pictures need no other.
        OtherVideo::Mpeg4 => ("rtpmp4vdepay", Some("mpeg4videoparse"), "avdec_mpeg4"),
    };
    let queue = queue()?;
    let entries = Entries::default();
    watch_load(&queue, entries.clone(), parts.clone())?;
    let mut decoder = gst::ElementFactory::make(decode)
        // A damaged picture is left out; it ends nothing.
        .property("max-errors", -1);
    if video == OtherVideo::Mpeg4 {
        // More would hold back a picture each.
        decoder = decoder.property("max-threads", 1);
    }
    let planes = gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::I420)
        .build();
    let planes = gst::ElementFactory::make("capsfilter")
        .property("caps", planes)
        .build()?;
    let crop = gst::ElementFactory::make("videocrop").build()?;
    let encoder = encoder()?;
    prepare(&crop, &encoder, parts)?;
    let parser = gst::ElementFactory::make("h264parse").build()?;
    let units = gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .build();
    let units = gst::ElementFactory::make("capsfilter")
        .property("caps", units)
        .build()?;
    let mut elements = vec![gst::ElementFactory::make(depay).build()?];
    if let Some(parse) = parse {
        elements.push(gst::ElementFactory::make(parse).build()?);
    }
    elements.extend([
        queue,
        decoder.build()?,
        planes,
        crop,
        encoder,
        units,
        parser.clone(),
    ]);
    Ok((elements, parser, entries))
}

fn queue() -> Result<gst::Element, glib::BoolError> {
    gst::ElementFactory::make("queue")
        // The limits are those of may_pass(): this one would make the source wait.
        .property("max-size-buffers", 0_u32)
        .property("max-size-bytes", 0_u32)
        .property("max-size-time", 0_u64)
        .build()
}

fn encoder() -> Result<gst::Element, glib::BoolError> {
    gst::ElementFactory::make("x264enc")
        .property_from_str("speed-preset", "veryfast")
        .property_from_str("tune", "zerolatency")
        .property("threads", THREADS)
        .property_from_str("pass", "qual")
        .property("quantizer", QUALITY)
        .property("bitrate", MOST_KBPS)
        .property("vbv-buf-capacity", 1_000_u32)
        // Keyframes come by time, see is_due(): no frame rate is to be relied on.
        .property("key-int-max", 1_000_u32)
        .property("option-string", "scenecut=0")
        .build()
}

/// Drops what the decoder is too slow for.
fn watch_load(
    queue: &gst::Element,
    entries: Entries,
    parts: Weak<Parts>,
) -> Result<(), glib::BoolError> {
    let pad = queue
        .static_pad("sink")
        .ok_or_else(|| glib::bool_error!("the queue has no sink pad"))?;
    let weak = queue.downgrade();
    let is_skipping = Mutex::new(false);
    let own = parts.clone();
    panics::add_probe(&pad, gst::PadProbeType::BUFFER, own, move |pad, info| {
        let (Some(queue), Some(unit)) = (weak.upgrade(), info.buffer()) else {
            return gst::PadProbeReturn::Ok;
        };
        let waiting: u32 = queue.property("current-level-buffers");
        let waiting_bytes: u32 = queue.property("current-level-bytes");
        let needs_others = unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let load = match () {
            () if waiting > MOST_WAITING || waiting_bytes > MOST_WAITING_BYTES => Load::Full,
            () if waiting > MOST_WAITING / 2 => Load::High,
            () => Load::Low,
        };
        if may_pass(&mut is_skipping.lock(), load, needs_others) {
            let segment = pad.sticky_event::<gst::event::Segment>(0);
            let time = segment.and_then(|event| {
                let segment = event.segment().downcast_ref::<gst::ClockTime>()?.clone();
                segment.to_running_time(unit.pts()?)
            });
            if let (Some(time), Some(parts)) = (time, parts.upgrade()) {
                entries.push(time, parts.shared.arrival().steady_90k);
            }
            return gst::PadProbeReturn::Ok;
        }
        if let Some(parts) = parts.upgrade() {
            parts.shared.note_not_converted();
        }
        gst::PadProbeReturn::Handled
    });
    Ok(())
}

/// How much waits for the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Low,
    High,
    Full,
}

/// Whether a picture may go to the decoder: after one that could not, none does that needs others,
/// and none before there is room again.
fn may_pass(is_skipping: &mut bool, load: Load, needs_others: bool) -> bool {
    *is_skipping = match load {
        Load::Full => true,
        Load::High => *is_skipping,
        Load::Low => *is_skipping && needs_others,
    };
    !*is_skipping
}

/// Lets pictures reach the encoder in even size and in colours that players know, and asks it for
/// keyframes.
fn prepare(
    crop: &gst::Element,
    encoder: &gst::Element,
    parts: Weak<Parts>,
) -> Result<(), glib::BoolError> {
    let no_sink = || glib::bool_error!("an element has no sink pad");
    let entry = crop.static_pad("sink").ok_or_else(no_sink)?;
    let weak = crop.downgrade();
    // One streaming thread calls them: locks are never waited for.
    let colours = Mutex::new(None);
    panics::add_probe(
        &entry,
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
        parts.clone(),
        move |_, info| {
            let mut colours = colours.lock();
            match &mut info.data {
                Some(gst::PadProbeData::Event(event)) => {
                    if let (Some((caps, new)), Some(crop)) = (of_caps(event), weak.upgrade()) {
                        // H.264 in 4:2:0 has no odd sizes (ITU-T H.264 §7.4.2.1.1): a column and a
                        // row are lost rather than all of them blurred.
                        crop.set_property("right", new.info.width().cast_signed() % 2);
                        crop.set_property("bottom", new.info.height().cast_signed() % 2);
                        *event = gst::event::Caps::new(&caps);
                        *colours = Some(new);
                    }
                    gst::PadProbeReturn::Ok
                }
                Some(gst::PadProbeData::Buffer(picture)) => match &*colours {
                    Some(colours) => colours.apply(picture),
                    None => gst::PadProbeReturn::Ok,
                },
                _ => gst::PadProbeReturn::Ok,
            }
        },
    );
    let entry = encoder.static_pad("sink").ok_or_else(no_sink)?;
    let keyframe = Mutex::new(None);
    panics::add_probe(
        &entry,
        gst::PadProbeType::BUFFER,
        parts,
        move |pad, info| {
            let pts = info.buffer().and_then(|picture| picture.pts());
            if pts.is_some_and(|pts| is_due(&mut keyframe.lock(), pts)) {
                // It concerns the picture after it, which is this one.
                pad.send_event(gst_video::DownstreamForceKeyUnitEvent::builder().build());
            }
            gst::PadProbeReturn::Ok
        },
    );
    Ok(())
}

/// Whether the picture at `pts` shall be a keyframe; `last` is when the last was.
fn is_due(last: &mut Option<gst::ClockTime>, pts: gst::ClockTime) -> bool {
    // Pictures come in order: time that goes back is another time.
    let is_due = last.is_none_or(|last| pts + GOP_EARLY >= last + GOP || pts < last);
    if is_due {
        *last = Some(pts);
    }
    is_due
}

/// Pictures as the decoder makes them.
struct Colours {
    info: gst_video::VideoInfo,
    /// What has to be done to them.
    recolouring: Option<Recolour>,
}

/// What a caps event says of the pictures, and the caps of what is made of them.
fn of_caps(event: &gst::Event) -> Option<(gst::Caps, Colours)> {
    let gst::EventView::Caps(event) = event.view() else {
        return None;
    };
    let info = gst_video::VideoInfo::from_caps(event.caps()).ok()?;
    let colours = info.colorimetry();
    let is_full = colours.range() == gst_video::VideoColorRange::Range0_255;
    let recolouring = is_full.then(|| Recolour::to_bt709(colours)).flatten();
    let mut caps = event.caps_owned();
    if recolouring.is_some() {
        caps.make_mut().set("colorimetry", "bt709");
    }
    if info.fps().numer() == 0 {
        // Else x264 counts in nanoseconds, and shares out its bit rate among a billion pictures a
        // second. Times do not follow from it.
        caps.make_mut()
            .set("framerate", gst::Fraction::new(USUAL_FPS.0, USUAL_FPS.1));
    }
    Some((caps, Colours { info, recolouring }))
}

impl Colours {
    fn apply(&self, picture: &mut gst::Buffer) -> gst::PadProbeReturn {
        let Some(recolouring) = &self.recolouring else {
            return gst::PadProbeReturn::Ok;
        };
        let recoloured = gst_video::VideoFrameRef::from_buffer_ref_readable(picture, &self.info)
            .and_then(|from| recolour(&from, recolouring))
            .and_then(|mut recoloured| {
                let writable = recoloured
                    .get_mut()
                    .ok_or_else(|| glib::bool_error!("a new buffer is shared"))?;
                let metadata = gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS;
                picture.copy_into(writable, metadata, ..)?;
                Ok(recoloured)
            });
        match recoloured {
            Ok(recoloured) => {
                *picture = recoloured;
                gst::PadProbeReturn::Ok
            }
            Err(error) => {
                // No memory: better none than one in wrong colours.
                tracing::warn!(%error, "a picture cannot be converted");
                gst::PadProbeReturn::Handled
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gstreamer_app as gst_app;

    use super::*;

    const SECOND: gst::ClockTime = gst::ClockTime::SECOND;

    #[test]
    fn a_keyframe_is_due_every_two_seconds_however_the_camera_rounds() {
        let mut last = None;
        let mut due = |ms| is_due(&mut last, gst::ClockTime::from_mseconds(ms));
        let times = [0, 500, 1_989, 1_991, 2_500, 3_980, 3_999, 5_000];
        assert_eq!(
            times.map(&mut due),
            [true, false, false, true, false, false, true, false]
        );
        assert!(due(1_000), "another time");
    }

    #[test]
    fn what_needs_a_picture_that_was_dropped_is_dropped() {
        use Load::{Full, High, Low};
        let mut is_skipping = false;
        let mut pass = |load, needs_others| may_pass(&mut is_skipping, load, needs_others);
        assert!(pass(Low, true) && pass(High, true));
        assert!(!pass(Full, true));
        assert!(!pass(High, false), "there is hardly any room");
        assert!(!pass(Low, true), "it needs one that was dropped");
        assert!(pass(Low, false) && pass(High, true));
    }

    #[test]
    fn it_is_known_when_a_picture_came_that_comes_out_late() {
        let entries = Entries::default();
        let time = |n: u64| 40 * n * gst::ClockTime::MSECOND;
        // With a picture that is shown before the one it came after.
        for (came, shown) in [(0, 0), (1, 3), (2, 1), (3, 2), (4, 4)] {
            entries.push(time(shown), came);
        }
        // The decoder makes nothing of the second, and times are rounded on the way.
        let rounded = |n| time(n) + gst::ClockTime::from_useconds(11);
        let taken = [0, 2, 3].map(|n| entries.take(rounded(n)));
        assert_eq!(taken, [Some(0), Some(3), Some(1)]);
        assert_eq!(entries.take(time(1)), None, "it was passed over");
        assert_eq!(entries.take(time(4)), Some(4));
        for came in 0..1000 {
            entries.push(time(came), came);
        }
        assert_eq!(entries.0.lock().len(), MOST_ENTRIES);
        assert_eq!(entries.take(time(999)), Some(999));
        assert!(entries.0.lock().is_empty());
    }

    /// Three seconds of pictures.
    fn pictures(width: i32, height: i32) -> String {
        format!(
            "videotestsrc num-buffers=75 ! video/x-raw,format=I420,width={width},height={height},\
             framerate=25/1"
        )
    }

    /// What becomes of the pictures of `source`: times, all caps, and which are keyframes.
    fn encoded(source: &str) -> (Vec<gst::ClockTime>, Vec<gst::Caps>, Vec<usize>) {
        crate::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let source = gst::parse::bin_from_description(source, true).unwrap();
        let crop = gst::ElementFactory::make("videocrop").build().unwrap();
        let encoder = encoder().unwrap();
        prepare(&crop, &encoder, Weak::new()).unwrap();
        let sink = gst_app::AppSink::builder().sync(false).build();
        let elements = [source.upcast(), crop, encoder, sink.clone().upcast()];
        pipeline.add_many(&elements).unwrap();
        gst::Element::link_many(&elements).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let (mut times, mut caps, mut keyframes) = (vec![], vec![], vec![]);
        while let Some(sample) = sink.try_pull_sample(60 * SECOND) {
            let unit = sample.buffer().unwrap();
            let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>();
            times.extend(segment.unwrap().to_running_time(unit.pts()));
            if !unit.flags().contains(gst::BufferFlags::DELTA_UNIT) {
                keyframes.push(times.len() - 1);
            }
            caps.extend(sample.caps_owned());
        }
        caps.dedup();
        pipeline.set_state(gst::State::Null).unwrap();
        (times, caps, keyframes)
    }

    fn size(caps: &gst::Caps) -> (i32, i32) {
        let side = |name| caps.structure(0).unwrap().get::<i32>(name).unwrap();
        (side("width"), side("height"))
    }

    fn due(pictures: u64) -> Vec<gst::ClockTime> {
        let due = |n| gst::ClockTime::from_mseconds(40 * n);
        (0..pictures).map(due).collect()
    }

    #[test]
    fn odd_sizes_lose_a_column_and_a_row_and_no_picture() {
        let (times, caps, keyframes) = encoded(&format!("{} ! identity", pictures(175, 143)));
        assert_eq!(times, due(75));
        assert_eq!(keyframes, [0, 50], "one every 2 s");
        assert_eq!((caps.len(), size(&caps[0])), (1, (174, 142)));
        let colours = caps[0].structure(0).unwrap().get("colorimetry");
        assert_eq!(colours, Ok("bt601"));
    }

    #[test]
    fn full_range_is_said_to_be_limited_after_it_has_been_made_so() {
        let source = format!("{} ! jpegenc ! jpegdec", pictures(176, 144));
        let (times, caps, _) = encoded(&source);
        assert_eq!(times, due(75));
        let colours = caps[0].structure(0).unwrap().get("colorimetry");
        assert_eq!(colours, Ok("bt709"));
    }

    #[test]
    fn another_size_in_mid_stream_loses_no_picture() {
        let source = format!(
            "{} ! jpegenc ! concat name=both ! jpegdec {} ! jpegenc ! both.",
            pictures(176, 144),
            pictures(320, 184)
        );
        let (times, caps, keyframes) = encoded(&source);
        assert_eq!(times, due(150));
        let sizes: Vec<_> = caps.iter().map(size).collect();
        assert_eq!(sizes, [(176, 144), (320, 184)]);
        assert_eq!(keyframes, [0, 50, 75, 125]);
    }
}
