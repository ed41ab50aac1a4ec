//! Two weeks in simulated time, with the archive on disk and real media, over every change of the
//! clocks of five zones: each day is named rightly at every moment, and foreign readers find all of
//! it in the folder.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chrono::{Datelike, Days, NaiveDate, TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use dayreel_core::{GapCause, TICKS_PER_SECOND, TrackKind, WallTime};
use dayreel_manifest::{Encoding, Extent, media_playlist};
use dayreel_tests::{
    foreign::{Input, Limit, Stream, packets},
    make_day::{Film, Media, Simulation},
    rules::hls,
};

const CAMERA: &str = "cam";
/// Finished days that are kept.
const KEPT: u8 = 6;
/// Pictures a second.
const FPS: u32 = 1;
/// So many segments after each midnight, and one in so many otherwise, everything is looked at.
const CLOSE_LOOK: usize = 4;
const FAR_LOOK: usize = 100;
/// So many segments after each midnight what is too old is deleted: 8 min.
const EXPIRY: usize = 10;

/// A picture a second, in segments that no midnight falls between: they begin at odd seconds.
fn film() -> Result<&'static Film> {
    static FILM: LazyLock<Result<Film>> = LazyLock::new(|| {
        Film::encode(Media {
            fps: FPS,
            segment_s: 48,
            chunk: None,
            ..Media::default()
        })
    });
    FILM.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

/// A fortnight around the night before or after `changed`, the day that is not 24 hours long.
struct Fortnight {
    zone: Tz,
    changed: NaiveDate,
    /// Length of that day.
    minutes: i64,
}

impl Fortnight {
    fn of(zone: &str, changed: &str, minutes: i64) -> Result<Self> {
        let zone = zone.parse().ok().context("no such zone")?;
        let changed = changed.parse()?;
        Ok(Self {
            zone,
            changed,
            minutes,
        })
    }

    /// Some second of the local day.
    fn at(&self, date: NaiveDate, hour: u32) -> Result<WallTime> {
        let local = date.and_hms_opt(hour, 17, 31).context("no such hour")?;
        let local = self.zone.from_local_datetime(&local).earliest();
        Ok(local.context("no such local time")?.to_utc())
    }

    fn date(&self, wall: WallTime) -> NaiveDate {
        wall.with_timezone(&self.zone).date_naive()
    }

    /// The first second of a local day, found by asking which date the zone's clocks show.
    fn midnight(&self, date: NaiveDate) -> WallTime {
        let mut low = date.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc() - TimeDelta::days(2);
        let mut high = low + TimeDelta::days(4);
        while high - low > TimeDelta::seconds(1) {
            let middle = low + TimeDelta::seconds((high - low).num_seconds() / 2);
            match self.date(middle) < date {
                true => low = middle,
                false => high = middle,
            }
        }
        high
    }

    fn run(&self) -> Result<()> {
        let root = tempfile::Builder::new()
            .prefix("dayreel-fortnight-")
            .tempdir()?;
        let data = root.path();
        let begin = self.at(self.changed - Days::new(7), 9)?;
        let end = self.at(self.changed + Days::new(7), 9)?;
        let mut simulation = Simulation::start(data, CAMERA, self.zone, begin, film()?)?;
        let (mut looked, mut last, mut since_midnight) = (0_usize, self.date(begin), 0);
        let mut first: BTreeMap<NaiveDate, WallTime> = BTreeMap::new();
        for nth in 0.. {
            simulation.segment()?;
            let now = simulation.now();
            if now >= end {
                break;
            }
            let date = self.date(now);
            first.entry(date).or_insert(now);
            since_midnight += 1;
            if date != last {
                (last, since_midnight) = (date, 0);
                let before = date.pred_opt().context("no day before")?;
                self.check_finished(&simulation, data, before, begin)?;
                // Somebody starts the machine again each morning after an even day, and pulls a plug
                // after the others. Nothing is missed: both are back before the segment is over.
                if date.day().is_multiple_of(2) {
                    let at = now + simulation.segment_length();
                    simulation = simulation.restart(date.day().is_multiple_of(4), data, at)?;
                }
            }
            // Not before the minutes in which players may still watch the day before.
            if since_midnight == EXPIRY {
                simulation.archive().expire(KEPT)?;
                first.retain(|first, _| *first + Days::new(KEPT.into()) >= date);
            }
            self.check_today(&simulation, date, nth == 0)?;
            if since_midnight < CLOSE_LOOK || nth % FAR_LOOK == 0 {
                looked += 1;
                self.check_names(&simulation, date, nth == 0, &first)
                    .with_context(|| format!("{} at {now}", self.zone))?;
            }
        }
        ensure!(looked > 14 * CLOSE_LOOK, "{looked} close looks");
        let left: Vec<_> = fs::read_dir(data.join(CAMERA).join("days"))?.collect();
        ensure!(
            left.len() == usize::from(KEPT) + 1,
            "{} days are left",
            left.len()
        );
        Ok(())
    }

