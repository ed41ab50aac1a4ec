//! Where segments end, told to the splitmuxsink within hlssink3.
//!
//! By itself it ends a segment when the whole GOP behind it has come, to know whether that still fits: with a keyframe
//! every 4 s, a segment would be listed 4 s after its end. What it takes for the end of a GOP is a picture that
//! depends on no other. So the first picture that is shown after a keyframe is passed to it as such a one, which
//! makes a GOP of the keyframe alone, before which it is told to split; the muxer behind it gets the picture as it is.

use gstreamer as gst;
use gstreamer::{meta::CustomMeta, prelude::*};
use parking_lot::{Mutex, Once};

use super::window::TARGET_S;

/// So much longer than its target a segment may be: the camera's clock is followed.
const LATE: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Is on a picture that depends on others while it passes for one that does not.
const DISGUISED: &str = "DayreelDisguised";

static REGISTERED: Once = Once::new();

/// Makes `hls`, linked with its pictures, end segments as soon as the next one has begun.
pub(super) fn split_early(hls: &gst::Element) {
    REGISTERED.call_once(|| CustomMeta::register(DISGUISED, &[]));
    let bin = hls.downcast_ref::<gst::Bin>();
    let Some(split) = bin.and_then(|bin| bin.by_name("split_mux_sink")) else {
        return;
    };
    let Some(pictures) = hls.static_pad("video") else {
        return;
    };
    let no_limit = gst::ClockTime::ZERO;
    split.set_property("max-size-time", no_limit.nseconds());
    let muxer = split.property::<Option<gst::Element>>("muxer");
    for pad in muxer.iter().flat_map(|muxer| muxer.sink_pads()) {
        pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            unmask(info);
            gst::PadProbeReturn::Ok
        });
    }
    let split = split.downgrade();
    let segments = Mutex::new(Segments::default());
    pictures.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(picture) = info.buffer_mut()
            && segments.lock().ends(picture)
            && let Some(split) = split.upgrade()
        {
            split.emit_by_name::<()>("split-now", &[]);
            mask(picture.make_mut());
        }
        gst::PadProbeReturn::Ok
    });
}

fn mask(picture: &mut gst::BufferRef) {
    // Where that fails, it stays as it is, and the segment ends later.
    if is_delta(picture) && CustomMeta::add(picture, DISGUISED).is_ok() {
        picture.unset_flags(gst::BufferFlags::DELTA_UNIT);
    }
}

fn unmask(info: &mut gst::PadProbeInfo<'_>) {
    if let Some(unit) = info.buffer_mut()
        && CustomMeta::from_buffer(unit, DISGUISED).is_ok()
    {
        unit.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
    }
}

fn is_delta(picture: &gst::BufferRef) -> bool {
    picture.flags().contains(gst::BufferFlags::DELTA_UNIT)
}

/// Decides which keyframes begin a segment.
#[derive(Debug, Default)]
struct Segments {
    /// Where the open one begins.
    start: Option<gst::ClockTime>,
    /// The newest keyframe.
    keyframe: Option<gst::ClockTime>,
    /// That begins a segment, which is to be told.
    is_due: bool,
}

impl Segments {
    /// Whether the segment before the newest keyframe ends now that `picture` has come, which is shown after that.
    fn ends(&mut self, picture: &gst::BufferRef) -> bool {
        let Some(shown) = picture.pts() else {
            return false;
        };
        let is_behind = self.keyframe.is_none_or(|keyframe| keyframe < shown);
        let ends = is_behind && std::mem::take(&mut self.is_due);
        if !is_delta(picture) {
            let gop = self
                .keyframe
                .replace(shown)
                .map(|before| shown.saturating_sub(before));
            let start = *self.start.get_or_insert(shown);
            // It is as long as the one before, as far as is known.
            let with_next = shown.saturating_sub(start) + gop.unwrap_or_default();
            if shown > start && with_next > gst::ClockTime::from_seconds(TARGET_S) + LATE {
                self.start = Some(shown);
                self.is_due = true;
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts of segments in ms, and the picture with which each is told, of pictures every 100 ms with keyframes at
    /// these.
    fn segments(keyframes: &[u64], pictures: u64) -> Vec<(u64, u64)> {
        let mut segments = Segments::default();
        let mut told = Vec::new();
        for nth in 0..pictures {
            let shown = gst::ClockTime::from_mseconds(nth * 100);
            let mut picture = gst::Buffer::new();
            let unit = picture.make_mut();
            unit.set_pts(shown);
            if !keyframes.contains(&(nth * 100)) {
                unit.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            let start = segments.start;
            if segments.ends(&picture) {
                told.push((start.map_or(0, gst::ClockTime::mseconds), shown.mseconds()));
            }
        }
        told
    }

    #[test]
    fn a_segment_is_a_second_or_a_gop_and_ends_with_the_second_picture_of_the_next() {
        gst::init().unwrap();
        assert_eq!(segments(&[0, 4000, 8000], 90), [(4000, 4100), (8000, 8100)]);
        assert_eq!(segments(&[0, 1000, 2000], 22), [(1000, 1100), (2000, 2100)]);
        assert_eq!(
            segments(&[0, 500, 1000, 1500, 2000], 22),
            [(1000, 1100), (2000, 2100)]
        );
        // Keyframes alone.
        let all: Vec<_> = (0..25).map(|nth| nth * 100).collect();
        assert_eq!(segments(&all, 25), [(1100, 1200), (2200, 2300)]);
        assert_eq!(segments(&[0], 50), []);
    }

    #[test]
    fn a_picture_is_disguised_and_becomes_again_what_it_was() {
        gst::init().unwrap();
        REGISTERED.call_once(|| CustomMeta::register(DISGUISED, &[]));
        let mut picture = gst::Buffer::new();
        picture.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
        mask(picture.make_mut());
        assert!(!is_delta(&picture));
        assert!(CustomMeta::from_buffer(&picture, DISGUISED).is_ok());
        let mut keyframe = gst::Buffer::new();
        mask(keyframe.make_mut());
        assert!(CustomMeta::from_buffer(&keyframe, DISGUISED).is_err());
    }
}
