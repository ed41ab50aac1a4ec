//! Keys that come as environment variables: `DAYREEL_LISTEN`, `DAYREEL_MQTT_URL`,
//! `DAYREEL_CAMERA_1_RTSP`.
//!
//! They become a document of the same form as the file and are checked by the same code; only the
//! places of problems are names of variables instead of lines.

use std::collections::BTreeMap;

use toml::Value;

use crate::{
    document::Key,
    env::EnvSource,
    problem::{Place, Problem, Refusal},
    resolve::{CAMERA_KEYS, MQTT_KEYS, SERVER_KEYS, USER_KEYS, WEBHOOK_KEYS},
};

const SERVER: &str = "DAYREEL_";
const MQTT: &str = "DAYREEL_MQTT_";

/// A table that there can be several of.
struct List {
    table: &'static str,
    /// How the names of its variables begin.
    prefix: &'static str,
    keys: &'static [Key],
    /// Of a name that only begins so.
    refusal: fn() -> Refusal,
}

const CAMERAS: List = List {
    table: "[[camera]]",
    prefix: "DAYREEL_CAMERA_",
    keys: CAMERA_KEYS,
    refusal: || Refusal::CameraVariable,
};

const LISTS: [List; 3] = [
    CAMERAS,
    List {
        table: "[[users]]",
        prefix: "DAYREEL_USER_",
        keys: USER_KEYS,
        refusal: || Refusal::UserVariable,
    },
    List {
        table: "[[webhooks]]",
        prefix: "DAYREEL_WEBHOOK_",
        keys: WEBHOOK_KEYS,
        refusal: || Refusal::WebhookVariable,
    },
];

impl List {
    fn names(&self, env: &dyn EnvSource) -> impl Iterator<Item = String> {
        let names = env.names().into_iter();
        names.filter(|name| name.starts_with(self.prefix))
    }
}

/// Largest number of a camera. More than four digits are a typing error.
const MAX_NUMBER: u16 = 9999;

/// What variables say, as TOML.
pub(crate) struct Variables {
    pub(crate) text: String,
    /// Where the table of each group of variables begins, in bytes, and how their names begin.
    pub(crate) groups: Vec<(usize, String)>,
}

impl Variables {
    /// The variables of `env` that are keys, and what is wrong with their names. Those of
    /// `[server]` come first, then that of `[mqtt]`, then cameras, users and webhooks by their numbers, which may have holes.
    pub(crate) fn read(env: &dyn EnvSource) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut refuse = |name: String, refusal| {
            let place = Place::Variable(name);
            problems.push(Problem { place, refusal });
        };
        let mut variables = Self {
            text: String::new(),
            groups: Vec::new(),
        };
        variables.begin("[server]", SERVER.to_owned());
        for key in SERVER_KEYS {
            let name = format!("{SERVER}{}", key.name.to_uppercase());
            match value(env, &name) {
                Ok(Some(value)) => variables.add(key.name, &value, SERVER_KEYS),
                Ok(None) => {}
                Err(refusal) => refuse(name, refusal),
            }
        }
        let mut of_broker: Vec<_> = env.names();
        of_broker.retain(|name| name.starts_with(MQTT));
        of_broker.sort();
        let mut is_begun = false;
        for name in of_broker {
            let key = name.strip_prefix(MQTT).filter(|key| is_key(key));
            match (value(env, &name), key.map(str::to_lowercase)) {
                (Ok(None), _) => {}
                (Ok(Some(value)), Some(key)) => {
                    if !is_begun {
                        variables.begin("[mqtt]", MQTT.to_owned());
                        is_begun = true;
                    }
                    variables.add(&key, &value, MQTT_KEYS);
                }
                (Ok(Some(_)), None) => refuse(name, Refusal::MqttVariable),
                (Err(refusal), _) => refuse(name, refusal),
            }
        }
        for list in LISTS {
            let mut tables: BTreeMap<u16, BTreeMap<String, String>> = BTreeMap::new();
            for name in list.names(env) {
                let text = match value(env, &name) {
                    Ok(Some(text)) => text,
                    Ok(None) => continue,
                    Err(refusal) => {
                        refuse(name, refusal);
                        continue;
                    }
                };
                match number_and_key(list.prefix, &name) {
                    Some((number, key)) => {
                        tables.entry(number).or_default().insert(key, text);
                    }
                    None => refuse(name, (list.refusal)()),
                }
            }
            for (number, keys) in tables {
                variables.begin(list.table, format!("{}{number}_", list.prefix));
                for (key, value) in keys {
                    variables.add(&key, &value, list.keys);
                }
            }
        }
        (variables, problems)
    }

    fn begin(&mut self, table: &str, prefix: String) {
        self.groups.push((self.text.len(), prefix));
        self.text.push_str(table);
        self.text.push('\n');
    }

    fn add(&mut self, key: &str, value: &str, keys: &[Key]) {
        let is_text = keys.iter().any(|known| known.name == key && known.is_text);
        let value = match is_text {
            true => Value::String(value.to_owned()),
            false => literal(value),
        };
        self.text.push_str(&format!("{key} = {value}\n"));
    }
}

