//! `base_path`: the path below which a reverse proxy shows the server.

use std::{fmt, str::FromStr};

use dayreel_core::RESERVED_IDS;

/// Below which path a reverse proxy shows the server: none, or one such as `/cameras/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no base path; allowed is one such as \"/cameras/\": of a-z, A-Z, 0-9, '_', '.' and '-' between \
     slashes, and not beginning with a path of the server itself ({})", RESERVED_IDS.join(", ")
)]
pub struct InvalidBasePath;

impl BasePath {
    /// Without the slash at its end: what is written before a path of the server. Empty if there is none.
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// With the slash at its end. `/` if there is none.
    pub fn folder(&self) -> String {
        format!("{}/", self.0)
    }

    /// What is between its first two slashes.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.split('/').nth(1)
    }

    /// The path of the server that `target`, which begins with this, means: it begins with a slash, or is
    /// empty. `None` if it does not begin with this.
    pub fn strip<'t>(&self, target: &'t str) -> Option<&'t str> {
        let rest = target.strip_prefix(self.prefix())?;
        (!self.0.is_empty() && (rest.is_empty() || rest.starts_with(['/', '?']))).then_some(rest)
    }
}

impl FromStr for BasePath {
    type Err = InvalidBasePath;

    fn from_str(text: &str) -> Result<Self, InvalidBasePath> {
        if text == "/" {
            return Ok(Self::default());
        }
        let inner = text.strip_prefix('/').ok_or(InvalidBasePath)?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        // `.` and `..` are no names.
        let is_name = |part: &str| {
            part.chars().all(is_allowed) && !part.trim_matches('.').is_empty() && part.len() <= 64
        };
        let mut parts = inner.split('/');
        let first = inner.split('/').next().unwrap_or_default();
        let is_free = !RESERVED_IDS.contains(&first.to_ascii_lowercase().as_str());
        match is_free && parts.clone().count() <= 8 && parts.all(is_name) {
            true => Ok(Self(format!("/{inner}"))),
            false => Err(InvalidBasePath),
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folder())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_of_plain_names() {
        for (text, prefix) in [
            ("/", ""),
            ("/cameras/", "/cameras"),
            ("/cameras", "/cameras"),
            ("/home/cams.v2/", "/home/cams.v2"),
        ] {
            assert_eq!(text.parse::<BasePath>().unwrap().prefix(), prefix, "{text}");
        }
        for text in [
            "",
            "cameras",
            "//",
            "/a//b/",
            "/../",
            "/a/./",
            "/a b/",
            "/a?b/",
            "/%41/",
            "/api/",
            "/Assets/x/",
            "http://nas/cameras/",
        ] {
            assert_eq!(text.parse::<BasePath>(), Err(InvalidBasePath), "{text}");
        }
    }

    #[test]
    fn what_begins_with_it_is_below_it() {
        let base: BasePath = "/cameras/".parse().unwrap();
        for (target, rest) in [
            ("/cameras/", Some("/")),
            ("/cameras/a/b?c", Some("/a/b?c")),
            ("/cameras", Some("")),
            ("/cameras?a", Some("?a")),
            ("/camerasx/", None),
            ("/a/cameras/", None),
        ] {
            assert_eq!(base.strip(target), rest, "{target}");
        }
        assert_eq!(BasePath::default().strip("/a"), None);
    }
}
