//! What the configuration takes from its surroundings, behind a seam so that tests bring their own.

use std::ffi::OsString;

/// Environment variables and the machine's time zone.
pub trait EnvSource {
    /// The value of a variable, `None` if it is not set.
    fn var(&self, name: &str) -> Option<OsString>;

    /// The names of all variables that are UTF-8.
    fn names(&self) -> Vec<String>;

    /// The IANA name the machine is set to (`/etc/localtime`, `/etc/timezone`), if it has one.
    fn system_timezone(&self) -> Option<String>;
}

/// The process's environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnv;

impl EnvSource for SystemEnv {
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn names(&self) -> Vec<String> {
        let names = std::env::vars_os().map(|(name, _)| name);
        names.filter_map(|name| name.into_string().ok()).collect()
    }

    fn system_timezone(&self) -> Option<String> {
        iana_time_zone::get_timezone().ok()
    }
}
