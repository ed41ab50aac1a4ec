//! A broker that is not ours, and what Home Assistant would find on it.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use dayreel_testcam::PictureSettings;
use dayreel_tests::{
    process::{Mosquitto, wait_until},
    stage::{CAMERA, Stage},
};
use rcgen::{CertifiedKey, generate_simple_self_signed};

/// For what takes a camera or a connection some seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const USER: &str = "dayreel";
const PASSWORD: &str = "T0KEN-of-the-broker";

fn broker_table(broker: &Mosquitto, more: &str) -> String {
    format!("[mqtt]\nurl = \"mqtt://{}\"\n{more}\n", broker.address)
}

/// A stage whose server has `table` before its camera's.
fn stage(table: &str) -> Result<Stage> {
    Stage::start_with(PictureSettings::small(), 1, |setup| {
        setup.cameras = format!("{table}{}", setup.cameras);
        // The crate that talks to the broker logs what it sends.
        let log = (
            "DAYREEL_LOG".to_owned(),
            "info,dayreel=trace,rumqttc=trace".to_owned(),
        );
        setup.environment.push(log);
    })
}

/// Writes another configuration, made by `change` of the one before, and has it read.
fn reload(stage: &Stage, change: impl Fn(&str) -> String) -> Result<()> {
    let path = stage.server.config_path();
    fs::write(&path, change(&fs::read_to_string(&path)?))?;
    let client = stage.server.client();
    client.request("POST", "/api/reload", &[])?.expect(200)?;
    Ok(())
}

