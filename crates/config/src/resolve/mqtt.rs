//! `[mqtt]`: the broker that is told of the cameras.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{MQTT_KEYS, Resolver, Table};
use crate::{
    mqtt::{
        DEFAULT_DISCOVERY_PREFIX, DEFAULT_TOPIC_PREFIX, Mqtt, MqttLogin, MqttUrl,
        SNAPSHOT_INTERVAL_RANGE_S, Topic,
    },
    problem::Refusal,
    trust::Trust,
};

/// What one source says of `[mqtt]`.
#[derive(Default)]
struct MqttKeys {
    /// Where it begins, if it is there.
    at: Option<usize>,
    /// The keys that are there, right or wrong.
    said: Vec<&'static str>,
    url: Option<MqttUrl>,
    user: Option<String>,
    password: Option<String>,
    trust: Option<Trust>,
    topic_prefix: Option<Topic>,
    discovery: Option<bool>,
    discovery_prefix: Option<Topic>,
    snapshot_interval_s: Option<u32>,
}

impl MqttKeys {
    /// These, and for what they do not say `other`.
    fn or(self, other: Self) -> Self {
        Self {
            at: self.at.or(other.at),
            said: [self.said, other.said].concat(),
            url: self.url.or(other.url),
            user: self.user.or(other.user),
            password: self.password.or(other.password),
            trust: self.trust.or(other.trust),
            topic_prefix: self.topic_prefix.or(other.topic_prefix),
            discovery: self.discovery.or(other.discovery),
            discovery_prefix: self.discovery_prefix.or(other.discovery_prefix),
            snapshot_interval_s: self.snapshot_interval_s.or(other.snapshot_interval_s),
        }
    }

    /// With the defaults; `None` where something is missing, which is reported.
    fn complete(self) -> Option<Mqtt> {
        let default = |topic: &str| topic.parse::<Topic>().ok();
        let discovery_prefix = match self.discovery {
            Some(false) => None,
            _ => Some(
                self.discovery_prefix
                    .or_else(|| default(DEFAULT_DISCOVERY_PREFIX))?,
            ),
        };
        let password = self.password;
        Some(Mqtt {
            url: self.url?,
            login: self.user.map(|user| MqttLogin::new(user, password)),
            trust: self.trust.unwrap_or(Trust::Roots),
            topic_prefix: self
                .topic_prefix
                .or_else(|| default(DEFAULT_TOPIC_PREFIX))?,
            discovery_prefix,
            snapshot_interval: self
                .snapshot_interval_s
                .map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

/// The broker, if one of the sources has one; variables override the file.
pub(super) fn resolve(
    file: &mut Resolver<'_, '_>,
    variables: &mut Resolver<'_, '_>,
) -> Option<Mqtt> {
    let (in_file, in_variables) = (file.mqtt(), variables.mqtt());
    let is_in_file = in_file.at.is_some();
    let at = in_file.at.or(in_variables.at)?;
    let keys = in_variables.or(in_file);
    let mut missing = |key: &'static str, example| {
        if !keys.said.contains(&key) {
            let refusal = Refusal::Missing { key, example };
            let key = format!("mqtt.{key}");
            match is_in_file {
                true => file.report.add(at, &key, refusal),
                false => variables.report.add(at, &key, refusal),
            }
        }
    };
    missing("url", "mqtt://192.168.0.10:1883");
    if keys.said.contains(&"password") {
        missing("user", "dayreel");
    }
    keys.complete()
}

impl Resolver<'_, '_> {
    fn mqtt(&mut self) -> MqttKeys {
        let Some(value) = self.root.get("mqtt") else {
            return MqttKeys::default();
        };
        let empty = DeTable::new();
        let table = match value.get_ref() {
            DeValue::Table(table) => table,
            other => {
                self.wrong_type(value, "mqtt", "a table: [mqtt]", other);
                &empty
            }
        };
        let table = Table::open("mqtt", table, MQTT_KEYS, self.report);
        let is_said = |key: &&str| table.get(key).is_some();
        let trusts = ["tls_verify", "tls_fingerprint"].iter().any(is_said);
        let login = |text: &str, _| Ok(MqttLogin::check(text)?);
        let topic = |text: &str, _| Ok(text.parse::<Topic>()?);
        let interval = SNAPSHOT_INTERVAL_RANGE_S;
        let interval = (*interval.start(), *interval.end());
        MqttKeys {
            // A value that is no table is refused already.
            at: matches!(value.get_ref(), DeValue::Table(_)).then(|| value.span().start),
            said: ["url", "user", "password"]
                .into_iter()
                .filter(is_said)
                .collect(),
            url: self.text(&table, "url", |text, _| Ok(text.parse::<MqttUrl>()?)),
            user: self.text(&table, "user", login),
            password: self.text(&table, "password", login),
            trust: trusts.then(|| self.trust(&table)),
            topic_prefix: self.text(&table, "topic_prefix", topic),
            discovery: table.boolean("discovery", self.report),
            discovery_prefix: self.text(&table, "discovery_prefix", topic),
            snapshot_interval_s: table.integer(
                "snapshot_interval_s",
                interval,
                "seconds",
                self.report,
            ),
        }
    }
}
