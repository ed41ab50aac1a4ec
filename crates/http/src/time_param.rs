//! Instants: `{time}` in URLs, and as answers give them.

use chrono::{
    DateTime, MappedLocalTime, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, TimeZone as _,
    Timelike as _,
};
use chrono_tz::Tz;
use dayreel_core::{Day, WallTime};

use crate::error::ApiError;

/// What a client's clock may be ahead of ours.
const AHEAD: TimeDelta = TimeDelta::seconds(2);

/// An instant that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AskedTime {
    pub(crate) at: WallTime,
    /// Whether the same text always means this instant.
    pub(crate) is_absolute: bool,
}

/// A time as answers give it: RFC 3339 in the camera's zone, to the millisecond.
pub(crate) fn local(time: WallTime, zone: Tz) -> String {
    let local = time.with_timezone(&zone);
    local.to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// Reads `{time}`: RFC 3339, the same without an offset as local time in `zone`, or `HH:MM:SS` of today
/// there; each with or without a fraction of a second.
///
/// In the hour that comes twice in autumn, local time is the later one that has been; an offset names
/// either. Refused: what is not yet, and what the clocks leave out in spring.
pub(crate) fn parse(text: &str, now: WallTime, zone: Tz) -> Result<AskedTime, ApiError> {
    // In a query `+` is a space, unless somebody thought of it.
    let mended = text
        .rsplit_once(' ')
        .map(|(time, offset)| format!("{time}+{offset}"));
    let asked = match DateTime::parse_from_rfc3339(mended.as_deref().unwrap_or(text)) {
        Ok(at) => AskedTime {
            at: at.to_utc(),
            is_absolute: true,
        },
        Err(_) => AskedTime {
            at: parse_local(text, now, zone)?,
            is_absolute: false,
        },
    };
    if asked.at > now + AHEAD {
        let now = now.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S%:z");
        let message = format!("{text:?} is in the future; it is {now}");
        return Err(ApiError::invalid(message));
    }
    Ok(asked)
}

fn parse_local(text: &str, now: WallTime, zone: Tz) -> Result<WallTime, ApiError> {
    let of_today = || {
        let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?;
        Some(Day::containing(now, zone).date().and_time(time))
    };
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok();
    // No local day has second 60, but chrono reads it.
    let time = time.or_else(of_today);
    let time = time.filter(|time| time.nanosecond() < 1_000_000_000);
    let time = time.ok_or_else(|| {
        ApiError::invalid(
            "a time is RFC 3339, such as 2026-11-22T17:03:05+01:00 or 2026-11-22T16:03:05.2Z; local, \
             such as 2026-11-22T17:03:05; or HH:MM:SS of today, 00:00:00 to 23:59:59",
        )
    })?;
    match zone.from_local_datetime(&time) {
        MappedLocalTime::Single(at) => Ok(at.to_utc()),
        MappedLocalTime::Ambiguous(first, second) if second.to_utc() > now => Ok(first.to_utc()),
        MappedLocalTime::Ambiguous(_, second) => Ok(second.to_utc()),
        MappedLocalTime::None => {
            let message = format!("there is no {time}: the clocks are put forward over it");
            Err(ApiError::invalid(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: Tz = chrono_tz::Europe::Berlin;

    fn wall(text: &str) -> WallTime {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn parsed(text: &str, now: &str) -> Result<AskedTime, String> {
        parse(text, wall(now), BERLIN).map_err(|error| error.to_string())
    }

    #[test]
    fn an_instant_has_three_spellings() {
        let now = "2026-11-22T20:00:00+01:00";
        for (text, at, is_absolute) in [
            ("2026-11-22T17:03:05+01:00", "2026-11-22T16:03:05Z", true),
            ("2026-11-21T16:03:05.25Z", "2026-11-21T16:03:05.25Z", true),
            ("2026-11-22T17:03:05 01:00", "2026-11-22T16:03:05Z", true),
            ("2026-11-21T17:03:05", "2026-11-21T16:03:05Z", false),
            ("2026-11-21T17:03:05.5", "2026-11-21T16:03:05.5Z", false),
            ("17:03:05", "2026-11-22T16:03:05Z", false),
            ("17:03:05.120", "2026-11-22T16:03:05.12Z", false),
            ("7:03:05", "2026-11-22T06:03:05Z", false),
            ("00:00:00", "2026-11-21T23:00:00Z", false),
            // A clock that is a little ahead asks for now.
            ("20:00:02", "2026-11-22T19:00:02Z", false),
        ] {
            let at = wall(at);
            assert_eq!(parsed(text, now), Ok(AskedTime { at, is_absolute }));
        }
    }

    #[test]
    fn every_refusal_says_what_is_allowed() {
        let spelling = "a time is RFC 3339, such as 2026-11-22T17:03:05+01:00 or \
                        2026-11-22T16:03:05.2Z; local, such as 2026-11-22T17:03:05; or HH:MM:SS of \
                        today, 00:00:00 to 23:59:59";
        for (text, message) in [
            ("", spelling),
            ("now", spelling),
            ("17:03", spelling),
            ("24:00:00", spelling),
            ("17:60:00", spelling),
            ("17:03:60", spelling),
            ("-1:00:00", spelling),
            ("17:03:05Z", spelling),
            ("2026-11-22", spelling),
            ("2026-11-22T17:03", spelling),
            ("2026-11-22T17:03:60", spelling),
            ("2026-11-22T17:03:05 ", spelling),
            ("2026-02-30T17:03:05Z", spelling),
            ("2026-11-22T17:03:05+25:00", spelling),
            ("1795363385", spelling),
            ("١٧:٠٣:٠٥", spelling),
            (
                "20:00:03",
                "\"20:00:03\" is in the future; it is 2026-11-22T20:00:00+01:00",
            ),
            (
                "2026-11-23T00:00:00Z",
                "\"2026-11-23T00:00:00Z\" is in the future; it is 2026-11-22T20:00:00+01:00",
            ),
        ] {
            let refusal = parsed(text, "2026-11-22T20:00:00+01:00");
            assert_eq!(refusal, Err(message.to_owned()), "{text:?}");
        }
        assert_eq!(
            parsed("02:30:00", "2026-03-29T12:00:00+02:00"),
            Err("there is no 2026-03-29 02:30:00: the clocks are put forward over it".to_owned())
        );
    }

    #[test]
    fn the_hour_that_comes_twice_is_the_later_one_that_has_been() {
        for (now, at) in [
            ("2026-10-25T02:45:00+02:00", "2026-10-25T02:30:00+02:00"),
            ("2026-10-25T02:15:00+01:00", "2026-10-25T02:30:00+02:00"),
            ("2026-10-25T02:45:00+01:00", "2026-10-25T02:30:00+01:00"),
            ("2026-10-25T12:00:00+01:00", "2026-10-25T02:30:00+01:00"),
        ] {
            let asked = parsed("02:30:00", now).unwrap();
            assert_eq!(asked.at, wall(at), "at {now}");
        }
    }
}
