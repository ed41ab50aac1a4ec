//! What can be wrong with a configuration, said so that it can be put right: where, which key,
//! what is allowed. No text here ever holds a secret.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use dayreel_core::{InvalidCameraId, Kind};

use crate::{
    base_path::InvalidBasePath,
    mqtt::{InvalidMqttLogin, InvalidMqttUrl, InvalidTopic},
    password::InvalidHash,
    secret_url::InvalidUrl,
    trust::NoFingerprint,
    user::InvalidUserName,
    webhook::{InvalidWebhookSecret, InvalidWebhookUrl},
};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file does not exist.
    #[error("{}: no such file", file.display())]
    NotFound {
        /// As named by the user.
        file: PathBuf,
    },
    /// No file was named and none is in the usual places.
    #[error(
        "no configuration: name one with --config or DAYREEL_CONFIG, or create {}, or set \
         DAYREEL_CAMERA_1_ID and DAYREEL_CAMERA_1_RTSP; `dayreel demo` needs none",
        list(searched)
    )]
    NoneFound {
        /// Where it was looked for, in this order.
        searched: Vec<PathBuf>,
    },
    /// A directory stands where the file should be.
    #[error(
        "{}: is a directory, not a file; Docker creates one where the file of a bind mount is \
         missing on the host: remove the directory, create the file, start the container again",
        file.display()
    )]
    IsDirectory {
        /// The directory.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// As named by the user.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More than 1 MiB, or not UTF-8.
    #[error("{}: is not a text file (UTF-8, at most 1 MiB)", file.display())]
    NotText {
        /// As named by the user.
        file: PathBuf,
    },
    /// The content was refused; one problem a line.
    #[error("{}", located(problems, file.as_deref()))]
    Refused {
        /// The file that was read, if there is one.
        file: Option<PathBuf>,
        /// All that was found, in the order of the file. Never empty.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// What kind of error this is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } | Self::NoneFound { .. } => Kind::NotFound,
            Self::IsDirectory { .. }
            | Self::Unreadable { .. }
            | Self::NotText { .. }
            | Self::Refused { .. } => Kind::InvalidArgument,
        }
    }
}

fn located(problems: &[Problem], file: Option<&Path>) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| problem.located(file))
        .collect();
    lines.join("\n")
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(" or ")
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, and what is allowed.
    pub refusal: Refusal,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file.
    File {
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// `server.listen`, `camera.front-door.rtsp`; without an id `camera.#2.rtsp`, counted
        /// from 1. Empty for the whole file.
        key: String,
    },
    /// In an environment variable, or there is none of this name.
    Variable(String),
}

impl Place {
    /// `line 3` or the variable's name.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::File { line, .. } => format!("line {line}"),
            Self::Variable(name) => name.clone(),
        }
    }
}

impl Problem {
    fn located(&self, file: Option<&Path>) -> String {
        match (&self.place, &self.refusal) {
            (Place::File { line, column, key }, refusal) => {
                let file = file.unwrap_or(Path::new("")).display();
                let colon = if key.is_empty() { "" } else { ": " };
                format!("{file}:{line}:{column}: {key}{colon}{refusal}")
            }
            (Place::Variable(name), Refusal::Missing { example, .. }) => {
                format!("environment variable {name} is not set; write {name}={example}")
            }
            (Place::Variable(name), refusal) => format!("environment variable {name}: {refusal}"),
        }
    }
}

