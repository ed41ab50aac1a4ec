//! Where segments end, told to the splitmuxsink within hlssink3.
//!
//! By itself it ends a segment when the whole GOP behind it has come, to know whether that still fits: with a keyframe
//! every 4 s, a segment would be listed 4 s after its end. What it takes for the end of a GOP is a picture that
//! depends on no other. So the first picture that is shown after a keyframe that begins a segment is passed to it as such a
//! one, which makes a GOP of the keyframe alone, before which it is told to split; the muxer behind it gets the picture as it is.

use gstreamer as gst;
use gstreamer::{glib, meta::CustomMeta, prelude::*};
use parking_lot::{Mutex, Once};

use super::window::TARGET_S;

/// So much longer than its target a segment may be: the camera's clock is followed.
const LATE: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// None is shorter: segments are numbered by half seconds.
const SHORTEST: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// Is on a picture that depends on others while it passes for one that does not.
const DISGUISED: &str = "DayreelDisguised";

/// Makes `hls`, linked with its pictures, end segments as soon as the next one has begun. No GOP so far was longer than
/// `longest`.
///
/// # Errors
/// It is not made as it was.
pub(super) fn split_early(
    hls: &gst::Element,
    longest: gst::ClockTime,
) -> Result<(), glib::BoolError> {
    register();
    let missing = || glib::bool_error!("hlssink3 has no splitmuxsink with a muxer and pictures");
    let bin = hls.downcast_ref::<gst::Bin>();
    let split = bin.and_then(|bin| bin.by_name("split_mux_sink"));
    let split = split.ok_or_else(missing)?;
    let muxer = split.property::<Option<gst::Element>>("muxer");
    let muxer = muxer.ok_or_else(missing)?;
    let pictures = hls.static_pad("video").ok_or_else(missing)?;
    split.set_property("max-size-time", gst::ClockTime::ZERO.nseconds());
    for pad in muxer.sink_pads() {
        pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            info.buffer_mut().into_iter().for_each(unmask);
            gst::PadProbeReturn::Ok
        });
    }
    let split = split.downgrade();
    let segments = Mutex::new(Segments::new(longest));
    pictures.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(picture) = info.buffer_mut() {
            let turn = segments.lock().pass(picture);
            if let Some((split, at)) = split.upgrade().zip(turn.split_at) {
                split.emit_by_name::<()>("split-at-running-time", &[&at.nseconds()]);
            }
            if turn.is_disguised {
                mask(picture.make_mut());
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| CustomMeta::register(DISGUISED, &[]));
}

fn mask(picture: &mut gst::BufferRef) {
    // Where that fails, it stays as it is, and the segment ends later.
    if CustomMeta::add(picture, DISGUISED).is_ok() {
        picture.unset_flags(gst::BufferFlags::DELTA_UNIT);
    }
}

fn unmask(unit: &mut gst::Buffer) {
    if CustomMeta::from_buffer(unit, DISGUISED).is_ok() {
        unit.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
    }
}

fn is_delta(picture: &gst::BufferRef) -> bool {
    picture.flags().contains(gst::BufferFlags::DELTA_UNIT)
}

/// What to do before a picture is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Turn {
    /// With the first GOP that begins then or later a segment begins, running time.
    split_at: Option<gst::ClockTime>,
    is_disguised: bool,
}

/// Decides which keyframes begin a segment.
#[derive(Debug)]
struct Segments {
    /// The longest GOP so far.
    longest: gst::ClockTime,
    /// Where the open one begins.
    start: Option<gst::ClockTime>,
    /// The newest keyframe.
    keyframe: Option<gst::ClockTime>,
    /// The newest picture that depends on no other, or passes for such a one.
    free: Option<gst::ClockTime>,
    /// A segment begins with the newest keyframe, and no picture after it was disguised.
    is_begun: bool,
}

impl Segments {
    const fn new(longest: gst::ClockTime) -> Self {
        Self {
            longest,
            start: None,
            keyframe: None,
            free: None,
            is_begun: false,
        }
    }

    /// What to do before `picture` is passed on. Its times are running times.
    fn pass(&mut self, picture: &gst::BufferRef) -> Turn {
        let Some(shown) = picture.pts() else {
            return Turn::default();
        };
        let is_behind = self.keyframe.is_some_and(|keyframe| keyframe < shown);
        let mut turn = Turn::default();
        if is_delta(picture) {
            turn.is_disguised = is_behind && std::mem::take(&mut self.is_begun);
        } else {
            self.is_begun = is_behind && self.begins_with(shown);
            if self.is_begun {
                // Not when this one is shown: pictures that come behind it may be shown before it.
                turn.split_at = self.free.map(|free| free + gst::ClockTime::NSECOND);
                self.start = Some(shown);
            }
            self.start.get_or_insert(shown);
            self.keyframe = Some(shown);
        }
        if turn.is_disguised || !is_delta(picture) {
            self.free = Some(shown);
        }
        turn
    }

