//! The settings as a configuration file that says everything.

use toml::Value;

use crate::{Mqtt, Role, Trust, secret_url::HIDDEN, settings::Settings, template::escape};

/// A configuration file with every key and every credential as `***`. Without users,
/// webhooks and a broker, parsing it gives the same settings.
pub fn effective_toml(settings: &Settings) -> String {
    let server = &settings.server;
    let mut lines = vec![
        "[server]".to_owned(),
        line("listen", &server.listen.to_string()),
        line("data_dir", &server.data_dir.to_string_lossy()),
        format!("require_marker = {}", server.require_marker),
        format!("min_free_bytes = {}", server.min_free_bytes),
        line("timezone", server.timezone.name()),
    ];
    lines.extend(server.auth.name().map(|name| line("auth", name)));
    if !server.trusted_proxies.is_empty() {
        lines.push(list("trusted_proxies", &server.trusted_proxies));
    }
    if !server.base_path.prefix().is_empty() {
        lines.push(line("base_path", &server.base_path.to_string()));
    }
    if let Some(tls) = &server.tls {
        lines.extend([
            line("tls_certificate", &tls.certificate.to_string_lossy()),
            line("tls_key", &tls.key.to_string_lossy()),
        ]);
    }
    for user in &settings.users {
        lines.extend([
            String::new(),
            "[[users]]".to_owned(),
            line("name", user.name.as_str()),
            line("password", HIDDEN),
            line("role", user.role.name()),
        ]);
        if let Role::Viewer(Some(cameras)) = &user.role {
            lines.push(list("cameras", cameras));
        }
    }
    for webhook in &settings.webhooks {
        let events: Vec<_> = webhook.events.iter().map(|event| event.name()).collect();
        lines.extend([
            String::new(),
            "[[webhooks]]".to_owned(),
            line("url", &webhook.url.to_string()),
            line("secret", HIDDEN),
            list("events", &events),
        ]);
    }
    lines.extend(settings.mqtt.iter().flat_map(mqtt));
    for camera in &settings.cameras {
        lines.extend([
            String::new(),
            "[[camera]]".to_owned(),
            line("id", camera.id.as_str()),
            line("rtsp", &camera.rtsp.to_string()),
        ]);
        let preview = camera.rtsp_preview.as_ref();
        lines.extend(preview.map(|url| line("rtsp_preview", &url.to_string())));
        lines.push(format!("days_to_keep = {}", camera.days_to_keep));
        let limits = [
            ("max_bytes", camera.max_bytes),
            (
                "moments_days_to_keep",
                camera.moments_days_to_keep.map(u64::from),
            ),
            (
                "timelapse_days_to_keep",
                camera.timelapse_days_to_keep.map(u64::from),
            ),
        ];
        let said = limits
            .into_iter()
            .filter_map(|(key, limit)| Some(format!("{key} = {}", limit?)));
        lines.extend(said);
        lines.extend([
            line("timezone", camera.timezone.name()),
            line("transport", camera.transport.name()),
            trust(camera.trust),
            line("on_loss", camera.on_loss.name()),
            format!("audio = {}", camera.audio),
            format!("segment_s = {}", camera.segment.as_secs()),
            format!("frame_max_age_s = {}", camera.frame_max_age.as_secs()),
            format!("gif_max_bytes = {}", camera.gif_max_bytes),
            format!("timelapse = {}", camera.timelapse.enabled),
            format!("timelapse_interval_s = {}", camera.timelapse.interval_s),
            format!("timelapse_width = {}", camera.timelapse.width),
            format!("timelapse_fps = {}", camera.timelapse.fps),
        ]);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn mqtt(mqtt: &Mqtt) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "[mqtt]".to_owned(),
        line("url", &mqtt.url.to_string()),
    ];
    if let Some(login) = &mqtt.login {
        lines.push(line("user", login.user()));
        lines.extend(login.password().map(|_| line("password", HIDDEN)));
    }
    if mqtt.url.is_encrypted() {
        lines.push(trust(mqtt.trust));
    }
    lines.extend([
        line("topic_prefix", mqtt.topic_prefix.as_str()),
        format!("discovery = {}", mqtt.discovery_prefix.is_some()),
    ]);
    let discovery_prefix = mqtt.discovery_prefix.as_ref();
    lines.extend(discovery_prefix.map(|prefix| line("discovery_prefix", prefix.as_str())));
    let snapshot = mqtt.snapshot_interval;
    lines.extend(snapshot.map(|interval| format!("snapshot_interval_s = {}", interval.as_secs())));
    lines
}

fn trust(trust: Trust) -> String {
    match trust {
        Trust::Fingerprint(fingerprint) => line("tls_fingerprint", &fingerprint.to_string()),
        Trust::Roots | Trust::Anybody => format!("tls_verify = {}", trust == Trust::Roots),
    }
}

fn line(key: &str, text: &str) -> String {
    format!("{key} = {}", Value::String(escape(text)))
}

fn list(key: &str, values: &[impl ToString]) -> String {
    let values = values.iter().map(|value| Value::String(value.to_string()));
    format!("{key} = {}", Value::Array(values.collect()))
}
