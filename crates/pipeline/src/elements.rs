//! The GStreamer elements this crate needs, and the Debian packages that have them.

use std::{collections::BTreeSet, path::PathBuf};

use gstreamer::{self as gst, prelude::*};

use crate::Error;

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

const OURS: &str = "none: it is part of this program";

/// Element, package.
const REQUIRED: &[(&str, &str)] = &[
    ("tee", "libgstreamer1.0-0"),
    ("capsfilter", "libgstreamer1.0-0"),
    ("queue", "libgstreamer1.0-0"),
    ("appsink", BASE),
    ("appsrc", BASE),
    ("videoconvertscale", BASE),
    ("audioconvert", BASE),
    ("audioresample", BASE),
    ("opusdec", BASE),
    ("rtpjitterbuffer", GOOD),
    ("rtph264depay", GOOD),
    ("rtph265depay", GOOD),
    ("rtpjpegdepay", GOOD),
    ("rtpmp4vdepay", GOOD),
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
    ("jpegdec", GOOD),
    ("jpegenc", GOOD),
    ("videocrop", GOOD),
    ("mpeg4videoparse", BAD),
    ("h264parse", BAD),
    ("h265parse", BAD),
    ("h264timestamper", BAD),
    ("h265timestamper", BAD),
    ("x264enc", UGLY),
    ("avdec_h264", LIBAV),
    ("avdec_h265", LIBAV),
    ("avdec_mpeg4", LIBAV),
    ("avdec_g726", LIBAV),
    ("avenc_aac", LIBAV),
    ("splitmuxsink", GOOD),
    ("mpegtsmux", BAD),
    ("giostreamsink", BASE),
    ("cmafmux", OURS),
    ("hlssink3", OURS),
];

/// Starts GStreamer, registers the muxers that are part of this program and checks that every
/// element is there. Call it once, before anything else of this crate; more often does no harm.
///
/// # Errors
/// GStreamer does not start, or elements are missing: the error names each and its package.
pub fn init() -> Result<(), Error> {
    gst::init().map_err(Error::Init)?;
    gstfmp4::plugin_register_static().map_err(Error::Register)?;
    gsthlssink3::plugin_register_static().map_err(Error::Register)?;
    let missing = missing(REQUIRED);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::MissingElements(missing))
    }
}

/// The plugin files that have the elements this crate needs, and those that have `more` (element,
/// package). What is part of this program is in none. Starts GStreamer, as [`init`].
///
/// # Errors
/// As [`init`], also for `more`.
pub fn plugin_files(more: &[(&'static str, &'static str)]) -> Result<BTreeSet<PathBuf>, Error> {
    init()?;
    let missing = missing(more);
    if !missing.is_empty() {
        return Err(Error::MissingElements(missing));
    }
    let file = |element: &str| {
        let plugin = gst::ElementFactory::find(element)?.plugin()?;
        Some(plugin.filename()?.to_path_buf())
    };
    let elements = REQUIRED.iter().chain(more);
    Ok(elements.filter_map(|(element, _)| file(element)).collect())
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
    fn every_element_is_in_a_file_or_in_this_program() {
        let files = plugin_files(&[("videotestsrc", BASE)]).unwrap();
        let has = |name: &str| files.iter().any(|file| file.ends_with(name));
        for name in [
            "libgstcoreelements.so",
            "libgstrtpmanager.so",
            "libgstvideotestsrc.so",
        ] {
            assert!(has(name), "{name} in {files:?}");
        }
        assert!(!has("libgstfmp4.so"));
        assert!(!has("libgstalsa.so"), "nothing that is not needed");
        let error = plugin_files(&[("nonesuch", "plugins-none")]).unwrap_err();
        assert!(error.to_string().contains("nonesuch"), "{error}");
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