    /// Whether a segment begins with the keyframe shown at `shown`, which is after the newest one.
    fn begins_with(&mut self, shown: gst::ClockTime) -> bool {
        let since = |before: Option<gst::ClockTime>| shown.saturating_sub(before.unwrap_or(shown));
        self.longest = self.longest.max(since(self.keyframe));
        let target = gst::ClockTime::from_seconds(TARGET_S);
        let length = since(self.start);
        length >= SHORTEST && length + self.longest > target + LATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture shown at that time, ms.
    fn picture(shown_ms: u64, is_keyframe: bool) -> gst::Buffer {
        gst::init().unwrap();
        let mut picture = gst::Buffer::from_slice([0]);
        let unit = picture.make_mut();
        unit.set_pts(gst::ClockTime::from_mseconds(shown_ms));
        if !is_keyframe {
            unit.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        picture
    }

    /// Keyframes with which segments begin, and pictures that are disguised, ms, of pictures that are shown at `shown`
    /// with keyframes at these, after GOPs of at most `longest`.
    fn segments(
        longest_ms: u64,
        keyframes: &[u64],
        shown: impl IntoIterator<Item = u64>,
    ) -> (Vec<u64>, Vec<u64>) {
        let mut segments = Segments::new(gst::ClockTime::from_mseconds(longest_ms));
        let (mut begun, mut disguised) = (Vec::new(), Vec::new());
        for shown_ms in shown {
            let free = segments.free;
            let turn = segments.pass(&picture(shown_ms, keyframes.contains(&shown_ms)));
            if let Some(at) = turn.split_at {
                assert_eq!(at.nseconds() - 1, free.unwrap().nseconds());
                begun.push(shown_ms);
            }
            if turn.is_disguised {
                disguised.push(shown_ms);
            }
        }
        (begun, disguised)
    }

    fn every_100_ms(to_ms: u64) -> impl Iterator<Item = u64> {
        (0..to_ms).step_by(100)
    }

    #[test]
    fn a_segment_is_a_second_or_a_gop_and_the_second_picture_of_the_next_is_disguised() {
        let of = |keyframes: &[u64]| segments(0, keyframes, every_100_ms(9_000));
        assert_eq!(of(&[0, 4000, 8000]), (vec![4000, 8000], vec![4100, 8100]));
        let even: Vec<_> = (0..9).map(|s| s * 500).collect();
        assert_eq!(
            of(&even),
            (vec![1000, 2000, 3000, 4000], vec![1100, 2100, 3100, 4100])
        );
        let all: Vec<_> = every_100_ms(3_000).collect();
        assert_eq!(
            segments(0, &all, every_100_ms(3_000)),
            (vec![1100, 2200], vec![])
        );
        assert_eq!(of(&[0]), (vec![], vec![]));
    }

    #[test]
    fn a_segment_is_no_longer_than_the_longest_gop() {
        let keyframes = [0, 500, 4500, 4800, 8800];
        let (begun, _) = segments(4_000, &keyframes, every_100_ms(9_000));
        // But 300 ms are too short to be one.
        assert_eq!(begun, [500, 4500, 8800]);
    }

    /// Which are shown before the keyframe, or before the one that was disguised.
    #[test]
    fn pictures_in_another_order_change_nothing() {
        let order = [0, 300, 100, 200, 600, 400, 500, 900, 700, 800];
        let order: Vec<_> = (0..4)
            .flat_map(|s| order.map(|ms| s * 1_000 + ms))
            .collect();
        let keyframes = [0, 2_000];
        assert_eq!(
            segments(2_000, &keyframes, order),
            (vec![2_000], vec![2_300])
        );
        let open = [0, 300, 600, 400, 500, 1_000, 800, 900, 1_300, 1_100, 1_200];
        assert_eq!(
            segments(1_200, &[0, 1_000], open),
            (vec![1_000], vec![1_300])
        );
    }

    #[test]
    fn a_picture_is_disguised_and_becomes_again_what_it_was() {
        let mut delta = picture(0, false);
        register();
        mask(delta.make_mut());
        assert!(!is_delta(&delta));
        let shared = delta.clone();
        unmask(&mut delta);
        assert!(is_delta(&delta) && !is_delta(&shared));
        let bytes = |unit: &gst::Buffer| unit.peek_memory(0).map_readable().unwrap().as_ptr();
        assert_eq!(bytes(&delta), bytes(&shared));
        let mut keyframe = picture(0, true);
        unmask(&mut keyframe);
        assert!(!is_delta(&keyframe));
    }
}
