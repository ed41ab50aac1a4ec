//! The MQTT broker that is told of the cameras.

use std::{fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use url::{Host, Url};

use crate::{Trust, secret_url::HIDDEN};

/// What `snapshot_interval_s` may be, seconds: each snapshot is decoded.
pub const SNAPSHOT_INTERVAL_RANGE_S: RangeInclusive<u32> = 5..=86_400;
/// `topic_prefix` where nothing else is said.
pub(crate) const DEFAULT_TOPIC_PREFIX: &str = "dayreel";
/// `discovery_prefix` where nothing else is said: Home Assistant's own default.
pub(crate) const DEFAULT_DISCOVERY_PREFIX: &str = "homeassistant";
/// Longest beginning of a topic, bytes; a topic has 65,535 (MQTT 3.1.1 §1.5.3).
const MAX_TOPIC: usize = 200;
/// Longest user or password, bytes (MQTT 3.1.1 §1.5.3).
const MAX_LOGIN: usize = 65_535;

/// `[mqtt]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// Where the broker is.
    pub url: MqttUrl,
    /// Who this is to it.
    pub login: Option<MqttLogin>,
    /// Whose certificate is accepted where the URL begins with `mqtts`.
    pub trust: Trust,
    /// What all topics begin with.
    pub topic_prefix: Topic,
    /// What Home Assistant looks for devices under; `None`: it is not told of them.
    pub discovery_prefix: Option<Topic>,
    /// How often a picture of each camera is published; `None`: never. Whole seconds within
    /// [`SNAPSHOT_INTERVAL_RANGE_S`].
    pub snapshot_interval: Option<Duration>,
}

/// `mqtt://host:port`, or `mqtts://` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttUrl {
    host: Host<String>,
    port: u16,
    is_encrypted: bool,
}

/// Why a text is no such URL. Never holds a part of that text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no address of a broker; allowed is mqtt://host:port, or mqtts://host:port for TLS, without path; \
     user and password have keys of their own"
)]
pub struct InvalidMqttUrl;

impl MqttUrl {
    /// Name or address, without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        }
    }

    /// TCP; 1883 where nothing is said, with TLS 8883.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken.
    pub const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }
}

impl FromStr for MqttUrl {
    type Err = InvalidMqttUrl;

    fn from_str(text: &str) -> Result<Self, InvalidMqttUrl> {
        let url = Url::parse(text).map_err(|_| InvalidMqttUrl)?;
        let (is_encrypted, port) = match url.scheme() {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(InvalidMqttUrl),
        };
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_alone = matches!(url.path(), "" | "/") && url.query().is_none();
        let host = url.host().filter(|_| is_plain && is_alone);
        Ok(Self {
            host: host.ok_or(InvalidMqttUrl)?.to_owned(),
            port: url.port().unwrap_or(port),
            is_encrypted,
        })
    }
}

impl fmt::Display for MqttUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// User and password. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct MqttLogin {
    user: String,
    password: Option<String>,
}

/// Why a text is no user or password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is empty or longer than {MAX_LOGIN} bytes")]
pub struct InvalidMqttLogin;

impl MqttLogin {
    /// Both are as [`Self::check`] says.
    pub(crate) const fn new(user: String, password: Option<String>) -> Self {
        Self { user, password }
    }

    /// Whether it may be a user or a password.
    pub(crate) fn check(text: &str) -> Result<String, InvalidMqttLogin> {
        let fits = (1..=MAX_LOGIN).contains(&text.len());
        fits.then(|| text.to_owned()).ok_or(InvalidMqttLogin)
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password itself, for the broker.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl fmt::Debug for MqttLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttLogin")
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| HIDDEN))
            .finish()
    }
}

/// What topics begin with: levels with `/` between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic(String);

/// Why a text is no beginning of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no beginning of a topic; allowed are up to {MAX_TOPIC} bytes such as \"dayreel\" or \"home/cameras\", \
     without +, #, control characters, $ at the begin and / at either end"
)]
pub struct InvalidTopic;

impl Topic {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    /// MQTT 3.1.1 §4.7; and no level is empty, which is allowed and always a mistake.
    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let is_bad = |letter: char| matches!(letter, '+' | '#') || letter.is_control();
        let is_good = text.len() <= MAX_TOPIC
            && !text.starts_with('$')
            && !text.contains(is_bad)
            && text.split('/').all(|level| !level.is_empty());
        is_good.then(|| Self(text.to_owned())).ok_or(InvalidTopic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_host_port_and_tls() {
        for (text, host, port, is_encrypted) in [
            ("mqtt://broker.lan", "broker.lan", 1883, false),
            ("mqtt://192.168.0.10:1884/", "192.168.0.10", 1884, false),
            ("mqtts://broker.lan", "broker.lan", 8883, true),
            ("mqtts://[fd00::1]:1", "fd00::1", 1, true),
        ] {
            let url: MqttUrl = text.parse().unwrap();
            assert_eq!(
                (url.host().as_str(), url.port(), url.is_encrypted()),
                (host, port, is_encrypted)
            );
            assert_eq!(url.to_string().parse(), Ok(url));
        }
        for bad in [
            "",
            "broker.lan",
            "tcp://broker.lan",
            "mqtt://",
            "mqtt:broker",
            "mqtt://u:p@broker.lan",
            "mqtt://broker.lan/topic",
            "mqtt://broker.lan:70000",
            "mqtt://broker.lan?x=1",
        ] {
            assert_eq!(bad.parse::<MqttUrl>(), Err(InvalidMqttUrl), "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let login = MqttLogin::new("u".to_owned(), Some("T0KEN".to_owned()));
        let shown = format!("{login:?}");
        assert!(
            shown.contains("\"u\"") && !shown.contains("T0KEN"),
            "{shown}"
        );
    }

    #[test]
    fn a_topic_has_no_wildcards() {
        for good in ["dayreel", "home/cameras", "Häuser"] {
            assert_eq!(good.parse::<Topic>().unwrap().as_str(), good);
        }
        let long = "x".repeat(MAX_TOPIC + 1);
        for bad in [
            "", "/", "a/", "/a", "a//b", "a/+", "#", "$SYS/x", "a\0", &long,
        ] {
            assert_eq!(bad.parse::<Topic>(), Err(InvalidTopic), "{bad}");
        }
    }
}
