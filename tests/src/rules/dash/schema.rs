//! Validation against the schema of the standard, by `xmllint`.

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, Write},
    process::{Command, Stdio},
};

use super::SCHEMA;
use crate::rules::Findings;

/// Names the schema file, `DASH-MPD.xsd`, which is not part of this project.
pub const SCHEMA_PATH: &str = "DAYREEL_DASH_SCHEMA";

/// Whether a manifest was validated. Tests print it.
#[derive(Clone, Debug)]
#[must_use = "say whether the schema was there"]
pub enum Validation {
    /// `xmllint` ran with this schema.
    Ran {
        /// The schema file.
        schema: OsString,
        /// What it complained about.
        findings: Findings,
    },
    /// [`SCHEMA_PATH`] is not set.
    WithoutSchema,
}

impl Validation {
    /// Says on stderr whether the schema was there; panics if the manifest is not valid.
    #[track_caller]
    pub fn assert_valid(&self, document: &str) {
        eprintln!("{document}: {self}");
        if let Self::Ran { findings, .. } = self {
            findings.assert_none(document);
        }
    }
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran { schema, findings } => {
                let verdict = if findings.all().is_empty() {
                    "valid"
                } else {
                    "not valid"
                };
                write!(f, "{verdict} against {}", schema.display())
            }
            Self::WithoutSchema => write!(f, "ran without the schema: {SCHEMA_PATH} is not set"),
        }
    }
}

/// Validates the text of an MPD against the schema that [`SCHEMA_PATH`] names.
///
/// # Errors
/// The schema is named but `xmllint` (Debian: `libxml2-utils`) cannot be run, or cannot read it.
pub fn validate(text: &str) -> io::Result<Validation> {
    match env::var_os(SCHEMA_PATH) {
        None => Ok(Validation::WithoutSchema),
        Some(schema) => {
            let findings = validate_against(text, &schema)?;
            Ok(Validation::Ran { schema, findings })
        }
    }
}

fn validate_against(text: &str, schema: &OsString) -> io::Result<Findings> {
    let mut xmllint = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("xmllint (libxml2-utils): {error}"))
        })?;
    let mut stdin = xmllint.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // It reads everything before it complains, and may stop at a document that is no XML.
    match stdin.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => drop(stdin),
    }
    let output = xmllint.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut findings = Findings::default();
    match output.status.code() {
        Some(0) => {}
        // 1: no XML, 3 and 4: not valid. Others: the schema or the program itself failed.
        Some(1 | 3 | 4) => findings.check(false, SCHEMA, || said.trim().to_owned()),
        _ => return Err(io::Error::other(said)),
    }
    Ok(findings)
}

#[cfg(test)]
pub(super) fn validate_with(text: &str, schema: &std::path::Path) -> io::Result<Findings> {
    validate_against(text, &schema.as_os_str().to_owned())
}
