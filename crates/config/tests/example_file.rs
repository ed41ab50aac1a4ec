//! `config/dayreel.toml` documents every key, and every default it names is the program's.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use std::{collections::BTreeSet, fs, path::Path};

use common::load_text;
use dayreel_config::{Loaded, Mqtt, Role, Trust, Warning, WebhookEvent, effective_toml};

fn example() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/dayreel.toml");
    fs::read_to_string(file).unwrap()
}

/// The file with the marks taken off that its head explains.
fn everything_set() -> String {
    let set = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    };
    example().lines().map(|line| set(line) + "\n").collect()
}

fn load(text: &str) -> Loaded {
    load_text(text, &[("TZ", "Europe/Berlin")]).unwrap()
}

/// `[server]` keys, `[[camera]]` keys.
fn keys(text: &str) -> [BTreeSet<String>; 2] {
    let table: toml::Table = text.parse().unwrap();
    [&table["server"], &table["camera"][0]].map(|table| {
        let table = table.as_table().unwrap();
        table.keys().cloned().collect()
    })
}

#[test]
fn as_it_is_it_wants_a_camera_and_nothing_else() {
    let message = load_text(&example(), &[]).unwrap_err();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("no camera"), "{message}");
}

#[test]
fn every_default_it_names_is_the_default() {
    let mut all = load(&everything_set());
    assert_eq!(all.warnings, []);
    let least = "[[camera]]\nid = \"front-door\"\n\
                 rtsp = \"rtsp://user:password@192.168.0.186:554/stream1\"\n";
    let least = load(least);
    let listen = least.settings.server.listen;
    assert_eq!(least.warnings, [Warning::OpenToNetwork { listen }]);
    // Keys without a default: one says on purpose what is so without it, the others are limits, or
    // what not every camera has.
    all.settings.server.auth = least.settings.server.auth;
    assert!(all.settings.server.tls.take().is_some());
    let camera = &mut all.settings.cameras[0];
    assert!(camera.rtsp_preview.take().is_some());
    assert!(camera.max_bytes.take().is_some());
    assert!(camera.moments_days_to_keep.take().is_some());
    assert!(camera.timelapse_days_to_keep.take().is_some());
    assert_ne!(camera.trust, Trust::Roots);
    camera.trust = Trust::Roots;
    assert_eq!(all.settings, least.settings);
}

/// The block that stands there for a user, which no file may have by chance.
#[test]
fn a_user_is_as_it_shows() {
    let lines = example();
    let block = lines.lines().filter_map(|line| line.strip_prefix("#   "));
    let block = block.skip_while(|line| *line != "[[users]]");
    let block: Vec<_> = block.take_while(|line| *line != "[[webhooks]]").collect();
    let camera = "[[camera]]\nid = \"front-door\"\nrtsp = \"rtsp://h/s\"\n";
    let loaded = load(&format!("{camera}{}", block.join("\n")));
    assert_eq!(
        loaded.warnings,
        [],
        "who has users is not open to the network"
    );
    let [user] = &loaded.settings.users[..] else {
        panic!("{:?}", loaded.settings.users)
    };
    let front_door = loaded.settings.cameras[0].id.clone();
    assert_eq!(user.name.as_str(), "anna");
    assert_eq!(user.role, Role::Viewer(Some(vec![front_door])));
    // All keys.
    let message = load_text(&format!("{camera}[[users]]\nx = 1\n"), &[]).unwrap_err();
    let allowed = message
        .lines()
        .find_map(|line| line.split_once("allowed here: "));
    let shown: Vec<_> = block
        .iter()
        .filter_map(|line| line.split_once(" = "))
        .collect();
    let shown: BTreeSet<_> = shown.into_iter().map(|(key, _)| key).collect();
    let allowed: BTreeSet<_> = allowed.unwrap().1.split(", ").collect();
    assert_eq!(shown, allowed);
}

