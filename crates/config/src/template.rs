//! `${NAME}` and `${file:/path}` in string values.
//!
//! - `${NAME}` is the environment variable `NAME` (letters, digits and `_`, not beginning with a
//!   digit). Not set: refused. Set but empty: the empty text.
//! - `${file:/path}` is the content of that file (absolute path, UTF-8, at most 64 KiB), without
//!   one line break at its end.
//! - `$${` is a plain `${`. Any other `$` is itself.
//! - What is substituted is not looked at again.
//!
//! In the URL of a camera the value is percent-encoded where it can only be a part of something:
//! before the last `@` of the authority (each of user and password), and after a `=` behind the
//! host (a parameter's value). Elsewhere it is inserted as it is, so that `${HOST}`, `${PATH_PART}`
//! or `${WHOLE_URL}` work.

use std::{
    fs::File,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::{
    env::EnvSource,
    problem::Refusal,
    secret_url::{HIDDEN, SecretUrl, encode, userinfo_len},
};

/// More than any password or URL needs; a path to a device or a log is refused early.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// A piece of a string value.
enum Part {
    Literal(String),
    Substituted(String),
}

/// `text` with everything substituted as it is.
pub(crate) fn expand(text: &str, env: &dyn EnvSource) -> Result<String, Refusal> {
    let parts = parts(text, env)?;
    Ok(parts
        .into_iter()
        .map(|part| match part {
            Part::Literal(text) | Part::Substituted(text) => text,
        })
        .collect())
}

/// The camera URL that `text` stands for.
pub(crate) fn expand_url(text: &str, env: &dyn EnvSource) -> Result<SecretUrl, Refusal> {
    let parts = parts(text, env)?;
    // Where the delimiters are is decided by what the user wrote, never by a substituted value:
    // each value is a single letter here.
    let mask: String = parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) => text,
            Part::Substituted(_) => "x",
        })
        .collect();
    let places = Places::of(&mask);
    let (mut url, mut shown, mut at) = (String::new(), String::new(), 0);
    for part in &parts {
        match part {
            Part::Literal(text) => {
                url.push_str(text);
                shown.push_str(text);
                at += text.len();
            }
            Part::Substituted(value) => {
                let is_part = places.userinfo.contains(&at) || places.is_parameter_value(&mask, at);
                let value = if is_part {
                    encode(value)
                } else {
                    value.clone()
                };
                url.push_str(&value);
                shown.push_str(if at >= places.path { HIDDEN } else { &value });
                at += 1;
            }
        }
    }
    SecretUrl::parse(&url, Some(&shown)).map_err(Refusal::Url)
}

/// `text` so that [`expand`] gives it back.
pub(crate) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// Byte positions in a URL.
struct Places {
    userinfo: Range<usize>,
    /// Where the path or query begins, or the end.
    path: usize,
}

impl Places {
    fn of(mask: &str) -> Self {
        let Some(authority) = mask.find("://").map(|at| at + 3) else {
            let end = mask.len();
            return Self {
                userinfo: end..end,
                path: end,
            };
        };
        let after_scheme = &mask[authority..];
        let path = after_scheme
            .find(['/', '?', '#'])
            .unwrap_or(after_scheme.len());
        Self {
            userinfo: authority..authority + userinfo_len(after_scheme).unwrap_or(0),
            path: authority + path,
        }
    }

    fn is_parameter_value(&self, mask: &str, at: usize) -> bool {
        let before = mask.get(self.path..at).unwrap_or_default();
        let parameter = before.rsplit(['/', '?', '&']).next().unwrap_or(before);
        parameter.contains('=')
    }
}

fn parts(text: &str, env: &dyn EnvSource) -> Result<Vec<Part>, Refusal> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        let reference = &reference["${".len()..];
        if let Some(before) = before.strip_suffix('$') {
            literal.push_str(before);
            literal.push_str("${");
            rest = reference;
            continue;
        }
        literal.push_str(before);
        let (name, after) = reference.split_once('}').ok_or(Refusal::Unclosed)?;
        parts.push(Part::Literal(std::mem::take(&mut literal)));
        parts.push(Part::Substituted(look_up(name, env)?));
        rest = after;
    }
    literal.push_str(rest);
    parts.push(Part::Literal(literal));
    Ok(parts)
}

