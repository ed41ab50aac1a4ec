//! Whom events are sent to.

use std::{fmt, str::FromStr};

use url::Url;

use crate::secret_url::HIDDEN;

/// Shortest secret, bytes: 64 bits where they are hexadecimal digits.
const MIN_SECRET: usize = 16;

/// Somebody who is told of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where events are sent.
    pub url: WebhookUrl,
    /// What they are signed with.
    pub secret: WebhookSecret,
    /// Which.
    pub events: Vec<WebhookEvent>,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebhookEvent {
    /// Nothing has come from a camera for some time.
    CameraLost,
    /// It has come back.
    CameraBack,
    /// A camera has begun the next day.
    DayFinished,
    /// A moment has been made.
    MomentMade,
    /// The disk is full, and nothing is left to delete.
    DiskLow,
}

impl WebhookEvent {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::CameraLost,
        Self::CameraBack,
        Self::DayFinished,
        Self::MomentMade,
        Self::DiskLow,
    ];

    /// All values in `events`.
    pub(crate) const NAMES: &[&str] = &[
        "camera_lost",
        "camera_back",
        "day_finished",
        "moment_made",
        "disk_low",
    ];

    /// As the configuration and the event say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CameraLost => "camera_lost",
            Self::CameraBack => "camera_back",
            Self::DayFinished => "day_finished",
            Self::MomentMade => "moment_made",
            Self::DiskLow => "disk_low",
        }
    }

    /// The one of that name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// An `http://` or `https://` URL. `Debug` and `Display` show its host only: what follows is often a
/// key of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// Why a text is no such URL. Never holds a part of that text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no URL to send to; allowed is https://host:port/path or http://…, without user and password"
)]
pub struct InvalidWebhookUrl;

impl WebhookUrl {
    /// The whole of it.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for WebhookUrl {
    type Err = InvalidWebhookUrl;

    fn from_str(text: &str) -> Result<Self, InvalidWebhookUrl> {
        let url = Url::parse(text).map_err(|_| InvalidWebhookUrl)?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        let is_plain = url.username().is_empty() && url.password().is_none();
        (is_web && is_plain)
            .then_some(Self(url))
            .ok_or(InvalidWebhookUrl)
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{HIDDEN}", self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What events are signed with. `Debug` shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is too short to sign with; allowed are {MIN_SECRET} bytes or more, such as `openssl rand -hex 32` makes"
)]
pub struct InvalidWebhookSecret;

impl WebhookSecret {
    /// The secret itself, for the signature.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for WebhookSecret {
    type Err = InvalidWebhookSecret;

    fn from_str(text: &str) -> Result<Self, InvalidWebhookSecret> {
        (text.len() >= MIN_SECRET)
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidWebhookSecret)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_secrets_are_not_shown() {
        let url: WebhookUrl = "https://chat.lan:8443/hooks/T0KEN?k=T0KEN".parse().unwrap();
        assert_eq!(url.expose(), "https://chat.lan:8443/hooks/T0KEN?k=T0KEN");
        assert_eq!(
            format!("{url} {url:?}"),
            "https://chat.lan:8443/*** https://chat.lan:8443/***"
        );
        let secret: WebhookSecret = "0123456789abcdef".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(
            "0123456789abcde".parse::<WebhookSecret>(),
            Err(InvalidWebhookSecret)
        );
    }

    #[test]
    fn only_the_web_is_sent_to() {
        for bad in [
            "",
            "chat.lan/x",
            "ftp://chat.lan/x",
            "file:///etc/passwd",
            "http://",
            "https://u:p@chat.lan/",
        ] {
            assert_eq!(bad.parse::<WebhookUrl>(), Err(InvalidWebhookUrl), "{bad}");
        }
    }

    #[test]
    fn names_are_those_that_are_allowed() {
        assert_eq!(
            WebhookEvent::ALL.map(WebhookEvent::name),
            WebhookEvent::NAMES
        );
    }
}