#[test]
fn a_camera_is_found_shown_and_made_moments_of() -> Result<()> {
    let mut broker = Mosquitto::start(Some((USER, PASSWORD)), None)?;
    // Left by an earlier run, of a camera that is gone; and an order for whoever comes.
    broker.publish("dayreel/ghost/state", "{}", true)?;
    broker.publish("dayreel/cam/moment/make", "PRESS", true)?;
    let heard = broker.subscribe()?;
    let login = format!("user = \"{USER}\"\npassword = \"{PASSWORD}\"\nsnapshot_interval_s = 5\n");
    let mut stage = stage(&broker_table(&broker, &login))?;
    heard.wait_for("dayreel/status", PATIENCE, |message| {
        message.payload == b"online"
    })?;
    heard.wait_for("dayreel/ghost/state", PATIENCE, |message| {
        message.payload.is_empty()
    })?;

    // One device, whose entities live on topics that are there.
    let device = "homeassistant/device/dayreel_cam/config";
    let device = heard.wait_for(device, PATIENCE, |_| true)?.json()?;
    ensure!(device["availability_topic"] == "dayreel/status", "{device}");
    let parts = device["components"].as_object().context("no components")?;
    ensure!(parts.len() == 5, "{device}");
    let state = parts["state"]["state_topic"].as_str().context("no topic")?;
    let is_live = |state: &serde_json::Value| state["state"] == "live";
    heard.wait_for(state, PATIENCE, |message| {
        message.json().is_ok_and(|state| is_live(&state))
    })?;
    let picture = parts["picture"]["topic"].as_str().context("no topic")?;
    heard.wait_for(picture, PATIENCE, |message| {
        message.payload.starts_with(&[0xff, 0xd8, 0xff])
    })?;

    let count = |name: &str| stage.scrape()?.get(name, &[]).context(name.to_owned());
    ensure!(count("dayreel_mqtt_connected")? == 1.0);
    // Availability, the device, a state, a picture, and what is gone.
    ensure!(count("dayreel_mqtt_published_messages_total")? >= 5.0);

    // The button, as Home Assistant presses it.
    stage.wait_for_segments("video", 5)?;
    let button = &parts["make_moment"];
    let order = button["command_topic"].as_str().context("no topic")?;
    let press = button["payload_press"].as_str().context("no payload")?;
    broker.publish(order, press, false)?;
    let latest = parts["last_moment"]["state_topic"].as_str();
    let latest = latest.context("no topic")?;
    let made = heard.wait_for(latest, PATIENCE, |_| true)?.json()?;
    let client = stage.server.client();
    let list = client.get_json("/cam/moment/list")?;
    let list = list.as_array().context("no list")?;
    ensure!(
        list.len() == 1,
        "one for one press, none for what was retained: {list:?}"
    );
    ensure!(made["url"] == list[0]["url"], "{made}: {list:?}");
    let time = made["time"].as_str().context("no time")?;
    chrono::DateTime::parse_from_rfc3339(time)?;
    let event = heard.wait_for("dayreel/event", PATIENCE, |_| true)?;
    ensure!(event.json()? == made);

    // With a label; and what is refused is answered.
    broker.publish(order, "{\"length\": 4, \"label\": \"T\u{fc}r\"}", false)?;
    heard.wait_for(latest, PATIENCE, |message| {
        let made = message.json().unwrap_or_default();
        made["message"] == "a moment of cam: T\u{fc}r"
    })?;
    for (camera, payload, code, word) in [
        (CAMERA, "now", "bad_order", "PRESS"),
        (CAMERA, "{\"length\": 99}", "invalid_argument", "4 to 20"),
        ("nobody", "PRESS", "unknown_camera", "there are: cam"),
    ] {
        broker.publish(&format!("dayreel/{camera}/moment/make"), payload, false)?;
        let refused = format!("dayreel/{camera}/error");
        heard.wait_for(&refused, PATIENCE, |message| {
            let error = message.json().unwrap_or_default();
            let says = error["error"]["message"].as_str().unwrap_or_default();
            error["error"]["code"] == code && says.contains(word)
        })?;
    }

    // A broker that was away, and has forgotten all.
    broker.kill()?;
    stage
        .server
        .log()
        .wait_for(PATIENCE, |line| {
            line.contains("no connection to the broker").then_some(())
        })
        .context("nothing is said")?;
    ensure!(count("dayreel_mqtt_connected")? == 0.0);
    ensure!(count("dayreel_mqtt_failures_total")? >= 1.0);
    let made = client.request("POST", "/cam/moment/generate/4/0", &[])?;
    let made = made.expect(200)?.json()?;
    broker.restart()?;
    let heard = broker.subscribe()?;
    heard.wait_for("dayreel/cam/moment", PATIENCE, |message| {
        message.json().is_ok_and(|told| told["url"] == made["url"])
    })?;
    for topic in ["dayreel/status", "homeassistant/device/dayreel_cam/config"] {
        heard.wait_for(topic, PATIENCE, |_| true)?;
    }
    heard.wait_for(state, PATIENCE, |message| {
        message.json().is_ok_and(|state| is_live(&state))
    })?;

    // A broker that goes away while a moment is made that it was ordered by: nobody was told of it.
    broker.publish(order, "{\"length\": 20, \"label\": \"late\"}", false)?;
    // Its file is there before its GIF is made.
    let made = wait_until(PATIENCE, || {
        let list = client.get_json("/cam/moment/list").ok()?;
        let mut made = list.as_array()?.iter();
        made.find(|moment| moment["label"] == "late").cloned()
    });
    let made = made.context("the order was not heard")?;
    broker.kill()?;
    broker.restart()?;
    let heard = broker.subscribe()?;
    heard.wait_for("dayreel/cam/moment", PATIENCE, |message| {
        message.json().is_ok_and(|told| told["url"] == made["url"])
    })?;
    heard.wait_for("dayreel/status", PATIENCE, |_| true)?;

    // The end is said; and again, by the broker, when nobody can.
    ensure!(stage.server.stop()?.success());
    heard.wait_for("dayreel/status", PATIENCE, |message| {
        message.payload == b"offline"
    })?;
    ensure!(!stage.server.log().tail(20_000).contains(PASSWORD));
    stage.server.restart()?;
    let online = |count: usize| {
        let states = || {
            let heard = heard.heard("dayreel/status");
            (heard.len() >= count).then_some(heard)
        };
        wait_until(PATIENCE, states).with_context(|| format!("no {count} states"))
    };
    online(3)?;
    stage.server.kill()?;
    let states: Vec<_> = online(4)?
        .into_iter()
        .map(|message| String::from_utf8_lossy(&message.payload).into_owned())
        .collect();
    ensure!(
        states == ["online", "offline", "online", "offline"],
        "{states:?}"
    );
    Ok(())
}