/// Whether a variable configures a camera, well or badly.
pub(crate) fn name_a_camera(env: &dyn EnvSource) -> bool {
    let mut names = CAMERAS.names(env);
    names.any(|name| env.var(&name).is_some_and(|value| !value.is_empty()))
}

/// An empty variable counts as not set.
fn value(env: &dyn EnvSource, name: &str) -> Result<Option<String>, Refusal> {
    let value = env.var(name).filter(|value| !value.is_empty());
    let text = value.map(|value| value.into_string().map_err(|_| Refusal::NotUtf8));
    text.transpose()
}

/// `1` and `days_to_keep` of `DAYREEL_CAMERA_1_DAYS_TO_KEEP`, which begins with `prefix`.
fn number_and_key(prefix: &str, name: &str) -> Option<(u16, String)> {
    let (number, key) = name.strip_prefix(prefix)?.split_once('_')?;
    // One spelling a number: `01` could be given besides `1`.
    let is_number = number.bytes().all(|c| c.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|number| *number <= MAX_NUMBER);
    number
        .filter(|_| is_number && is_key(key))
        .map(|number| (number, key.to_lowercase()))
}

/// Whether it may be a key in capital letters.
fn is_key(text: &str) -> bool {
    let fits = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
    !text.is_empty() && text.bytes().all(fits)
}

/// What `text` is in TOML: a number, a truth value, or else a string.
fn literal(text: &str) -> Value {
    let trimmed = text.trim();
    let number = trimmed.replace('_', "").parse().map(Value::Integer);
    let truth = || trimmed.parse().map(Value::Boolean);
    number
        .or_else(|_| truth())
        .unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_number_and_a_key() {
        for (name, found) in [
            ("DAYREEL_CAMERA_1_RTSP", Some((1, "rtsp"))),
            (
                "DAYREEL_CAMERA_9999_DAYS_TO_KEEP",
                Some((9999, "days_to_keep")),
            ),
            ("DAYREEL_CAMERA_10000_RTSP", None),
            ("DAYREEL_CAMERA_0_RTSP", None),
            ("DAYREEL_CAMERA_01_RTSP", None),
            ("DAYREEL_CAMERA_+1_RTSP", None),
            ("DAYREEL_CAMERA_1_rtsp", None),
            ("DAYREEL_CAMERA_1_", None),
            ("DAYREEL_CAMERA_1", None),
            ("DAYREEL_CAMERA_RTSP", None),
        ] {
            let found = found.map(|(number, key)| (number, key.to_owned()));
            assert_eq!(number_and_key(CAMERAS.prefix, name), found, "{name}");
        }
    }

    #[test]
    fn numbers_and_truth_are_not_quoted() {
        for (text, value) in [
            ("5", "5"),
            (" 5 ", "5"),
            ("4_194_304", "4194304"),
            ("-1", "-1"),
            ("007", "7"),
            ("true", "true"),
            ("yes", "\"yes\""),
            ("1.5", "\"1.5\""),
        ] {
            assert_eq!(literal(text).to_string(), value, "{text}");
        }
    }
}