    /// `today` is the day that clocks in the zone show, from the first segment after midnight on.
    fn check_today(
        &self,
        simulation: &Simulation<'_>,
        date: NaiveDate,
        is_new: bool,
    ) -> Result<()> {
        let today = simulation.archive().today().map(|today| today.day().date());
        // Of the very first segment nothing is listed before it is complete.
        let expected = (!is_new).then_some(date);
        ensure!(today == expected, "today is {today:?}, not {expected:?}");
        Ok(())
    }

    /// Weekday numbers, dates, and which days are over.
    fn check_names(
        &self,
        simulation: &Simulation<'_>,
        today: NaiveDate,
        is_new: bool,
        kept: &BTreeMap<NaiveDate, WallTime>,
    ) -> Result<()> {
        let archive = simulation.archive();
        let finished = || kept.keys().filter(|date| **date < today);
        for number in 0..7 {
            let named = archive.weekday(number)?.map(|folder| folder.day().date());
            let is_meant = |date: &&NaiveDate| date.weekday().num_days_from_monday() == number;
            let expected = finished().rev().find(is_meant).copied();
            ensure!(
                named == expected,
                "weekday {number} is {named:?}, not {expected:?}"
            );
        }
        let summaries = archive.summaries()?;
        let named = summaries.iter().map(|one| (one.day.date(), one.finished));
        let expected = kept
            .keys()
            .filter(|_| !is_new)
            .map(|date| (*date, *date < today));
        ensure!(
            named.clone().eq(expected),
            "the days are {:?}",
            named.collect::<Vec<_>>()
        );
        Ok(())
    }

    /// The day `date` is over: it is all there, as the API says it and on disk.
    fn check_finished(
        &self,
        simulation: &Simulation<'_>,
        data: &Path,
        date: NaiveDate,
        begin: WallTime,
    ) -> Result<()> {
        let (start, end) = (self.midnight(date), self.midnight(date + Days::new(1)));
        let minutes = (end - start).num_minutes();
        let expected = if date == self.changed {
            self.minutes
        } else {
            24 * 60
        };
        ensure!(minutes == expected, "{date} has {minutes} min");
        let start = start.max(begin);

        let folder = simulation.archive().day(date)?.context("the day is gone")?;
        ensure!(
            simulation.archive().is_finished(&folder),
            "{date} is not over"
        );
        let document = media_playlist(
            &folder.timeline(),
            TrackKind::Video,
            true,
            Extent::Whole,
            Encoding::Identity,
        );
        let text = String::from_utf8(document.context("no playlist")?.to_vec())?;
        let (playlist, findings) = hls::reader::read(&text);
        findings.assert_none(&format!("the playlist of {date}"));
        let path = data.join(CAMERA).join("days").join(date.to_string());
        let (index, findings) = hls::index::check_file(&path.join("video.m3u8"))?;
        findings.assert_none(&format!("the index of {date}"));
        for media in [&playlist, &index] {
            ensure!(media.end_list, "{date} has no end");
            let dates = media
                .segments
                .iter()
                .filter_map(|one| one.program_date_time);
            let (first, last) = (dates.clone().min(), dates.clone().max());
            ensure!(dates.is_sorted(), "{date} is not in order");
            // The segment over midnight is in both days, so nothing is missing at either end.
            let first = first.context("no dates")?;
            ensure!(
                first <= start && start - first < simulation.segment_length(),
                "{first}"
            );
            let length_s = media.duration_ns() / 1_000_000_000;
            let due_s = (end - first).num_seconds().unsigned_abs();
            ensure!(
                (due_s..due_s + 48).contains(&length_s),
                "{length_s} s of {due_s}"
            );
            ensure!(last.is_some_and(|last| last < end), "{last:?}");
        }
        let gaps = folder.gaps(true);
        ensure!(gaps.is_empty(), "{date}: {gaps:?}");
        if date == self.changed {
            // All its seconds, the doubled hour's too, in order.
            let index = path.join("video.m3u8").display().to_string();
            let limit = Limit {
                packets: None,
                deadline: Duration::from_secs(120),
            };
            let reading = packets(Input::Hls(&index), Stream::Video, limit)?;
            let pictures = playlist.segments.len() * 48;
            ensure!(
                reading.packets.len() == pictures,
                "{} pictures",
                reading.packets.len()
            );
            let step = i64::try_from(TICKS_PER_SECOND / u64::from(FPS))?;
            for pair in reading.packets.windows(2) {
                ensure!(pair[1].dts_90k - pair[0].dts_90k == step, "{pair:?}");
            }
        }
        Ok(())
    }
}