#[test]
fn what_a_reload_takes_away_is_cleared() -> Result<()> {
    let [before, after] = [Mosquitto::start(None, None)?, Mosquitto::start(None, None)?];
    let heard = before.subscribe()?;
    let stage = stage(&broker_table(&before, ""))?;
    let rtsp = stage.camera.url();
    let second = format!("[[camera]]\nid = \"second\"\nrtsp = \"{rtsp}\"\n");
    reload(&stage, |text| format!("{text}{second}"))?;
    let device = |camera: &str| format!("homeassistant/device/dayreel_{camera}/config");
    let is_gone =
        |topic: &str| heard.wait_for(topic, PATIENCE, |message| message.payload.is_empty());
    // Without pictures there is no entity for them.
    let found = heard
        .wait_for(&device("second"), PATIENCE, |_| true)?
        .json()?;
    let picture = &found["components"]["picture"];
    ensure!(
        *picture == serde_json::json!({"platform": "camera"}),
        "{found}"
    );
    heard.wait_for("dayreel/second/state", PATIENCE, |_| true)?;
    reload(&stage, |text| text.replace(&second, ""))?;
    is_gone(&device("second"))?;
    is_gone("dayreel/second/state")?;

    // Another broker.
    let other = after.subscribe()?;
    let [old, new] = [&before, &after].map(|broker| broker.address.to_string());
    reload(&stage, |text| text.replace(&old, &new))?;
    is_gone(&device(CAMERA))?;
    let said = |message: &str| {
        heard.wait_for("dayreel/status", PATIENCE, |heard| {
            heard.payload == message.as_bytes()
        })
    };
    said("offline")?;
    other.wait_for(&device(CAMERA), PATIENCE, |_| true)?;
    // And none: whoever comes later finds nothing but that.
    reload(&stage, |text| {
        text.replace("[mqtt]", "")
            .replace(&format!("url = \"mqtt://{new}\""), "")
    })?;
    other.wait_for("dayreel/status", PATIENCE, |message| {
        message.payload == b"offline"
    })?;
    let late = after.subscribe()?;
    let status = late.wait_for("dayreel/status", PATIENCE, |_| true)?;
    ensure!(
        status.is_retained && status.payload == b"offline",
        "{status:?}"
    );
    ensure!(late.heard(&device(CAMERA)).is_empty());
    ensure!(late.heard("dayreel/cam/state").is_empty());
    ensure!(
        stage
            .scrape()?
            .all("dayreel_mqtt_connected", &[])
            .is_empty()
    );
    Ok(())
}

#[test]
fn a_certificate_that_nobody_vouches_for_can_be_pinned() -> Result<()> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let pem = (cert.pem(), signing_key.serialize_pem());
    let broker = Mosquitto::start(Some((USER, PASSWORD)), Some((&pem.0, &pem.1)))?;
    let url = format!("[mqtt]\nurl = \"mqtts://{}\"\n", broker.address);
    let stage = stage(&format!("{url}user = \"{USER}\"\npassword = \"wrong\"\n"))?;
    // What it says can be copied.
    let said = |line: &str| {
        let (_, pin) = line.split_once("tls_fingerprint = \"")?;
        Some(pin.split_once('"')?.0.to_owned())
    };
    let log = stage.server.log();
    let pin = log
        .wait_for(PATIENCE, said)
        .context("no fingerprint is said")?;
    let pinned = format!("{url}tls_fingerprint = \"{pin}\"\n");
    reload(&stage, |text| text.replace(&url, &pinned))?;
    let refused = |line: &str| {
        line.contains("refuses the user or the password")
            .then_some(())
    };
    log.wait_for(PATIENCE, refused)
        .context("a wrong password is not said")?;
    reload(&stage, |text| {
        text.replace("\"wrong\"", &format!("{PASSWORD:?}"))
    })?;
    let heard = broker.subscribe()?;
    heard.wait_for("dayreel/status", PATIENCE, |message| {
        message.payload == b"online"
    })?;
    Ok(())
}
