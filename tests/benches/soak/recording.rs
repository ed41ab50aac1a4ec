//! What was recorded of a camera, beside what it sent and what was done to it.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use dayreel_testcam::{Fingerprint, Format, SentUnit, Track};
use dayreel_tests::{
    client::Client,
    foreign::Packet,
    stage::{Day, Rendition},
};

use crate::{
    camera::Watched,
    fault::{Fault, around},
};

/// Scripted cameras send the same again after 4 s: an access unit is the one that was due less than half
/// of that away.
const SAME: TimeDelta = TimeDelta::milliseconds(1_900);
/// Longest hole that is none: what the API does not call a gap.
const HOLE_90K: i64 = 9_000;
/// From the first sent to the first recorded, and from the last recorded to the last sent: a keyframe,
/// a segment that is not complete, and the time to ask for all of them.
const ENDS: TimeDelta = TimeDelta::seconds(20);

/// A gap as the API tells of it.
#[derive(Debug)]
struct Gap {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    cause: String,
}

/// What is wrong with the recording of `camera`. Prints what there is.
///
/// # Errors
/// It cannot be read.
pub(crate) fn check(camera: &Watched, client: &Client) -> Result<Vec<String>> {
    let day = Day::fetch(client, camera.id, "today")?;
    let gaps = gaps(client, camera.id)?;
    let mut complaints = vec![];
    complaints.extend(day.check(true)?.to_string().lines().map(str::to_owned));
    for gap in &gaps {
        let explains = |fault: &Fault| fault.explains_gap(gap.start, gap.end);
        if !camera.faults.iter().any(explains) {
            complaints.push(format!("nothing explains {gap:?}"));
        }
    }
    let outages = camera
        .faults
        .iter()
        .filter(|fault| fault.kind.recovery().is_some());
    for fault in outages.clone() {
        if !gaps
            .iter()
            .any(|gap| fault.explains_gap(gap.start, gap.end))
        {
            complaints.push(format!("no gap tells of {fault}"));
        }
    }
    let lengths = gaps.iter().map(|gap| gap.end - gap.start);
    let gap_s = lengths.sum::<TimeDelta>().as_seconds_f64();
    println!(
        "{:10} {} faults, {} of them outages; {} gaps, {gap_s:.1} s: {}",
        camera.id,
        camera.faults.len(),
        outages.count(),
        gaps.len(),
        causes(&gaps),
    );
    let tracks = [
        (Track::Video, Some(&day.video)),
        (Track::Audio, day.audio.as_ref()),
    ];
    for (track, rendition) in tracks {
        let sent = camera.sent(track)?;
        if sent.is_empty() {
            continue;
        }
        let rendition = rendition.with_context(|| format!("no {track:?}"))?;
        let found = Found::of(&sent, rendition, camera.format(track))?;
        println!("{:10} {track:?}: {found}", "");
        complaints.extend(found.complaints(&gaps, &camera.faults, track));
    }
    let named = complaints.into_iter();
    Ok(named
        .map(|complaint| format!("{}: {complaint}", camera.id))
        .collect())
}

fn gaps(client: &Client, id: &str) -> Result<Vec<Gap>> {
    let days = client.get_json(&format!("/api/cameras/{id}/days"))?;
    let days = days.as_array().context("no days")?;
    let gaps = days
        .iter()
        .filter_map(|day| day["gaps"].as_array())
        .flatten();
    gaps.map(|gap| {
        let time = |name: &str| -> Result<DateTime<Utc>> {
            let text = gap[name].as_str().with_context(|| gap.to_string())?;
            Ok(DateTime::parse_from_rfc3339(text)?.to_utc())
        };
        Ok(Gap {
            start: time("start")?,
            end: time("end")?,
            cause: gap["cause"].as_str().unwrap_or("unknown").to_owned(),
        })
    })
    .collect()
}