/// What was refused and what is allowed instead.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The parser's reason; names no content.
    #[error("is not valid TOML: {reason}")]
    Syntax {
        /// In the words of the TOML parser.
        reason: String,
    },
    /// The sub-stream is the main stream.
    #[error(
        "must be another stream than \"rtsp\": the camera's smaller one; leave the key out without one"
    )]
    PreviewIsMain,
    /// A key nobody reads.
    #[error("unknown key; {}allowed here: {}", did_you_mean(*meant), allowed.join(", "))]
    UnknownKey {
        /// Canonical names, without aliases.
        allowed: Vec<&'static str>,
        /// The closest of them, if it is close.
        meant: Option<&'static str>,
    },
    /// Two spellings of one key.
    #[error("is another spelling of `{name}`, which line {line} sets already; keep one")]
    GivenTwice {
        /// Canonical name.
        name: &'static str,
        /// Of the other spelling.
        line: usize,
    },
    /// A required key is not there.
    #[error("is missing; write {key} = {example:?}")]
    Missing {
        /// Its name.
        key: &'static str,
        /// A value.
        example: &'static str,
    },
    /// Another TOML type.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// With its article.
        expected: &'static str,
        /// With its article.
        found: &'static str,
    },
    /// `[camera]` for `[[camera]]`.
    #[error("write [[camera]] with two brackets; each [[camera]] begins one camera")]
    SingleBrackets,
    /// No camera at all.
    #[error(
        "no camera; add [[camera]] with id = \"front-door\" and rtsp = \
         \"rtsp://user:password@192.168.0.186:554/stream1\", or try `dayreel demo`, which brings \
         its own"
    )]
    NoCamera,
    /// A number outside of its range.
    #[error("is {given}; allowed is {min} to {max} ({unit})")]
    OutOfRange {
        /// As written.
        given: String,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// Not an id.
    #[error(transparent)]
    Id(#[from] InvalidCameraId),
    /// An id that is taken. Case does not distinguish: the folders may be on an SMB share.
    #[error(
        "{other} has this id already; every camera needs its own, and upper and lower case \
         do not make a difference"
    )]
    DuplicateId {
        /// Where the other camera's id is: a line or a variable.
        other: String,
    },
    /// Not an address to listen on.
    #[error(
        "{given} is no address to listen on; allowed is an IP address with a port, such as \
         \"0.0.0.0:6478\" (all of IPv4), \"[::]:6478\" or \"127.0.0.1:6478\""
    )]
    Listen {
        /// As written.
        given: Given,
    },
    /// An empty path.
    #[error("is empty; allowed is the path of a folder, such as \"./data\"")]
    EmptyPath,
    /// An empty path of a file.
    #[error("is empty; allowed is the path of a file, such as \"/etc/dayreel/key.pem\"")]
    EmptyFile,
    /// Not in the IANA database.
    #[error(
        "{given} is no time zone; {}allowed is a name of the IANA database, such as \
         \"Europe/Berlin\" or \"UTC\"",
        did_you_mean(*meant)
    )]
    Timezone {
        /// As written.
        given: Given,
        /// The closest name, if it is close.
        meant: Option<&'static str>,
    },
    /// Not one of a few words.
    #[error("{given} is not allowed; allowed is {}", quoted(allowed))]
    Choice {
        /// As written.
        given: Given,
        /// All words.
        allowed: &'static [&'static str],
    },
    /// Not a network.
    #[error("{given} is no network; allowed are such as \"172.17.0.0/16\" or \"192.168.0.2\"")]
    Network {
        /// As written.
        given: Given,
    },
    /// Not a base path.
    #[error(transparent)]
    BasePath(#[from] InvalidBasePath),
    /// A base path that begins like those of a camera.
    #[error("begins like the paths of the camera {id:?}; call one of them otherwise")]
    BasePathIsCamera {
        /// Its id.
        id: String,
    },
    /// A bad name of a user.
    #[error(transparent)]
    UserName(#[from] InvalidUserName),
    /// A name that is taken.
    #[error("{other} has this name already; every user needs their own")]
    DuplicateUser {
        /// Where the other user's name is: a line or a variable.
        other: String,
    },
    /// A password, or else no hash of one.
    #[error(transparent)]
    Hash(#[from] InvalidHash),
    /// A viewer's camera that is not there.
    #[error("is no camera of this configuration; there are: {}", known.join(", "))]
    UnknownCamera {
        /// Their ids.
        known: Vec<String>,
    },
    /// Only viewers have a list of cameras.
    #[error("is for viewers; an admin sees all cameras")]
    CamerasOfAdmin,
    /// Everybody is let in, and only these.
    #[error(
        "\"none\" lets everybody in, and there are [[users]]; remove this, or them (in a container, \
         DAYREEL_AUTH)"
    )]
    NoneWithUsers,
    /// A bad camera URL.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// A bad certificate fingerprint.
    #[error("is no certificate fingerprint: {0}")]
    Fingerprint(#[from] NoFingerprint),
    /// `${` without `}`.
    #[error("has a ${{ without its }}; write $${{ for a plain ${{")]
    Unclosed,
    /// `${…}` with something else between.
    #[error(
        "has a ${{…}} that is neither ${{NAME}} nor ${{file:/absolute/path}}; write $${{ for a \
         plain ${{"
    )]
    BadReference,
    /// `${NAME}` of nothing.
    #[error("environment variable {name} is not set")]
    VariableNotSet {
        /// Its name.
        name: String,
    },
    /// A value that is no text.
    #[error("environment variable {name} is not UTF-8")]
    VariableNotUtf8 {
        /// Its name.
        name: String,
    },
    /// `DAYREEL_CAMERA_` and something else.
    #[error(
        "is no key of a camera; they are called like DAYREEL_CAMERA_1_RTSP: a number from 1 to \
         9999, then the key in capital letters"
    )]
    CameraVariable,
    /// `DAYREEL_USER_` and something else.
    #[error(
        "is no key of a user; they are called like DAYREEL_USER_1_NAME: a number from 1 to 9999, then \
         the key in capital letters"
    )]
    UserVariable,
    /// `DAYREEL_WEBHOOK_` and something else.
    #[error(
        "is no key of a webhook; they are called like DAYREEL_WEBHOOK_1_URL: a number from 1 to 9999, \
         then the key in capital letters"
    )]
    WebhookVariable,
    /// A bad address of a webhook.
    #[error(transparent)]
    WebhookUrl(#[from] InvalidWebhookUrl),
    /// A bad secret of a webhook.
    #[error(transparent)]
    WebhookSecret(#[from] InvalidWebhookSecret),
    /// `DAYREEL_MQTT_` and something else.
    #[error("is no key of the broker; they are called like DAYREEL_MQTT_URL, in capital letters")]
    MqttVariable,
    /// A bad address of a broker.
    #[error(transparent)]
    MqttUrl(#[from] InvalidMqttUrl),
    /// A bad user or password of a broker.
    #[error(transparent)]
    MqttLogin(#[from] InvalidMqttLogin),
    /// A bad beginning of topics.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
    /// A variable that is a key and no text.
    #[error("is not UTF-8")]
    NotUtf8,
    /// `${file:…}` that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    FileUnreadable {
        /// As written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `${file:…}` of something else than a small text.
    #[error("{} is not a text file (UTF-8, at most 64 KiB)", path.display())]
    FileNotText {
        /// As written.
        path: PathBuf,
    },
}

/// A value as the user wrote it, before substitution; not repeated where it could hold a secret
/// that was put under the wrong key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given(Option<String>);

impl Given {
    /// What may be said of `written`.
    pub(crate) fn new(written: &str) -> Self {
        let may_be_secret =
            written.contains('@') || written.contains("//") || written.chars().count() > 40;
        Self((!may_be_secret).then(|| written.to_owned()))
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(f, "{text:?}"),
            None => f.write_str("the value"),
        }
    }
}

fn did_you_mean(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!("did you mean {meant:?}? "))
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match words.split_last() {
        Some((last, first @ [_, ..])) => format!("{} or {last}", first.join(", ")),
        _ => words.join(""),
    }
}

/// The candidate that `given` is most likely a misspelling of.
pub(crate) fn closest<'a>(
    given: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given = given.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let likeness = strsim::jaro_winkler(&given, &candidate.to_lowercase());
            (candidate, likeness)
        })
        .filter(|(_, likeness)| *likeness > 0.85)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(candidate, _)| candidate)
}