macro_rules! fortnights {
    ($($name:ident: $zone:literal, $changed:literal, $minutes:expr;)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            Fortnight::of($zone, $changed, $minutes)?.run()
        })*
    };
}

fortnights! {
    berlin_in_spring: "Europe/Berlin", "2026-03-29", 23 * 60;
    berlin_in_autumn: "Europe/Berlin", "2026-10-25", 25 * 60;
    new_york_in_spring: "America/New_York", "2026-03-08", 23 * 60;
    new_york_in_autumn: "America/New_York", "2026-11-01", 25 * 60;
    lord_howe_in_spring: "Australia/Lord_Howe", "2026-10-04", 23 * 60 + 30;
    lord_howe_in_autumn: "Australia/Lord_Howe", "2026-04-05", 24 * 60 + 30;
    santiago_in_spring: "America/Santiago", "2026-09-06", 23 * 60;
    santiago_in_autumn: "America/Santiago", "2026-04-04", 25 * 60;
    beirut_in_spring: "Asia/Beirut", "2026-03-29", 23 * 60;
    beirut_in_autumn: "Asia/Beirut", "2026-10-24", 25 * 60;
}

/// Two weeks in which much goes wrong: what is missing is listed with its length and its cause.
#[test]
fn what_is_missing_of_a_fortnight_is_listed() -> Result<()> {
    let root = tempfile::Builder::new()
        .prefix("dayreel-fortnight-")
        .tempdir()?;
    let berlin = chrono_tz::Europe::Berlin;
    let begin: WallTime = "2026-11-16T11:00:00Z".parse()?;
    let mut simulation = Simulation::start(root.path(), CAMERA, berlin, begin, film()?)?;
    simulation.segment()?;
    let mut missing = Vec::new();
    for day in 0..14_i64 {
        while simulation.now() < begin + TimeDelta::days(day) {
            simulation.segment()?;
        }
        let from = simulation.now() + simulation.segment_length();
        let at = from + TimeDelta::minutes(7 * day + 1);
        let cause = match day % 3 {
            0 => {
                simulation.reconnect(at)?;
                GapCause::Camera
            }
            turn => {
                simulation = simulation.restart(turn == 1, root.path(), at)?;
                GapCause::Restart
            }
        };
        missing.push((from, at, Some(cause)));
        simulation.segment()?;
        simulation.segment()?;
    }
    let summaries = simulation.archive().summaries()?;
    let gaps = summaries.iter().flat_map(|one| &one.gaps);
    let gaps = gaps.map(|gap| {
        (
            gap.start.media_to_wall(),
            gap.end.media_to_wall(),
            gap.cause,
        )
    });
    let gaps: Vec<_> = gaps.collect();
    ensure!(gaps == missing, "{gaps:?}\n{missing:?}");
    Ok(())
}
