//! `/metrics`: what Prometheus is told is what happened.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use dayreel_testcam::{AudioCodec, Gop, PictureSettings, Track};
use dayreel_tests::{
    process::wait_until,
    rules::prometheus::Scrape,
    stage::{CAMERA, Stage},
};

/// For what takes a camera some seconds.
const PATIENCE: Duration = Duration::from_secs(90);
/// Access units that may be on their way.
const ON_THEIR_WAY: f64 = 50.0;

fn one(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    let found = scrape.get(name, labels);
    found.with_context(|| format!("no {name} {labels:?}"))
}

/// Labels of the camera, and another.
fn of<'a>(label: &'a str, value: &'a str) -> [(&'a str, &'a str); 2] {
    [("camera", CAMERA), (label, value)]
}

fn recorded() -> Result<Stage> {
    let picture = PictureSettings {
        width: 320,
        height: 180,
        gop: Gop::Seconds(1.0),
        bitrate_kbps: 400,
        audio: Some(AudioCodec::Aac),
        ..PictureSettings::default()
    };
    Stage::recorded(picture, 1, 4)
}

#[test]
fn a_camera_is_counted_as_it_sends() -> Result<()> {
    let mut stage = recorded()?;
    let before = stage.camera.sent(Track::Video)?.len() as f64;
    let scrape = stage.scrape()?;
    let sent = stage.camera.sent(Track::Video)?;
    let video = of("track", "video");
    let units = one(&scrape, "dayreel_camera_access_units_total", &video)?;
    ensure!(
        before - ON_THEIR_WAY < units && units <= sent.len() as f64,
        "{units} of {}",
        sent.len()
    );
    let bytes = one(&scrape, "dayreel_camera_received_bytes_total", &video)?;
    let arrived = sent.iter().zip(1_u32..);
    let arrived = arrived.take_while(|(_, nth)| f64::from(*nth) <= units);
    let due: usize = arrived.map(|(unit, _)| unit.normal_form_bytes).sum();
    // Start codes or lengths, and access unit delimiters.
    ensure!((bytes / due as f64 - 1.0).abs() < 0.05, "{bytes} of {due}");
    let sound = one(
        &scrape,
        "dayreel_camera_access_units_total",
        &of("track", "audio"),
    )?;
    ensure!(sound > units, "{sound} of the sound");
    for (state, due) in [
        ("live", 1.0),
        ("connecting", 0.0),
        ("stalled", 0.0),
        ("failed", 0.0),
    ] {
        let is_in_it = one(&scrape, "dayreel_camera_state", &of("state", state))?;
        ensure!(is_in_it == due, "{state}: {is_in_it}");
    }
    let camera = [("camera", CAMERA)];
    let age_s = one(&scrape, "dayreel_camera_last_frame_age_seconds", &camera)?;
    ensure!((0.0..5.0).contains(&age_s), "{age_s}");
    let writes = one(
        &scrape,
        "dayreel_camera_segment_write_seconds_count",
        &camera,
    )?;
    let write_s = one(&scrape, "dayreel_camera_segment_write_seconds_sum", &camera)?;
    ensure!(writes >= 6.0 && write_s > 0.0, "{writes} in {write_s} s");
    for zero in [
        "dayreel_camera_reconnects_total",
        "dayreel_camera_recording_trouble",
        "dayreel_camera_lost_packets_total",
        "dayreel_camera_unusable_packets_total",
    ] {
        ensure!(one(&scrape, zero, &camera)? == 0.0, "{zero}");
    }
    for zero in [
        "dayreel_camera_gaps_total",
        "dayreel_camera_dropped_access_units_total",
    ] {
        let counts = scrape.all(zero, &camera);
        ensure!(
            counts.len() >= 2 && counts.iter().all(|count| *count == 0.0),
            "{zero}"
        );
    }

    // The camera goes and comes back: a reconnect and a gap, and no count begins anew.
    stage.camera.stop()?;
    let away = || {
        Some(
            stage
                .scrape()
                .ok()?
                .get("dayreel_camera_state", &of("state", "reconnecting"))?
                == 1.0,
        )
    };
    wait_until(PATIENCE, || away().filter(|away| *away)).context("it is still there")?;
    stage.camera.restart()?;
    let gaps = || {
        let gaps = stage
            .scrape()
            .ok()?
            .all("dayreel_camera_gaps_total", &camera);
        (gaps.iter().sum::<f64>() > 0.0).then_some(())
    };
    wait_until(PATIENCE, gaps).context("there is no gap")?;
    let after = stage.scrape()?;
    let causes = ["camera", "network"]
        .map(|cause| one(&after, "dayreel_camera_gaps_total", &of("cause", cause)));
    ensure!(causes.into_iter().sum::<Result<f64>>()? == 1.0);
    ensure!(one(&after, "dayreel_camera_reconnects_total", &camera)? >= 1.0);
    for ((name, labels), value) in &scrape.samples {
        let is_counter = scrape.kinds.get(name).is_some_and(|kind| kind == "counter");
        let now = after.samples.get(&(name.clone(), labels.clone()));
        ensure!(
            !is_counter || now >= Some(value),
            "{name} {labels:?}: {value}, then {now:?}"
        );
    }
    Ok(())
}