#[test]
fn a_webhook_is_as_it_shows() {
    let lines = example();
    let block = lines.lines().filter_map(|line| line.strip_prefix("#   "));
    let block = block.skip_while(|line| *line != "[[webhooks]]");
    let block: Vec<_> = block.take_while(|line| *line != "[mqtt]").collect();
    let camera = "[[camera]]\nid = \"front-door\"\nrtsp = \"rtsp://h/s\"\n";
    let hooks = |text: &str| load(&format!("{camera}{text}")).settings.webhooks;
    let all = hooks(&block.join("\n"));
    let [webhook] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!(webhook.events, WebhookEvent::ALL);
    // Without its last key, and by variables.
    assert_eq!(hooks(&block[..3].join("\n")), all);
    let variables = [
        ("DAYREEL_WEBHOOK_3_URL", webhook.url.expose()),
        (
            "DAYREEL_WEBHOOK_3_SECRET",
            "b0a7a5f7c86a3b7d2c2f8cbb8e3d1d5e",
        ),
        ("DAYREEL_WEBHOOK_3_EVENTS", "camera_lost,disk_low"),
    ];
    let said = load_text(camera, &variables).unwrap().settings.webhooks;
    assert_eq!(said[0].url, webhook.url);
    assert_eq!(said[0].secret, webhook.secret);
    assert_eq!(
        said[0].events,
        [WebhookEvent::CameraLost, WebhookEvent::DiskLow]
    );
    // None of it is shown.
    let shown = format!(
        "{said:?} {}",
        effective_toml(&load_text(camera, &variables).unwrap().settings)
    );
    assert!(
        !shown.contains("webhook/dayreel") && !shown.contains("b0a7a5f7"),
        "{shown}"
    );
}

#[test]
fn a_broker_is_as_it_shows() {
    let lines = example();
    let block = lines.lines().filter_map(|line| line.strip_prefix("#   "));
    let block: Vec<_> = block.skip_while(|line| *line != "[mqtt]").collect();
    let camera = "[[camera]]\nid = \"front-door\"\nrtsp = \"rtsp://h/s\"\n";
    let settings = |text: &str, variables: &[(&str, &str)]| {
        let text = format!("{camera}{text}");
        load_text(&text, variables).unwrap().settings
    };
    let all = settings(&block.join("\n"), &[]).mqtt.unwrap();
    assert_eq!(all.url.to_string(), "mqtt://192.168.0.10:1883");
    let login = all.login.clone().unwrap();
    assert_eq!(
        (login.user(), login.password()),
        ("dayreel", Some("a password"))
    );
    // What it shows beyond user and password are the defaults, but for one.
    let least = [
        ("DAYREEL_MQTT_URL", "mqtt://192.168.0.10"),
        ("DAYREEL_MQTT_USER", "dayreel"),
        ("DAYREEL_MQTT_PASSWORD", "a password"),
    ];
    let least = settings("", &least).mqtt.unwrap();
    assert_eq!(least.snapshot_interval, None);
    assert_eq!(all.trust, least.trust);
    assert_eq!(
        Mqtt {
            snapshot_interval: None,
            ..all.clone()
        },
        least
    );
    // All keys but the one that stands in a note, and each has its variable.
    let message = load_text(&format!("{camera}[mqtt]\nx = 1\n"), &[]).unwrap_err();
    let allowed = message
        .lines()
        .find_map(|line| line.split_once("allowed here: "));
    let said: toml::Table = block.join("\n").parse().unwrap();
    let said = said["mqtt"].as_table().unwrap();
    let mut shown: BTreeSet<&str> = said.keys().map(String::as_str).collect();
    assert!(shown.insert("tls_fingerprint"));
    assert_eq!(shown, allowed.unwrap().1.split(", ").collect());
    let variables: Vec<_> = said
        .iter()
        .map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (format!("DAYREEL_MQTT_{}", key.to_uppercase()), text)
        })
        .collect();
    let mut variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(settings("", &variables).mqtt, Some(all.clone()));
    // They override the file, key by key.
    variables.retain(|(name, _)| *name == "DAYREEL_MQTT_USER");
    variables[0].1 = "other";
    let other = settings(&block.join("\n"), &variables).mqtt.unwrap();
    assert_eq!(other.login.as_ref().unwrap().user(), "other");
    assert_eq!(other.url, all.url);
    // The password is not shown; all else is, and means the same again.
    let shown = effective_toml(&settings(&block.join("\n"), &[]));
    assert!(!shown.contains("a password"), "{shown}");
    let again = load(&shown.replace("***", "a password")).settings.mqtt;
    assert_eq!(again, Some(all));
    let none = settings("[mqtt]\nurl = \"mqtts://h\"\ndiscovery = false\n", &[]);
    assert_eq!(load(&effective_toml(&none)).settings.mqtt, none.mqtt);
    assert_eq!(none.mqtt.unwrap().discovery_prefix, None);
}

