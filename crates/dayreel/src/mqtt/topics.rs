//! The names of what is published and listened to.

use dayreel_config::Mqtt as Settings;
use dayreel_core::CameraId;

/// The last levels of what is listened to.
const MAKE_MOMENT: &str = "moment/make";
const STATE: &str = "state";

/// All topics.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    prefix: String,
    discovery: Option<String>,
}

/// What a message that has come is about, and the camera in its topic, which may be none of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'t> {
    /// A camera's state, as the broker keeps it.
    State(&'t str),
    /// Somebody wants a moment.
    MakeMoment(&'t str),
}

impl Topics {
    pub(super) fn new(settings: &Settings) -> Self {
        let prefix = settings.discovery_prefix.as_ref();
        Self {
            prefix: settings.topic_prefix.as_str().to_owned(),
            discovery: prefix.map(|prefix| prefix.as_str().to_owned()),
        }
    }

    /// `online`, `offline`.
    pub(super) fn status(&self) -> String {
        format!("{}/status", self.prefix)
    }

    /// What happens, as webhooks are told of it.
    pub(super) fn event(&self) -> String {
        format!("{}/event", self.prefix)
    }

    /// JSON of a camera's state.
    pub(super) fn state(&self, camera: &CameraId) -> String {
        format!("{}/{camera}/{STATE}", self.prefix)
    }

    /// JPEG.
    pub(super) fn snapshot(&self, camera: &CameraId) -> String {
        format!("{}/{camera}/snapshot", self.prefix)
    }

    /// JSON of the latest moment.
    pub(super) fn moment(&self, camera: &str) -> String {
        format!("{}/{camera}/moment", self.prefix)
    }

    /// Where moments are ordered.
    pub(super) fn make_moment(&self, camera: &CameraId) -> String {
        format!("{}/{camera}/{MAKE_MOMENT}", self.prefix)
    }

    /// Why an order was refused. `camera` is as the order said it.
    pub(super) fn error(&self, camera: &str) -> String {
        format!("{}/{camera}/error", self.prefix)
    }

    /// What Home Assistant reads; `None`: it is not told.
    pub(super) fn discovery(&self, camera: &CameraId) -> Option<String> {
        let prefix = self.discovery.as_ref()?;
        Some(format!("{prefix}/device/{}/config", self.node(camera)))
    }

    /// What Home Assistant knows a camera by: letters, digits, `_` and `-`.
    pub(super) fn node(&self, camera: &CameraId) -> String {
        let prefix = plain(&self.prefix, '_');
        format!("{prefix}_{camera}")
    }

    /// What the broker knows this by. Two with one name would end each other, and two with the same
    /// topics had better notice.
    pub(super) fn client(&self) -> String {
        plain(&self.prefix, '-')
    }

    /// All that the broker keeps of a camera: first what says that it is there.
    pub(super) fn kept(&self, camera: &CameraId) -> Vec<String> {
        let discovery = self.discovery(camera);
        let topics = [
            self.state(camera),
            self.snapshot(camera),
            self.moment(camera.as_str()),
        ];
        discovery.into_iter().chain(topics).collect()
    }

    /// What is subscribed to.
    pub(super) fn filters(&self) -> [String; 2] {
        [MAKE_MOMENT, STATE].map(|last| format!("{}/+/{last}", self.prefix))
    }

    /// What a message of `topic` is about.
    pub(super) fn heard<'t>(&self, topic: &'t str) -> Option<Heard<'t>> {
        let rest = topic.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        match rest.split_once('/')? {
            (camera, MAKE_MOMENT) => Some(Heard::MakeMoment(camera)),
            (camera, STATE) => Some(Heard::State(camera)),
            _ => None,
        }
    }
}

/// With `other` for all but ASCII letters and digits.
fn plain(text: &str, other: char) -> String {
    let letter = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter,
        false => other,
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use dayreel_config::Trust;

    use super::*;

    pub(in super::super) fn topics(prefix: &str) -> Topics {
        Topics::new(&Settings {
            url: "mqtt://broker.lan".parse().unwrap(),
            login: None,
            trust: Trust::Roots,
            topic_prefix: prefix.parse().unwrap(),
            discovery_prefix: Some("homeassistant".parse().unwrap()),
            snapshot_interval: None,
        })
    }

    #[test]
    fn what_is_heard_is_what_was_published_or_ordered() {
        let (topics, cam) = (topics("home/cams"), "front-door".parse().unwrap());
        let (state, order) = (topics.state(&cam), topics.make_moment(&cam));
        assert_eq!(topics.heard(&state), Some(Heard::State("front-door")));
        assert_eq!(topics.heard(&order), Some(Heard::MakeMoment("front-door")));
        for other in [
            "home/cams/status",
            "home/cams2/a/state",
            "home/cams/a/b/state",
            "other",
        ] {
            assert_eq!(topics.heard(other), None, "{other}");
        }
        assert_eq!(
            topics.discovery(&cam).unwrap(),
            "homeassistant/device/home_cams_front-door/config"
        );
        assert_eq!(topics.client(), "home-cams");
        // Whatever is published and kept is cleared.
        assert_eq!(topics.kept(&cam).len(), 4);
    }
}
