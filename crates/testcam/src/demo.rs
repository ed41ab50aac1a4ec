//! The two cameras of the demo.

use anyhow::Result;

use crate::{AudioCodec, Camera, Look, PictureSettings, Recording, Settings, Source};

/// Starts the cameras of the demo on loopback ports of the system's choice: `front-door`, a street
/// at night with AAC sound, and `garden`, by day and silent. Each is H.264, 1280×720, 25 frames a
/// second, 2 s GOP, with clock and pattern, and costs about a sixth of a core while watched.
///
/// Returned with the camera id the demo uses for each.
///
/// # Errors
/// As [`Camera::start`].
pub fn demo_cameras() -> Result<[(&'static str, Camera); 2]> {
    let camera = |name: &str, path: &str, look, audio| {
        Camera::start(Settings {
            name: name.into(),
            path: path.into(),
            source: Source::Picture(PictureSettings {
                look,
                audio,
                ..PictureSettings::default()
            }),
            recording: Recording::Off,
            ..Settings::default()
        })
    };
    Ok([
        (
            "front-door",
            camera(
                "FRONT DOOR",
                "/front-door",
                Look::Street,
                Some(AudioCodec::Aac),
            )?,
        ),
        ("garden", camera("GARDEN", "/garden", Look::Garden, None)?),
    ])
}