#[test]
fn requests_are_counted_by_route_and_never_by_what_a_client_makes_up() -> Result<()> {
    let stage = recorded()?;
    let client = stage.server.client();
    for _ in 0..3 {
        client.get("/api/storage")?.expect(200)?;
    }
    client.get("/api/cameras/xyzzy")?.expect(404)?;
    client.get("/xyzzy/xyzzy/xyzzy/xyzzy")?.expect(404)?;
    client.request("DELETE", "/api/storage", &[])?.expect(405)?;
    let made_up = b"XYZZY /api/storage HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    ensure!(client.raw(made_up)?.starts_with("HTTP/1.1 405"));
    let scrape = stage.scrape()?;
    let count = |route: &str, status: &str| {
        scrape.get(
            "dayreel_http_requests_total",
            &[("route", route), ("status", status)],
        )
    };
    ensure!(count("/api/storage", "200") == Some(3.0));
    ensure!(count("/api/storage", "405") == Some(2.0));
    ensure!(count("/api/cameras/{cam}", "404") == Some(1.0));
    ensure!(count("unmatched", "404") == Some(1.0));
    let durations = "dayreel_http_request_duration_seconds_count";
    ensure!(one(&scrape, durations, &[("route", "/api/storage")])? == 5.0);
    let made_up = |labels: &std::collections::BTreeMap<String, String>| {
        labels
            .values()
            .any(|value| value.to_lowercase().contains("xyzzy"))
    };
    ensure!(!scrape.samples.keys().any(|(_, labels)| made_up(labels)));

    let head = client.head("/metrics")?.expect(200)?;
    ensure!(head.header("content-type") == Some("text/plain; version=0.0.4; charset=utf-8"));
    ensure!(head.header("cache-control") == Some("no-store"));
    Ok(())
}

#[test]
fn the_process_and_the_disk_are_as_the_system_says() -> Result<()> {
    let stage = recorded()?;
    let scrape = stage.scrape()?;
    let alone = |name| one(&scrape, name, &[]);
    let process = format!("/proc/{}", stage.server.pid()?);
    let status = fs::read_to_string(format!("{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("no RSS")?
        .parse()?;
    let rss = alone("process_resident_memory_bytes")?;
    ensure!(
        (rss / (kilobytes * 1024.0) - 1.0).abs() < 0.2,
        "{rss}, {kilobytes} kB"
    );
    let files = fs::read_dir(format!("{process}/fd"))?.count() as f64;
    let open = alone("process_open_fds")?;
    ensure!(
        (open - files).abs() < 16.0 && open < alone("process_max_fds")?,
        "{open} of {files}"
    );
    ensure!(alone("process_cpu_seconds_total")? > 0.0);
    let started = alone("process_start_time_seconds")?;
    let age_s = chrono::Utc::now().timestamp() as f64 - started;
    ensure!((0.0..600.0).contains(&age_s), "{age_s}");

    let space = rustix::fs::statvfs(stage.server.data_dir())?;
    let (size, free) = (
        alone("dayreel_disk_size_bytes")?,
        alone("dayreel_disk_free_bytes")?,
    );
    ensure!(size == (space.f_blocks * space.f_frsize) as f64, "{size}");
    let due = (space.f_bavail * space.f_frsize) as f64;
    ensure!((free - due).abs() < size * 0.05, "{free}, {due}");
    ensure!(alone("dayreel_disk_min_free_bytes")? == 1e9);
    ensure!(
        scrape.all(
            "dayreel_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))]
        ) == [1.0]
    );
    Ok(())
}

#[test]
fn dashboard_and_alerts_ask_for_what_there_is() -> Result<()> {
    let scrape = recorded()?.scrape()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    for (file, least) in [("grafana.json", 20), ("alerts.yaml", 9)] {
        let text = fs::read_to_string(folder.join(file))?;
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_ours = |word: &&str| word.starts_with("dayreel_") || word.starts_with("process_");
        let asked: BTreeSet<_> = words.filter(is_ours).collect();
        ensure!(asked.len() >= least, "{file} asks for {asked:?} only");
        for name in asked {
            // A histogram is asked for by its buckets.
            let metric = name.strip_suffix("_bucket").unwrap_or(name);
            ensure!(
                scrape.kinds.contains_key(metric),
                "{file}: there is no {name}"
            );
        }
    }
    let dashboard = fs::read_to_string(folder.join("grafana.json"))?;
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    for panel in panels {
        let targets = panel["targets"].as_array().context("no targets")?;
        let is_asked = |target: &serde_json::Value| target["expr"].is_string();
        ensure!(targets.iter().all(is_asked), "{panel}");
    }
    Ok(())
}
