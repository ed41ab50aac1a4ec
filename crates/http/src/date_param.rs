//! Dates and numbers in URLs: `{year}/{month}/{day}`, `3` and `03` are the same.

use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate};

use crate::error::ApiError;

/// The number that `text` is. Digits only: `parse` alone would take a sign.
pub(crate) fn number(text: &str, range: &RangeInclusive<u32>) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    range.contains(&number).then_some(number)
}

/// The number that `text` is, which is called `what`.
///
/// # Errors
/// It is none within `range`.
pub(crate) fn part(what: &str, text: &str, range: RangeInclusive<u32>) -> Result<u32, ApiError> {
    number(text, &range).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        ApiError::invalid(format!("{what} is a whole number from {least} to {most}"))
    })
}

/// The date that these are.
///
/// # Errors
/// One of them is out of its range, or that month is shorter.
pub(crate) fn date(year: &str, month: &str, day: &str) -> Result<NaiveDate, ApiError> {
    let (year, month) = (
        part("year", year, 1970..=9999)?,
        part("month", month, 1..=12)?,
    );
    let number = part("day", day, 1..=31)?;
    let first = i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, 1));
    first
        .and_then(|first| first.with_day(number))
        .ok_or_else(|| {
            let days = first.map_or(28, |first| first.num_days_in_month());
            ApiError::invalid(format!(
                "day is a whole number from 1 to {days} in {year}-{month:02}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_leading_zeros_or_none() {
        let expected = NaiveDate::from_ymd_opt(2026, 11, 3).unwrap();
        for (year, month, day) in [("2026", "11", "3"), ("2026", "11", "03")] {
            assert_eq!(date(year, month, day).unwrap(), expected);
        }
        assert!(date("2024", "2", "29").is_ok());
    }

    #[test]
    fn every_wrong_number_is_refused_with_its_range() {
        let year = "year is a whole number from 1970 to 9999";
        let month = "month is a whole number from 1 to 12";
        let day = "day is a whole number from 1 to 31";
        for ((y, m, d), message) in [
            (("1969", "11", "3"), year),
            (("26", "11", "3"), year),
            (("10000", "11", "3"), year),
            (("-2026", "11", "3"), year),
            (("year", "11", "3"), year),
            (("", "11", "3"), year),
            (("2026", "0", "3"), month),
            (("2026", "13", "3"), month),
            (("2026", "Nov", "3"), month),
            (("2026", "+1", "3"), month),
            (("2026", "11", "0"), day),
            (("2026", "11", "32"), day),
            (("2026", "11", "3.mp4"), day),
            (("2026", "11", "٣"), day),
            (
                ("2026", "11", "31"),
                "day is a whole number from 1 to 30 in 2026-11",
            ),
            (
                ("2026", "2", "29"),
                "day is a whole number from 1 to 28 in 2026-02",
            ),
            (
                ("2024", "02", "30"),
                "day is a whole number from 1 to 29 in 2024-02",
            ),
        ] {
            let refusal = date(y, m, d).unwrap_err().to_string();
            assert_eq!(refusal, message, "{y}/{m}/{d}");
        }
    }
}