fn causes(gaps: &[Gap]) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for gap in gaps {
        *counts.entry(&gap.cause).or_default() += 1;
    }
    let counts = counts
        .iter()
        .map(|(cause, count)| format!("{count} {cause}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// How a recorded track lies in what was sent.
#[derive(Debug, Default)]
struct Found {
    sent: usize,
    recorded: usize,
    /// When access units were sent that are not recorded.
    missing: Vec<DateTime<Utc>>,
    /// Of recorded access units that were never sent so.
    strange: Vec<DateTime<Utc>>,
    /// From and to, where nothing is recorded.
    holes: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    late: bool,
}

impl Found {
    fn of(sent: &[SentUnit], rendition: &Rendition, format: Option<Format>) -> Result<Self> {
        let recorded = rendition.packets();
        let (first, last) = (recorded.first(), recorded.last());
        let (first, last) = first.zip(last).context("nothing is recorded")?;
        let began = sent_at(&sent[0]) + ENDS >= time(first.pts_90k);
        let goes_on = time(last.pts_90k) + ENDS >= sent_at(&sent[sent.len() - 1]);
        let mut found = Self {
            sent: sent.len(),
            recorded: recorded.len(),
            late: !(began && goes_on),
            ..Self::default()
        };
        // What is missing among access units whose bytes are compared is seen there. Among others the
        // one before lasts longer.
        let usual_90k = match format {
            Some(_) => i64::MAX,
            None => usual_90k(&recorded),
        };
        let most_90k = HOLE_90K.min(usual_90k / 2);
        for pair in recorded.windows(2) {
            let end_90k = pair[0].dts_90k + pair[0].duration_90k.min(usual_90k);
            if pair[1].dts_90k - end_90k > most_90k {
                found.holes.push((time(end_90k), time(pair[1].dts_90k)));
            }
        }
        if let Some(format) = format {
            found.compare(sent, &recorded, format)?;
        }
        Ok(found)
    }

    /// Finds each recorded access unit among those sent, in order, by its bytes and about its time: the
    /// one after the last that was found, or else the nearest. Sound repeats itself.
    fn compare(&mut self, sent: &[SentUnit], recorded: &[Packet], format: Format) -> Result<()> {
        let due = due(sent);
        let mut places = HashMap::<Fingerprint, Vec<usize>>::new();
        for (place, unit) in sent.iter().enumerate() {
            places.entry(unit.sha256).or_default().push(place);
        }
        // Where the next one may be.
        let mut next = None;
        for packet in recorded {
            let at = time(packet.pts_90k);
            let off = |place: usize| (due[place] - at).abs();
            let same = places.get(&packet.fingerprint(format)?);
            let same = same.into_iter().flatten().copied();
            let near =
                same.filter(|place| next.is_none_or(|next| *place >= next) && off(*place) <= SAME);
            let nearest = near.min_by_key(|place| (Some(*place) != next, off(*place)));
            match nearest {
                Some(place) => {
                    self.missing
                        .extend_from_slice(&due[next.unwrap_or(place)..place]);
                    next = Some(place + 1);
                }
                None => self.strange.push(at),
            }
        }
        Ok(())
    }

    fn complaints(&self, gaps: &[Gap], faults: &[Fault], track: Track) -> Vec<String> {
        let in_gap = |at: DateTime<Utc>| {
            gaps.iter()
                .any(|gap| around(gap.start, gap.end).contains(&at))
        };
        let lossy = |at| faults.iter().any(|fault| fault.explains_loss(at));
        let mut complaints = vec![];
        if self.late {
            complaints.push(format!("{track:?} begins late or ends early"));
        }
        let say = |what: &str, times: Vec<DateTime<Utc>>| {
            let first = times.first()?.format("%T%.3f");
            Some(format!("{track:?}: {} {what}, first {first}", times.len()))
        };
        let missing = self.missing.iter().copied();
        let missing = missing.filter(|at| !in_gap(*at) && !lossy(*at)).collect();
        complaints.extend(say(
            "access units outside of gaps are not recorded",
            missing,
        ));
        let strange = self.strange.iter().copied();
        let strange = strange.filter(|at| !lossy(*at)).collect();
        complaints.extend(say("access units were never sent so", strange));
        let holes = self.holes.iter().filter(|(from, to)| {
            let is_gap = |at| in_gap(at) || lossy(at);
            !(is_gap(*from) && is_gap(*to))
        });
        let holes = holes.map(|(from, _)| *from).collect();
        complaints.extend(say("holes are no gaps", holes));
        complaints
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} sent, {} recorded, {} sent and not recorded, {} damaged, {} holes",
            self.sent,
            self.recorded,
            self.missing.len(),
            self.strange.len(),
            self.holes.len()
        )
    }
}

/// The length of most access units.
fn usual_90k(recorded: &[Packet]) -> i64 {
    let mut lengths: Vec<_> = recorded.iter().map(|unit| unit.duration_90k).collect();
    lengths.sort_unstable();
    lengths[lengths.len() / 2]
}

/// When each access unit was due: the least late of its run was in time, and the others are as far
/// from it as they are long. On a busy machine they are sent late.
fn due(sent: &[SentUnit]) -> Vec<DateTime<Utc>> {
    let steps = sent.windows(2).filter(|pair| pair[0].run == pair[1].run);
    let steps = steps.map(|pair| {
        let ticks = pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp);
        i64::from(ticks) * 1_000_000 / i64::from(pair[0].clock_rate_hz)
    });
    let mut steps_us: Vec<_> = steps.collect();
    steps_us.sort_unstable();
    let step_us = steps_us.get(steps_us.len() / 2).copied().unwrap_or(0);
    let late_us = |unit: &SentUnit| unit.sent_us - i64::from(unit.number) * step_us;
    let mut begin_us = HashMap::<u32, i64>::new();
    for unit in sent {
        let begin_us = begin_us.entry(unit.run).or_insert(i64::MAX);
        *begin_us = late_us(unit).min(*begin_us);
    }
    let due_us = |unit: &SentUnit| begin_us[&unit.run] + i64::from(unit.number) * step_us;
    let due = sent.iter().map(due_us);
    due.map(|us| DateTime::from_timestamp_micros(us).unwrap_or_default())
        .collect()
}

/// When its first packet went out.
fn sent_at(unit: &SentUnit) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(unit.sent_us).unwrap_or_default()
}

fn time(media_90k: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(media_90k / 9 * 100).unwrap_or_default()
}
