//! Surroundings for the tests: variables from a list, UTC as the machine's zone, a file of their own.

use std::{ffi::OsString, fs};

use dayreel_config::{ConfigError, EnvSource, Loaded, load};

/// The variables of one test.
pub(crate) struct Vars<'v>(pub(crate) &'v [(&'v str, &'v str)]);

impl EnvSource for Vars<'_> {
    fn var(&self, name: &str) -> Option<OsString> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn system_timezone(&self) -> Option<String> {
        Some("UTC".to_owned())
    }
}

/// Loads `text` from a file; in messages the file is called `f.toml`.
pub(crate) fn load_text(text: &str, vars: &[(&str, &str)]) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("f.toml");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    load(Some(&file), &Vars(vars)).map_err(|error: ConfigError| {
        error
            .to_string()
            .replace(&format!("{}/", folder.path().display()), "")
    })
}
