//! The name of a camera, as it stands in every URL and folder.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// First path segments that the HTTP front end keeps for itself: no camera may bear them.
pub const RESERVED_IDS: &[&str] = &[
    "api", "app", "assets", "healthz", "login", "logout", "metrics", "readyz", "static",
];

/// A camera's id: 1 to 64 characters of `[a-zA-Z0-9_-]`, none of [`RESERVED_IDS`].
///
/// Safe as a URL path segment and as a folder name on every file system: no dot, slash or space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CameraId(String);

/// Why a text is no camera id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCameraId {
    /// Empty, or more than 64 characters.
    #[error("a camera id has 1 to 64 characters, this one has {0}")]
    Length(usize),
    /// A character outside the allowed set.
    #[error("{0:?} is not allowed in a camera id; allowed are a-z, A-Z, 0-9, '_' and '-'")]
    Character(char),
    /// A word that is a path of the HTTP front end.
    #[error("{0:?} is reserved; reserved are {list}", list = RESERVED_IDS.join(", "))]
    Reserved(String),
}

impl CameraId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CameraId {
    type Err = InvalidCameraId;

    fn from_str(text: &str) -> Result<Self, InvalidCameraId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
            return Err(InvalidCameraId::Character(bad));
        }
        if !(1..=64).contains(&text.len()) {
            return Err(InvalidCameraId::Length(text.len()));
        }
        if RESERVED_IDS.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(InvalidCameraId::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for CameraId {
    type Error = InvalidCameraId;

    fn try_from(text: String) -> Result<Self, InvalidCameraId> {
        text.parse()
    }
}

impl From<CameraId> for String {
    fn from(id: CameraId) -> Self {
        id.0
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_whole_alphabet_up_to_64_characters() {
        for id in ["a", "front-door", "Cam_2", &"x".repeat(64)] {
            assert_eq!(id.parse::<CameraId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn refuses_what_could_leave_its_folder_or_url() {
        use InvalidCameraId::{Character, Length, Reserved};
        assert_eq!("".parse::<CameraId>(), Err(Length(0)));
        assert_eq!("x".repeat(65).parse::<CameraId>(), Err(Length(65)));
        assert_eq!("..".parse::<CameraId>(), Err(Character('.')));
        assert_eq!("a/b".parse::<CameraId>(), Err(Character('/')));
        assert_eq!("tür".parse::<CameraId>(), Err(Character('ü')));
        assert_eq!("a\0".parse::<CameraId>(), Err(Character('\0')));
        assert_eq!("API".parse::<CameraId>(), Err(Reserved("API".into())));
    }
}
