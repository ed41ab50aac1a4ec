//! Who may log in, and what they may see.

use std::{fmt, str::FromStr};

use dayreel_core::CameraId;

use crate::PasswordHash;

/// Longest name of a user.
const MAX_NAME: usize = 64;

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What they log in as.
    pub name: UserName,
    /// The hash of their password.
    pub password: PasswordHash,
    /// What they may do.
    pub role: Role,
}

/// What a user may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// See cameras and make moments: of these cameras, or of all where none are named.
    Viewer(Option<Vec<CameraId>>),
}

impl Role {
    /// All values of `role`.
    pub(crate) const NAMES: &[&str] = &["admin", "viewer"];

    /// As the configuration says it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer(_) => "viewer",
        }
    }

    /// Whether they may see that camera.
    pub fn sees(&self, camera: &CameraId) -> bool {
        match self {
            Self::Admin | Self::Viewer(None) => true,
            Self::Viewer(Some(cameras)) => cameras.contains(camera),
        }
    }
}

/// A user's name: 1 to 64 of `a-z`, `A-Z`, `0-9`, `.`, `_`, `-` and `@`. No colon (RFC 7617 §2), and
/// nothing that a cookie or a URL would have to quote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// Why a text is no user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no user's name; allowed are 1 to 64 of a-z, A-Z, 0-9, \".\", \"_\", \"-\" and \"@\"")]
pub struct InvalidUserName;

impl UserName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-@".contains(&c);
        let is_name = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_allowed);
        is_name
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidUserName)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
