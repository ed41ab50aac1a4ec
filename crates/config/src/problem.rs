//! What can be wrong with a configuration, said so that it can be put right: where, which key,
//! what is allowed. No text here ever holds a secret.

use std::{fmt, io, path::PathBuf};

use dayreel_core::{InvalidCameraId, Kind};

use crate::secret_url::InvalidUrl;

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
        "no configuration: name one with --config or DAYREEL_CONFIG, or create {}; \
         `dayreel demo` needs none",
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
    #[error("{}", problems.iter().map(|problem| problem.located(file)).collect::<Vec<_>>().join("\n"))]
    Refused {
        /// The file that was read.
        file: PathBuf,
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
    /// In an environment variable that overrides a key.
    Variable(&'static str),
}

impl Problem {
    fn located(&self, file: &std::path::Path) -> String {
        let refusal = &self.refusal;
        match &self.place {
            Place::File { line, column, key } => {
                let file = file.display();
                let colon = if key.is_empty() { "" } else { ": " };
                format!("{file}:{line}:{column}: {key}{colon}{refusal}")
            }
            Place::Variable(name) => format!("environment variable {name}: {refusal}"),
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
    #[error("is missing; {example}")]
    Missing {
        /// How it is written.
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
        "line {line} has this id already; every camera needs its own, and upper and lower case \
         do not make a difference"
    )]
    DuplicateId {
        /// Of the other camera's id.
        line: usize,
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
    /// A bad camera URL.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
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
    /// A value of an overriding variable that is no text.
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
    words.join(" or ")
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
