//! What Home Assistant is told of a camera: one device with all its entities, in one message
//! (<https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload>).

use dayreel_core::CameraId;
use dayreel_pipeline::CameraState;
use serde_json::{Value, json};

use super::topics::Topics;

/// The payload of [`Topics::discovery`]. `has_snapshot`: whether there are pictures.
pub(super) fn device(topics: &Topics, camera: &CameraId, has_snapshot: bool) -> Value {
    let node = topics.node(camera);
    let state = topics.state(camera);
    let moment = topics.moment(camera.as_str());
    let id = |entity: &str| format!("{node}_{entity}");
    // A camera that is gone leaves an empty state, which may come before Home Assistant has forgotten it.
    let read = |key: &str| format!("{{{{ value_json.{key} if value else None }}}}");
    let attributes = "{{ value or '{}' }}";
    // A component that is nothing but its platform is one that is gone.
    let mut picture = json!({"platform": "camera"});
    if has_snapshot {
        picture = json!({
            "platform": "camera",
            "unique_id": id("picture"),
            // That of the device.
            "name": null,
            "topic": topics.snapshot(camera),
        });
    }
    json!({
        "device": {
            "identifiers": [node],
            "name": camera.as_str(),
            "manufacturer": "Dayreel",
            "model": "IP camera",
            "sw_version": env!("CARGO_PKG_VERSION"),
        },
        "origin": {"name": "Dayreel", "sw_version": env!("CARGO_PKG_VERSION")},
        "availability_topic": topics.status(),
        "components": {
            "picture": picture,
            "connection": {
                "platform": "binary_sensor",
                "unique_id": id("connection"),
                "name": "Connection",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": state,
                "value_template": "{{ None if not value else 'ON' if value_json.state == 'live' else 'OFF' }}",
            },
            "state": {
                "platform": "sensor",
                "unique_id": id("state"),
                "name": "State",
                "device_class": "enum",
                "options": CameraState::ALL.map(CameraState::name),
                "entity_category": "diagnostic",
                "state_topic": state,
                "value_template": read("state"),
                "json_attributes_topic": state,
                "json_attributes_template": attributes,
            },
            "make_moment": {
                "platform": "button",
                "unique_id": id("make_moment"),
                "name": "Make a moment",
                "icon": "mdi:movie-open-plus",
                "command_topic": topics.make_moment(camera),
                "payload_press": "PRESS",
            },
            "last_moment": {
                "platform": "sensor",
                "unique_id": id("last_moment"),
                "name": "Last moment",
                "device_class": "timestamp",
                "state_topic": moment,
                "value_template": read("time"),
                "json_attributes_topic": moment,
                "json_attributes_template": attributes,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::mqtt::topics::tests::topics;

    #[test]
    fn each_entity_has_its_platform_an_id_of_its_own_and_a_topic_of_ours() {
        let (topics, cam) = (topics("dayreel"), "front-door".parse().unwrap());
        let device = device(&topics, &cam, true);
        let components = device["components"].as_object().unwrap();
        let ids: BTreeSet<_> = components
            .values()
            .map(|component| component["unique_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), components.len());
        for (name, component) in components {
            let topics = ["topic", "state_topic", "command_topic"];
            let topic = topics.iter().find_map(|key| component[key].as_str());
            assert!(
                topic.is_some_and(|topic| topic.starts_with("dayreel/front-door/")),
                "{name}"
            );
            assert!(component["platform"].is_string(), "{name}");
        }
    }

    #[test]
    fn without_pictures_the_camera_entity_is_gone() {
        let device = device(&topics("dayreel"), &"a".parse().unwrap(), false);
        assert_eq!(
            device["components"]["picture"],
            json!({"platform": "camera"})
        );
    }
}
