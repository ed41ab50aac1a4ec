//! The GStreamer elements this crate needs, and the Debian packages that have them.

use gstreamer as gst;

use crate::{Error, large_reads};

/// An element that is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingElement {
    /// Its name.
    pub element: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const UGLY: &str = "gstreamer1.0-plugins-ugly";
const LIBAV: &str = "gstreamer1.0-libav";

/// Element, package.
const REQUIRED: &[(&str, &str)] = &[
    ("tee", "libgstreamer1.0-0"),
    ("capsfilter", "libgstreamer1.0-0"),
    ("appsink", BASE),
    ("appsrc", BASE),
    ("videoconvertscale", BASE),
    ("audioconvert", BASE),
    ("audioresample", BASE),
    ("opusdec", BASE),
    ("rtspsrc", GOOD),
    ("rtpbin", GOOD),
    ("udpsrc", GOOD),
    ("rtph264depay", GOOD),
    ("rtph265depay", GOOD),
    ("rtpmp4gdepay", GOOD),
    ("rtpmp4adepay", GOOD),
    ("rtppcmudepay", GOOD),
    ("rtppcmadepay", GOOD),
    ("rtpg726depay", GOOD),
    ("rtpL16depay", GOOD),
    ("rtpopusdepay", GOOD),
    ("mulawdec", GOOD),
    ("alawdec", GOOD),
    ("aacparse", GOOD),
    ("jpegenc", GOOD),
    ("h264parse", BAD),
    ("h265parse", BAD),
    ("h264timestamper", BAD),
    ("h265timestamper", BAD),
    ("x264enc", UGLY),
    ("avdec_h264", LIBAV),
    ("avdec_h265", LIBAV),
    ("avdec_g726", LIBAV),
    ("avenc_aac", LIBAV),
    ("cmafmux", "none: it is part of this program"),
];

/// Starts GStreamer, registers the muxer that is part of this program and checks that every
/// element is there. Call it once, before anything else of this crate; more often does no harm.
///
/// # Errors
/// GStreamer does not start, or elements are missing: the error names each and its package.
pub fn init() -> Result<(), Error> {
    gst::init().map_err(Error::Init)?;
    gstfmp4::plugin_register_static().map_err(Error::Register)?;
    large_reads::enable();
    let missing = missing(REQUIRED);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::MissingElements(missing))
    }
}

fn missing(required: &[(&'static str, &'static str)]) -> Vec<MissingElement> {
    required
        .iter()
        .filter(|(element, _)| gst::ElementFactory::find(element).is_none())
        .map(|&(element, package)| MissingElement { element, package })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_elements_are_installed() {
        init().unwrap();
        init().unwrap();
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        init().unwrap();
        let missing = missing(&[("tee", "x"), ("nonesuch", "plugins-none"), ("nosuch", "a")]);
        assert_eq!(
            Error::MissingElements(missing).to_string(),
            "GStreamer elements are missing: nonesuch nosuch; \
             install them with: apt install a plugins-none"
        );
    }
}