#[test]
fn no_key_is_missing() {
    // What the program knows is what it says is allowed.
    let message = load_text("[server]\nx = 1\n[[camera]]\nx = 1\n", &[]).unwrap_err();
    let allowed: Vec<BTreeSet<String>> = message
        .lines()
        .filter_map(|line| line.split_once("allowed here: "))
        .map(|(_, names)| names.split(", ").map(str::to_owned).collect())
        .collect();
    assert_eq!(keys(&everything_set()).to_vec(), allowed);
}

#[test]
fn variables_and_aliases_mean_the_same_as_keys() {
    let text = "[[camera]]\ncameraID = \"a\"\nrtsp = \"rtsp://h/s\"\ndaysToKeep = 2\n";
    let loaded = load_text(
        text,
        &[
            ("DAYREEL_LISTEN", "127.0.0.1:0"),
            ("DAYREEL_DATA_DIR", "/data"),
            ("DAYREEL_TIMEZONE", "America/New_York"),
            ("DAYREEL_AUTH", ""),
        ],
    )
    .unwrap();
    assert_eq!(loaded.warnings, []);
    let same = "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"/data\"\n\
                timezone = \"America/New_York\"\n\
                [[camera]]\nid = \"a\"\nrtsp = \"rtsp://h/s\"\ndays_to_keep = 2\n";
    assert_eq!(loaded.settings, load(same).settings);
    assert_eq!(
        loaded.settings.cameras[0].timezone.name(),
        "America/New_York"
    );
}

#[test]
fn every_key_has_its_variable() {
    let table: toml::Table = everything_set().parse().unwrap();
    let said = |table: &toml::Value, prefix: &str| -> Vec<(String, String)> {
        let table = table.as_table().unwrap().iter();
        let value = |value: &toml::Value| {
            let text = value.as_str().map(str::to_owned);
            // A list is words with commas between them; an empty one is as if not set.
            let list = value.as_array().filter(|list| list.is_empty());
            text.or(list.map(|_| String::new()))
                .unwrap_or_else(|| value.to_string())
        };
        table
            .map(|(key, said)| (format!("{prefix}{}", key.to_uppercase()), value(said)))
            .collect()
    };
    let mut variables = said(&table["server"], "DAYREEL_");
    variables.extend(said(&table["camera"][0], "DAYREEL_CAMERA_7_"));
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let loaded = load_text("", &variables).unwrap();
    assert_eq!(loaded.settings, load(&everything_set()).settings);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn cameras_of_variables_come_after_those_of_the_file_by_number() {
    let text = "[[camera]]\nid = \"a\"\nrtsp = \"rtsp://h/s\"\n";
    let variables = [
        ("DAYREEL_CAMERA_10_ID", "1"),
        ("DAYREEL_CAMERA_10_RTSP", "rtsp://u:${PASSWORD}@h/s"),
        ("DAYREEL_CAMERA_2_ID", "c"),
        ("DAYREEL_CAMERA_2_RTSP", "rtsp://h/s"),
        ("PASSWORD", "p@"),
    ];
    let cameras = load_text(text, &variables).unwrap().settings.cameras;
    let ids: Vec<_> = cameras.iter().map(|camera| camera.id.as_str()).collect();
    assert_eq!(ids, ["a", "c", "1"]);
    assert_eq!(cameras[2].rtsp.expose(), "rtsp://u:p%40@h/s");
}

#[test]
fn a_variable_overrides_the_file() {
    let text = "[server]\nlisten = \"0.0.0.0:1\"\n[[camera]]\nid = \"a\"\nrtsp = \"rtsp://h/s\"\n";
    let loaded = load_text(text, &[("DAYREEL_LISTEN", "[::1]:2")]).unwrap();
    assert_eq!(loaded.settings.server.listen.to_string(), "[::1]:2");
    assert_eq!(loaded.warnings, []);
}
