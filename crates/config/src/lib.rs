//! TOML to checked settings, with secrets that cannot be printed.
//!
//! [`load`] finds the file, reads it, substitutes what comes from the environment or from files,
//! adds the keys that are `DAYREEL_…` variables, applies defaults and checks everything: what it returns can be used
//! without further questions, and what it refuses names file, line, key and what is allowed, all
//! problems of the file at once.
//!
//! Invariant: the only way to a camera's password is [`SecretUrl::expose`] and
//! [`SecretUrl::credentials`]; of users' passwords there are hashes only;
//! a broker's password is behind [`MqttLogin::password`]. Errors repeat no value of a URL and no line of the file.

mod base_path;
mod document;
mod effective;
mod env;
mod mqtt;
mod password;
mod problem;
mod resolve;
mod secret_url;
mod settings;
mod template;
mod timezone;
mod trust;
mod user;
mod users_file;
mod variables;
mod warning;
mod webhook;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

pub use base_path::{BasePath, InvalidBasePath};
pub use effective::effective_toml;
pub use env::{EnvSource, SystemEnv};
pub use ipnet::IpNet;
pub use mqtt::{
    InvalidMqttLogin, InvalidMqttUrl, InvalidTopic, Mqtt, MqttLogin, MqttUrl,
    SNAPSHOT_INTERVAL_RANGE_S, Topic,
};
pub use password::{InvalidHash, PasswordHash};
pub use problem::{ConfigError, Given, Place, Problem, Refusal};
pub use secret_url::{Credentials, InvalidUrl, SecretUrl};
pub use settings::{
    Auth, Camera, DEFAULT_DATA_DIR, DEFAULT_FRAME_MAX_AGE_S, DEFAULT_GIF_MAX_BYTES, DEFAULT_LISTEN,
    DEFAULT_MIN_FREE_BYTES, DEFAULT_SEGMENT_S, DEFAULT_TIMELAPSE_FPS, DEFAULT_TIMELAPSE_INTERVAL_S,
    DEFAULT_TIMELAPSE_WIDTH, GIF_MAX_BYTES_RANGE, MAX_BYTES_RANGE, MAX_DATED_DAYS_TO_KEEP,
    MAX_DAYS_TO_KEEP, MAX_FRAME_MAX_AGE_S, MAX_SEGMENT_S, MAX_TIMELAPSE_FPS,
    MAX_TIMELAPSE_INTERVAL_S, OnLoss, Server, Settings, TIMELAPSE_WIDTHS, Timelapse, Tls,
    Transport,
};
pub use timezone::of_machine as system_timezone;
pub use trust::{Fingerprint, NoFingerprint, Trust};
pub use user::{InvalidUserName, Role, User, UserName};
pub use users_file::{UsersFile, UsersFileError};
pub use warning::Warning;
pub use webhook::{
    InvalidWebhookSecret, InvalidWebhookUrl, Webhook, WebhookEvent, WebhookSecret, WebhookUrl,
};

/// Where a file is looked for when none is named, in this order.
pub const SEARCH_PATHS: &[&str] = &["config/dayreel.toml", "/etc/dayreel/dayreel.toml"];

/// Thousands of cameras fit.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A configuration that was found to be good.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says, checked and with defaults.
    pub settings: Settings,
    /// What the user should know about it.
    pub warnings: Vec<Warning>,
    /// The file it is from; `None` if all of it is from the environment.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// Where it is from, for people.
    pub fn source(&self) -> String {
        let file = self.file.as_ref().map(|file| file.display().to_string());
        file.unwrap_or_else(|| "environment variables".to_owned())
    }
}

/// Loads `file`, or the first of [`SEARCH_PATHS`] that exists.
///
/// `DAYREEL_LISTEN` and so on override the keys of `[server]`. `DAYREEL_CAMERA_1_ID`,
/// `DAYREEL_CAMERA_1_RTSP` and so on are cameras, after those of the file; where there is one, there
/// need not be a file. An empty variable counts as not set.
///
/// # Errors
/// [`ConfigError`]: no file, an unreadable one, or everything that is wrong with its content.
pub fn load(file: Option<&Path>, env: &dyn EnvSource) -> Result<Loaded, ConfigError> {
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => match search(SEARCH_PATHS.iter().map(PathBuf::from).collect()) {
            Ok(file) => Some(file),
            Err(_) if variables::name_a_camera(env) => None,
            Err(error) => return Err(error),
        },
    };
    let text = file.as_deref().map_or_else(|| Ok(String::new()), read)?;
    match resolve::resolve(&text, env) {
        Ok((settings, warnings)) => Ok(Loaded {
            settings,
            warnings,
            file,
        }),
        Err(problems) => Err(ConfigError::Refused { file, problems }),
    }
}

/// The first of `paths` that exists; what cannot be looked at counts as existing, so that the
/// reason is said.
fn search(paths: Vec<PathBuf>) -> Result<PathBuf, ConfigError> {
    let found = paths.iter().find(|path| path.try_exists().unwrap_or(true));
    match found {
        Some(path) => Ok(path.clone()),
        None => Err(ConfigError::NoneFound { searched: paths }),
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    if fs::metadata(file).is_ok_and(|metadata| metadata.is_dir()) {
        let file = file.to_owned();
        return Err(ConfigError::IsDirectory { file });
    }
    let unreadable = |source: io::Error| {
        let file = file.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => ConfigError::NotFound { file },
            _ => ConfigError::Unreadable { file, source },
        }
    };
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    let is_small = bytes.len() as u64 <= MAX_FILE_BYTES;
    is_small
        .then(|| String::from_utf8(bytes).ok())
        .flatten()
        .ok_or_else(|| ConfigError::NotText {
            file: file.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_exists_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["a.toml", "b.toml"].map(|name| folder.path().join(name));
        let both = || vec![first.clone(), second.clone()];
        assert!(matches!(
            search(both()),
            Err(ConfigError::NoneFound { searched }) if searched == both()
        ));
        fs::write(&second, "").unwrap();
        assert_eq!(search(both()).unwrap(), second);
        fs::create_dir(&first).unwrap();
        assert_eq!(
            search(both()).unwrap(),
            first,
            "a directory is not passed over"
        );
    }
}
