//! What a moment is called: the local second of its request, and a number if that has several.

use std::{fmt, path::PathBuf, str::FromStr};

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// The name of a moment: `2026/11/22/17-03-05`, and `…-2` for the second moment of that second.
///
/// A local second can have several: two requests at once, or the hour that comes twice in autumn. A
/// name is never given to another moment while its file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MomentName {
    local: NaiveDateTime,
    /// From 1.
    nth: u32,
}

impl MomentName {
    /// The `nth` moment, from 1, of the local second `local`.
    pub fn new(local: NaiveDateTime, nth: u32) -> Self {
        let local = local.with_nanosecond(0).unwrap_or(local);
        Self { local, nth }
    }

    /// The local second.
    pub const fn local(self) -> NaiveDateTime {
        self.local
    }

    /// Which moment of that second, from 1.
    pub const fn nth(self) -> u32 {
        self.nth
    }

    /// The next name of the same second.
    pub(super) const fn next(self) -> Self {
        Self {
            nth: self.nth + 1,
            ..self
        }
    }

    /// The file below the folder of moments.
    pub(super) fn path(self) -> PathBuf {
        PathBuf::from(format!("{self}.mp4"))
    }

    /// The name of the file `file` (`17-03-05.mp4`) in the folder of `date`. One spelling each.
    pub(super) fn of_file(date: NaiveDate, file: &str) -> Option<Self> {
        let stem = file.strip_suffix(".mp4")?;
        let name: Self = format!("{}/{stem}", date.format("%Y/%m/%d")).parse().ok()?;
        (name.path().file_name()?.to_str()? == file).then_some(name)
    }
}

impl fmt::Display for MomentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.local.date(), self.local.time());
        write!(
            f,
            "{:04}/{:02}/{:02}/{:02}-{:02}-{:02}",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?;
        match self.nth {
            1 => Ok(()),
            nth => write!(f, "-{nth}"),
        }
    }
}

/// The text is no name of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMomentName;

impl FromStr for MomentName {
    type Err = NoMomentName;

    /// As [`Display`](fmt::Display) writes it.
    fn from_str(text: &str) -> Result<Self, NoMomentName> {
        let (date, rest) = text.rsplit_once('/').ok_or(NoMomentName)?;
        let date = NaiveDate::parse_from_str(date, "%Y/%m/%d").map_err(|_| NoMomentName)?;
        let mut numbers = rest.split('-').map(str::parse::<u32>);
        let mut number = || numbers.next().transpose().map_err(|_| NoMomentName);
        let (hour, minute, second, nth) = (number()?, number()?, number()?, number()?);
        let (hour, minute) = hour.zip(minute).ok_or(NoMomentName)?;
        let time = second.and_then(|second| NaiveTime::from_hms_opt(hour, minute, second));
        let nth = nth.unwrap_or(1);
        if nth == 0 || numbers.next().is_some() {
            return Err(NoMomentName);
        }
        Ok(Self::new(date.and_time(time.ok_or(NoMomentName)?), nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<MomentName> {
        text.parse().ok()
    }

    #[test]
    fn names_are_written_as_they_are_read() {
        for text in [
            "2026/11/22/17-03-05",
            "2026/01/02/00-00-00-2",
            "2026/10/25/02-30-00-17",
        ] {
            assert_eq!(name(text).unwrap().to_string(), text);
        }
        let first = name("2026/11/22/17-03-05").unwrap();
        assert_eq!(first.next().to_string(), "2026/11/22/17-03-05-2");
        assert!(first < first.next());
    }

    #[test]
    fn other_texts_are_no_names() {
        for text in [
            "",
            "17-03-05",
            "2026/11/22",
            "2026/02/30/17-03-05",
            "2026/11/22/24-00-00",
            "2026/11/22/17-03",
            "2026/11/22/17-03-05-0",
            "2026/11/22/17-03-05-2-3",
            "2026/11/22/17-03-x",
            "../../etc/17-03-05",
        ] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn files_have_one_spelling() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
        let of = |file| MomentName::of_file(date, file).map(|name| name.to_string());
        assert_eq!(of("17-03-05.mp4").as_deref(), Some("2026/11/22/17-03-05"));
        assert_eq!(
            of("17-03-05-2.mp4").as_deref(),
            Some("2026/11/22/17-03-05-2")
        );
        for file in [
            "17-3-5.mp4",
            "17-03-05-1.mp4",
            "17-03-05.mp4.part",
            "17-03-05.gif",
            ".mp4",
        ] {
            assert_eq!(of(file), None, "{file}");
        }
    }
}
