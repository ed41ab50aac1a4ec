//! The time zone of the machine.

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::{
    env::EnvSource,
    problem::{Given, Refusal, closest},
    warning::Warning,
};

/// The zone named `name`.
pub(crate) fn parse(name: &str, given: Given) -> Result<Tz, Refusal> {
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    let is_city = |full: &&str| {
        let city = full.rsplit('/').next();
        city.is_some_and(|city| city.eq_ignore_ascii_case(name))
    };
    name.parse().map_err(|_| Refusal::Timezone {
        given,
        meant: names().find(is_city).or_else(|| closest(name, names())),
    })
}

/// The machine's zone: `TZ`, then `/etc/localtime` and `/etc/timezone`, then UTC.
///
/// Only names count. A `TZ` with rules (`CET-1CEST,M3.5.0,M10.5.0/3`) has no history and no name;
/// it is passed over with a warning.
pub fn of_machine(env: &dyn EnvSource) -> (Tz, Option<Warning>) {
    let tz = env.var("TZ").filter(|value| !value.is_empty());
    let tz = tz.map(|value| value.to_string_lossy().into_owned());
    if let Some(zone) = tz.as_deref().and_then(named) {
        return (zone, None);
    }
    let machine = env.system_timezone();
    let zone = machine.as_deref().and_then(named);
    let used = zone.unwrap_or(Tz::UTC);
    let warning = match (tz, zone) {
        (Some(tz), _) => Some(Warning::TzPassedOver { tz, used }),
        (None, None) => Some(Warning::NoTimezone),
        (None, Some(_)) => None,
    };
    (used, warning)
}

/// `Europe/Berlin` from itself, `:Europe/Berlin` or `/usr/share/zoneinfo/Europe/Berlin`.
fn named(text: &str) -> Option<Tz> {
    let text = text.strip_prefix(':').unwrap_or(text);
    let name = text
        .split_once("/zoneinfo/")
        .map_or(text, |(_, name)| name)
        .trim_start_matches("posix/");
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    struct Machine {
        tz: Option<&'static str>,
        etc: Option<&'static str>,
    }

    impl EnvSource for Machine {
        fn var(&self, name: &str) -> Option<OsString> {
            self.tz.filter(|_| name == "TZ").map(OsString::from)
        }

        fn names(&self) -> Vec<String> {
            Vec::new()
        }

        fn system_timezone(&self) -> Option<String> {
            self.etc.map(str::to_owned)
        }
    }

    #[test]
    fn tz_comes_before_etc_and_utc_comes_last_with_a_warning() {
        let berlin = Tz::Europe__Berlin;
        for (tz, etc, zone, warns) in [
            (Some("Europe/Berlin"), Some("Asia/Tokyo"), berlin, false),
            (Some(":Europe/Berlin"), None, berlin, false),
            (
                Some("/usr/share/zoneinfo/Europe/Berlin"),
                None,
                berlin,
                false,
            ),
            (Some(""), Some("Europe/Berlin"), berlin, false),
            (None, Some("Europe/Berlin"), berlin, false),
            (Some("CET-1CEST"), Some("Europe/Berlin"), berlin, true),
            (Some("CET-1CEST"), None, Tz::UTC, true),
            (None, Some("Etc/UTC"), Tz::Etc__UTC, false),
            (None, Some("nonsense"), Tz::UTC, true),
            (None, None, Tz::UTC, true),
        ] {
            let (found, warning) = of_machine(&Machine { tz, etc });
            assert_eq!((found, warning.is_some()), (zone, warns), "{tz:?} {etc:?}");
        }
    }
}