fn look_up(name: &str, env: &dyn EnvSource) -> Result<String, Refusal> {
    if let Some(path) = name.strip_prefix("file:") {
        return read_secret(Path::new(path));
    }
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(Refusal::BadReference);
    }
    let value = env.var(name).ok_or_else(|| Refusal::VariableNotSet {
        name: name.to_owned(),
    })?;
    value.into_string().map_err(|_| Refusal::VariableNotUtf8 {
        name: name.to_owned(),
    })
}

fn read_secret(path: &Path) -> Result<String, Refusal> {
    if !path.is_absolute() {
        return Err(Refusal::BadReference);
    }
    let unreadable = |source| Refusal::FileUnreadable {
        path: PathBuf::from(path),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let is_small = bytes.len() as u64 <= MAX_SECRET_FILE_BYTES;
    let text = is_small
        .then(|| String::from_utf8(bytes).ok())
        .flatten()
        .ok_or_else(|| Refusal::FileNotText {
            path: PathBuf::from(path),
        })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, ffi::OsString, fs};

    use super::*;

    struct Vars(HashMap<&'static str, &'static str>);

    impl EnvSource for Vars {
        fn var(&self, name: &str) -> Option<OsString> {
            self.0.get(name).map(OsString::from)
        }

        fn names(&self) -> Vec<String> {
            Vec::new()
        }

        fn system_timezone(&self) -> Option<String> {
            None
        }
    }

    fn vars() -> Vars {
        Vars(HashMap::from([
            ("USER", "ad@min"),
            ("PASS", "p@/ :%#?&ä"),
            ("EMPTY", ""),
            ("HOST", "cam.lan:8554"),
            ("TOKEN", "s3/cr?et"),
            ("URL", "rtsp://u:p%40@h/s?token=t"),
            ("NESTED", "${PASS}"),
        ]))
    }

    #[test]
    fn substitutes_and_escapes() {
        for (text, value) in [
            ("plain $ {x} $x", "plain $ {x} $x"),
            ("${EMPTY}", ""),
            ("a${USER}b${USER}", "aad@minbad@min"),
            ("$${USER}", "${USER}"),
            ("$$${USER}", "$${USER}"),
            ("${NESTED}", "${PASS}"),
        ] {
            assert_eq!(expand(text, &vars()).unwrap(), value, "{text}");
        }
        let nasty = "a${b}$${c}$$${";
        assert_eq!(expand(&escape(nasty), &vars()).unwrap(), nasty);
    }

    #[test]
    fn a_value_is_encoded_where_it_is_a_part_and_raw_elsewhere() {
        let password = "p%40%2F%20%3A%25%23%3F%26%C3%A4";
        for (text, exposed, shown) in [
            (
                "rtsp://${USER}:${PASS}@h/s",
                format!("rtsp://ad%40min:{password}@h/s"),
                "rtsp://***:***@h/s",
            ),
            (
                "rtsp://root:x${PASS}@${HOST}/s",
                format!("rtsp://root:x{password}@cam.lan:8554/s"),
                "rtsp://***:***@cam.lan:8554/s",
            ),
            (
                "rtsp://h/s?user=a&key=${PASS}&n=${PASS}",
                format!("rtsp://h/s?user=a&key={password}&n={password}"),
                "rtsp://h/s?user=***&key=***&n=***",
            ),
            (
                "rtsps://${HOST}/a/${TOKEN}",
                "rtsps://cam.lan:8554/a/s3/cr?et".into(),
                "rtsps://cam.lan:8554/a/***",
            ),
            (
                "${URL}",
                "rtsp://u:p%40@h/s?token=t".into(),
                "rtsp://***:***@h/s?token=***",
            ),
        ] {
            let url = expand_url(text, &vars()).unwrap();
            assert_eq!(url.expose(), exposed, "{text}");
            assert_eq!(url.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn a_file_loses_one_line_break_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let text = format!("${{file:{}}}", path.display());
        for (content, value) in [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n")] {
            fs::write(&path, content).unwrap();
            assert_eq!(expand(&text, &vars()).unwrap(), value);
        }
        fs::write(&path, "x".repeat(65_537)).unwrap();
        assert!(matches!(
            expand(&text, &vars()),
            Err(Refusal::FileNotText { .. })
        ));
    }
}
