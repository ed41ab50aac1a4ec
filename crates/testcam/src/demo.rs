//! The two cameras of the demo.

use anyhow::Result;

use crate::{AudioCodec, Camera, Look, PictureSettings, Recording, Settings, Source, launch};

/// Id, name in the picture, scenery and sound of each.
const CAMERAS: [(&str, &str, Look, Option<AudioCodec>); 2] = [
    (
        "front-door",
        "FRONT DOOR",
        Look::Street,
        Some(AudioCodec::Aac),
    ),
    ("garden", "GARDEN", Look::Garden, None),
];

fn picture(look: Look, audio: Option<AudioCodec>) -> PictureSettings {
    PictureSettings {
        look,
        audio,
        ..PictureSettings::default()
    }
}

/// The GStreamer elements that the demo's cameras need, each with the Debian package that has it.
pub fn demo_elements() -> Vec<(&'static str, &'static str)> {
    let pictures = CAMERAS.map(|(_, _, look, audio)| picture(look, audio));
    let elements = |settings| launch::elements(&launch::picture(settings));
    pictures.iter().flat_map(elements).collect()
}

/// Starts the cameras of the demo on loopback ports of the system's choice: `front-door`, a street
/// at night with AAC sound, and `garden`, by day and silent. Each is H.264, 1280×720, 25 frames a
/// second, 2 s GOP, with clock and pattern, and costs about a sixth of a core while watched.
///
/// Returned with the camera id the demo uses for each.
///
/// # Errors
/// As [`Camera::start`].
pub fn demo_cameras() -> Result<[(&'static str, Camera); 2]> {
    let camera = |(id, name, look, audio): (&'static str, &str, _, _)| {
        let camera = Camera::start(Settings {
            name: name.into(),
            path: format!("/{id}"),
            source: Source::Picture(picture(look, audio)),
            recording: Recording::Off,
            ..Settings::default()
        })?;
        anyhow::Ok((id, camera))
    };
    let [front_door, garden] = CAMERAS;
    Ok([camera(front_door)?, camera(garden)?])
}
