//! GStreamer's log as part of the program's.
//!
//! GStreamer tells more than anybody wants to know of a camera that fails, and calls most of it a warning or
//! an error; what that means for the camera, its supervisor says. So its errors are warnings here, and what
//! else it says is for who asks for it: `--log-level info,gstreamer=debug`, or `GST_DEBUG` as everywhere.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use dayreel_core::CameraId;
use gstreamer as gst;
use gstreamer::DebugLevel;
use parking_lot::Mutex;
use tracing::{Level, Span, debug, enabled, info_span, trace, warn};

/// The target of its lines.
const TARGET: &str = "gstreamer";
/// A place in GStreamer's source may say so much within [`PERIOD`].
const MOST: u32 = 5;
const PERIOD: Duration = Duration::from_secs(10);

/// What lines of the log are of that are written by a thread of this camera.
pub(crate) fn span_of(id: &CameraId) -> Span {
    info_span!("camera", %id)
}

/// From now on what GStreamer logs goes to `tracing`, not to stderr. Call it once, before [`crate::init`].
///
/// Each place in its source may speak five times in 10 s, so that a camera that sends nonsense does not
/// fill the disk with it; how much was left out is said later. Where `GST_DEBUG` is set, all is wanted.
pub fn log_to_tracing() {
    let is_wanted = std::env::var_os("GST_DEBUG").is_some();
    if !is_wanted {
        gst::log::set_default_threshold(match enabled!(target: TARGET, Level::DEBUG) {
            true => DebugLevel::Warning,
            false => DebugLevel::Error,
        });
    }
    gst::log::remove_default_log_function();
    let limit = (!is_wanted).then(Limit::default);
    gst::log::add_log_function(move |category, level, file, _, line, object, message| {
        let left_out = match &limit {
            Some(limit) => match limit.ask(file.as_str(), line, Instant::now()) {
                Some(left_out) => left_out,
                None => return,
            },
            None => 0,
        };
        let message = message.get();
        let message = message.as_ref().map_or("", |message| message.as_str());
        let object = object.map(ToString::to_string);
        tell(level, category.name(), object.as_deref(), message, left_out);
    });
}

fn tell(level: DebugLevel, category: &str, object: Option<&str>, message: &str, left_out: u32) {
    // Its own word for how bad it is.
    let said_as = level.name().as_str().trim_end();
    macro_rules! tell {
        ($tell:ident) => {
            $tell!(
                target: TARGET,
                category,
                object,
                said_as,
                left_out = (left_out > 0).then_some(left_out),
                "{message}"
            )
        };
    }
    match level {
        DebugLevel::Error => tell!(warn),
        DebugLevel::Warning | DebugLevel::Fixme | DebugLevel::Info => tell!(debug),
        _ => tell!(trace),
    }
}

/// How much each place has said. There are as many as in the source of GStreamer.
#[derive(Default)]
struct Limit(Mutex<HashMap<(String, u32), Said>>);

struct Said {
    since: Instant,
    times: u32,
}

impl Limit {
    /// Whether a place may speak, and then how much of it was left out since it last did.
    fn ask(&self, file: &str, line: u32, now: Instant) -> Option<u32> {
        let mut places = self.0.lock();
        let said = places.entry((file.to_owned(), line)).or_insert(Said {
            since: now,
            times: 0,
        });
        let mut left_out = 0;
        if now.duration_since(said.since) >= PERIOD {
            left_out = said.times.saturating_sub(MOST);
            *said = Said {
                since: now,
                times: 0,
            };
        }
        said.times = said.times.saturating_add(1);
        (said.times <= MOST).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_repeats_itself_is_cut_short_and_says_so() {
        let limit = Limit::default();
        let begin = Instant::now();
        let asked = |line, ms| limit.ask("a.c", line, begin + Duration::from_millis(ms));
        let said = (0..100).filter_map(|ms| asked(1, ms)).count();
        assert_eq!(said, 5);
        assert_eq!(asked(2, 100), Some(0), "another place");
        assert_eq!(asked(1, 9_999), None);
        assert_eq!(asked(1, 10_000), Some(96));
        assert_eq!(asked(1, 10_001), Some(0));
    }
}
