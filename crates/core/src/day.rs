//! Local calendar days: 23, 24 or 25 hours long, from one local midnight to the next.

use std::fmt;

use chrono::{
    Datelike, Days, Duration, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike,
};
use chrono_tz::Tz;

use crate::WallTime;

/// A local day of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Day {
    date: NaiveDate,
    zone: Tz,
}

impl Day {
    /// The day `date` in `zone`.
    pub const fn new(date: NaiveDate, zone: Tz) -> Self {
        Self { date, zone }
    }

    /// The day that `wall` belongs to in `zone`. At the ends of the time chrono knows, where the
    /// zone's own clock would leave it, the day in UTC.
    pub fn containing(wall: WallTime, zone: Tz) -> Self {
        let utc = wall.naive_utc();
        let offset = zone.offset_from_utc_datetime(&utc).fix();
        let local = utc.checked_add_offset(offset).unwrap_or(utc);
        Self {
            date: local.date(),
            zone,
        }
    }

    /// Its calendar date.
    pub const fn date(self) -> NaiveDate {
        self.date
    }

    /// The zone whose midnights bound it.
    pub const fn zone(self) -> Tz {
        self.zone
    }

    /// Its first instant.
    pub fn start(self) -> WallTime {
        first_instant(self.date.and_time(NaiveTime::MIN), self.zone)
    }

    /// Its end: the first instant of the next day.
    pub fn end(self) -> WallTime {
        self.next().start()
    }

    /// Whether `wall` belongs to it.
    pub fn contains(self, wall: WallTime) -> bool {
        Self::containing(wall, self.zone) == self
    }

    /// The next calendar day. The last day chrono knows is its own next.
    pub fn next(self) -> Self {
        Self {
            date: self.date.succ_opt().unwrap_or(self.date),
            zone: self.zone,
        }
    }

    /// The calendar day `days` before. The first day chrono knows is the earliest.
    pub fn before(self, days: u32) -> Self {
        let date = self
            .date
            .checked_sub_days(Days::new(days.into()))
            .unwrap_or(NaiveDate::MIN);
        Self {
            date,
            zone: self.zone,
        }
    }

    /// 0 = Monday … 6 = Sunday.
    pub fn weekday_number(self) -> u32 {
        self.date.weekday().num_days_from_monday()
    }

    /// The local hour, 0 to 23, of `wall` in this day's zone. In autumn an hour comes twice.
    pub fn hour_of(self, wall: WallTime) -> u32 {
        wall.with_timezone(&self.zone).hour()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date.fmt(f)
    }
}

/// The first instant at which clocks in `zone` show `local` or later. Where midnight is skipped
/// (Beirut, Santiago: clocks go from 0:00 to 1:00), the day begins at the transition.
fn first_instant(local: NaiveDateTime, zone: Tz) -> WallTime {
    if let Some(instant) = zone.from_local_datetime(&local).earliest() {
        return instant.to_utc();
    }
    // Skipped: the offset in force just before names the transition exactly when the gap begins at
    // `local`; where it began earlier, the first valid minute after `local` is the transition.
    let mut later = local;
    loop {
        later += Duration::minutes(1);
        if let Some(instant) = zone.from_local_datetime(&later).earliest() {
            return instant.to_utc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(date: &str, zone: Tz) -> Day {
        Day::new(date.parse().unwrap(), zone)
    }

    fn hours(day: Day) -> i64 {
        (day.end() - day.start()).num_minutes()
    }

    #[test]
    fn days_have_23_24_and_25_hours_and_the_odd_half() {
        use chrono_tz::{Australia::Lord_Howe, Europe::Berlin};
        assert_eq!(hours(day("2026-03-29", Berlin)), 23 * 60);
        assert_eq!(hours(day("2026-06-01", Berlin)), 24 * 60);
        assert_eq!(hours(day("2026-10-25", Berlin)), 25 * 60);
        assert_eq!(hours(day("2026-04-05", Lord_Howe)), 24 * 60 + 30);
    }

    #[test]
    fn a_day_whose_midnight_is_skipped_starts_at_the_transition() {
        let beirut = day("2026-03-29", chrono_tz::Asia::Beirut);
        assert_eq!(beirut.start().to_rfc3339(), "2026-03-28T22:00:00+00:00");
        assert_eq!(hours(beirut), 23 * 60);
        assert!(beirut.contains(beirut.start()));
        assert!(!beirut.contains(beirut.start() - Duration::seconds(1)));
    }

    #[test]
    fn days_are_as_long_as_the_clocks_say_where_they_are_changed_at_any_hour() {
        use chrono_tz::{
            America::{New_York, Nuuk, Santiago},
            Asia::Beirut,
            Atlantic::Azores,
            Australia::Lord_Howe,
            Europe::Berlin,
        };
        for (zone, date, minutes) in [
            (Berlin, "2026-03-29", 23 * 60),
            (Berlin, "2026-10-25", 25 * 60),
            (New_York, "2026-03-08", 23 * 60),
            (New_York, "2026-11-01", 25 * 60),
            (Lord_Howe, "2026-04-05", 24 * 60 + 30),
            (Lord_Howe, "2026-10-04", 23 * 60 + 30),
            // At midnight, back into the day that was nearly over, and forth over midnight.
            (Santiago, "2026-04-04", 25 * 60),
            (Santiago, "2026-04-05", 24 * 60),
            (Santiago, "2026-09-06", 23 * 60),
            (Beirut, "2026-03-29", 23 * 60),
            (Beirut, "2026-10-24", 25 * 60),
            // An hour before midnight, and from one o'clock to a second midnight.
            (Nuuk, "2026-03-28", 23 * 60),
            (Azores, "2026-10-25", 25 * 60),
        ] {
            assert_eq!(hours(day(date, zone)), minutes, "{zone} {date}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_instant_is_in_one_day_of_its_zone(
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
            // 2015 to 2036: before, some zones turned a minute after midnight.
            seconds in 1_420_070_400_i64..2_082_758_400,
        ) {
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let wall = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            let day = Day::containing(wall, zone);
            proptest::prop_assert_eq!(day.date(), wall.with_timezone(&zone).date_naive());
            proptest::prop_assert!(day.start() <= wall && wall < day.end());
            for (instant, here) in [
                (day.start(), true),
                (day.start() - Duration::nanoseconds(1), false),
                (day.end() - Duration::nanoseconds(1), true),
                (day.end(), false),
            ] {
                proptest::prop_assert_eq!(day.contains(instant), here, "{} {}", zone, instant);
            }
            proptest::prop_assert!((23 * 60..=25 * 60).contains(&hours(day)));
        }
    }

    #[test]
    fn the_ends_of_time_are_days_too() {
        for zone in [chrono_tz::Etc::GMTMinus14, chrono_tz::Etc::GMTPlus12] {
            for wall in [WallTime::MIN_UTC, WallTime::MAX_UTC] {
                let date = Day::containing(wall, zone).date();
                assert!((date - wall.date_naive()).num_days().abs() <= 1);
            }
        }
    }

    #[test]
    fn weekdays_count_from_monday() {
        assert_eq!(day("2026-11-22", Tz::UTC).weekday_number(), 6);
        assert_eq!(day("2026-11-23", Tz::UTC).weekday_number(), 0);
        assert_eq!(
            day("2026-11-23", Tz::UTC).before(6).date().to_string(),
            "2026-11-17"
        );
    }
}
