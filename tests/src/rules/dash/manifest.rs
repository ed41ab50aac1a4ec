//! Rules of one MPD.

use std::{collections::HashSet, time::Duration};

use dash_mpd_core::{AdaptationSet, MPD, Period, Representation};

use super::{
    ALIGNED, CODECS, DURATION, EPOCH, IDS, OFFSET, PARSES, PERIODS, PRESENTATION, REPRESENTATION,
    ROOT, SAME_AS_HLS, TEMPLATE, TIME_SHIFT, TRICK_MODE, TYPE, UTC_TIMING,
    expand::{Listed, content, expand, template},
};
use crate::rules::{Findings, codec, hls};

/// What an MPD is said to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Today: `dynamic`. Otherwise `static`.
    pub live: bool,
    /// Media time is 1/90000 s since the Unix epoch.
    pub epoch: bool,
}

impl Expected {
    /// Today's MPD of the server.
    pub const TODAY: Self = Self {
        live: true,
        epoch: true,
    };
    /// A finished day's MPD of the server.
    pub const FINISHED: Self = Self {
        live: false,
        epoch: true,
    };
}

/// Schemes of `UTCTiming` that dash.js and Shaka know.
const TIMING_SCHEMES: &[&str] = &[
    "urn:mpeg:dash:utc:direct:2014",
    "urn:mpeg:dash:utc:http-xsdate:2014",
    "urn:mpeg:dash:utc:http-iso:2014",
    "urn:mpeg:dash:utc:http-head:2014",
];

/// Checks the text of an MPD; also returns what it lists. `None` if it cannot be read.
pub fn check(text: &str, expected: Expected) -> (Option<(MPD, Vec<Listed>)>, Findings) {
    let mut findings = Findings::default();
    let mpd = match dash_mpd_core::parse(text) {
        Ok(mpd) => mpd,
        Err(error) => {
            findings.check(false, PARSES, || error.to_string());
            return (None, findings);
        }
    };
    let namespace = mpd.xmlns.as_deref();
    findings.check(
        namespace == Some("urn:mpeg:dash:schema:mpd:2011"),
        PARSES,
        || format!("namespace {namespace:?}"),
    );
    let (listed, timelines) = expand(&mpd);
    findings.extend(timelines);
    findings.extend(root(&mpd, &listed));
    match expected.live {
        true => findings.extend(dynamic(&mpd, &listed, expected)),
        false => findings.extend(fixed(&mpd, &listed)),
    }
    findings.extend(periods(&mpd));
    for period in &mpd.periods {
        findings.extend(trick_mode(period));
        for set in &period.adaptations {
            for representation in &set.representations {
                findings.extend(representation_rules(period, set, representation));
            }
        }
    }
    findings.extend(offsets(&listed, expected));
    (Some((mpd, listed)), findings)
}

fn ns(listed: &Listed, ticks: u64) -> u64 {
    let ns = u128::from(ticks) * 1_000_000_000 / u128::from(listed.timescale.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

fn root(mpd: &MPD, listed: &[Listed]) -> Findings {
    let mut findings = Findings::default();
    let complete = mpd.profiles.is_some() && mpd.minBufferTime.is_some();
    findings.check(complete, ROOT, || {
        format!(
            "profiles {:?}, minBufferTime {:?}",
            mpd.profiles, mpd.minBufferTime
        )
    });
    let longest_ns = listed
        .iter()
        .flat_map(|list| {
            list.segments
                .iter()
                .map(|segment| ns(list, segment.duration))
        })
        .max();
    // Written with three decimals at least.
    let most = mpd
        .maxSegmentDuration
        .map(|most| most + Duration::from_millis(1));
    let longest = Duration::from_nanos(longest_ns.unwrap_or(0));
    findings.check(most.is_some_and(|most| longest <= most), ROOT, || {
        format!(
            "maxSegmentDuration {:?}, longest {longest:?}",
            mpd.maxSegmentDuration
        )
    });
    findings
}

fn dynamic(mpd: &MPD, listed: &[Listed], expected: Expected) -> Findings {
    let mut findings = Findings::default();
    let complete = mpd.mpdtype.as_deref() == Some("dynamic")
        && mpd.availabilityStartTime.is_some()
        && mpd.publishTime.is_some()
        && mpd.minimumUpdatePeriod.is_some()
        && mpd.mediaPresentationDuration.is_none();
    findings.check(complete, TYPE, || {
        format!(
            "{:?}, available from {:?}, published {:?}, updated every {:?}, lasts {:?}",
            mpd.mpdtype,
            mpd.availabilityStartTime,
            mpd.publishTime,
            mpd.minimumUpdatePeriod,
            mpd.mediaPresentationDuration
        )
    });
    let from_s = mpd
        .availabilityStartTime
        .as_ref()
        .map(|time| time.timestamp());
    findings.check(!expected.epoch || from_s == Some(0), EPOCH, || {
        format!("available from {:?}", mpd.availabilityStartTime)
    });
    let starts = listed.iter().filter_map(|list| {
        let first = list.segments.first()?;
        Some(ns(list, first.start + first.duration))
    });
    let ends = listed.iter().filter_map(|list| {
        let last = list.segments.last()?;
        Some(ns(list, last.start + last.duration))
    });
    let listed_ns = ends
        .max()
        .unwrap_or(0)
        .saturating_sub(starts.min().unwrap_or(0));
    let depth = mpd.timeShiftBufferDepth;
    findings.check(
        depth.is_some_and(|depth| depth >= Duration::from_nanos(listed_ns)),
        TIME_SHIFT,
        || format!("{depth:?}, the list reaches back {listed_ns} ns"),
    );
    let timed = mpd.UTCTiming.iter().any(|timing| {
        TIMING_SCHEMES.contains(&timing.schemeIdUri.as_str())
            && timing.value.as_ref().is_some_and(|value| !value.is_empty())
    });
    findings.check(timed, UTC_TIMING, || format!("{:?}", mpd.UTCTiming));
    findings
}

fn fixed(mpd: &MPD, listed: &[Listed]) -> Findings {
    let mut findings = Findings::default();
    let fits = matches!(mpd.mpdtype.as_deref(), None | Some("static"))
        && mpd.minimumUpdatePeriod.is_none()
        && mpd.timeShiftBufferDepth.is_none();
    findings.check(fits, TYPE, || {
        format!(
            "{:?}, updated every {:?}",
            mpd.mpdtype, mpd.minimumUpdatePeriod
        )
    });
    let end_ns = listed.iter().filter_map(|list| {
        let last = list.segments.last()?;
        let end = (last.start + last.duration).saturating_sub(list.offset);
        Some(list.period_start_ns + ns(list, end))
    });
    let end = Duration::from_nanos(end_ns.max().unwrap_or(0));
    let told = mpd.mediaPresentationDuration;
    let close = told.is_some_and(|told| told.abs_diff(end) <= Duration::from_millis(100));
    findings.check(close, DURATION, || {
        format!("{told:?}, the segments end at {end:?}")
    });
    findings
}

fn periods(mpd: &MPD) -> Findings {
    let mut findings = Findings::default();
    findings.check(!mpd.periods.is_empty(), PERIODS, || "none".to_owned());
    let mut ids = HashSet::new();
    for period in &mpd.periods {
        let new = period.id.as_ref().is_some_and(|id| ids.insert(id));
        findings.check(new, PERIODS, || {
            format!("id {:?} missing or again", period.id)
        });
        let mut ids = HashSet::new();
        let mut set_ids = HashSet::new();
        for set in &period.adaptations {
            let new = set.id.as_ref().is_none_or(|id| set_ids.insert(id));
            findings.check(new, IDS, || format!("AdaptationSet {:?} again", set.id));
            for representation in &set.representations {
                let new = representation.id.as_ref().is_none_or(|id| ids.insert(id));
                findings.check(new, IDS, || {
                    format!("Representation {:?} again", representation.id)
                });
            }
        }
    }
    let starts: Vec<_> = mpd.periods.iter().map(|period| period.start).collect();
    let ascending = starts.iter().all(Option::is_some) && starts.is_sorted_by(|a, b| a < b);
    findings.check(ascending, PERIODS, || format!("starts {starts:?}"));
    findings
}

/// What makes a set one for trick mode.
const TRICK_MODE_SCHEME: &str = "http://dashif.org/guidelines/trickmode";

fn trick_mode(period: &Period) -> Findings {
    let mut findings = Findings::default();
    let main_of = |set: &AdaptationSet| {
        let mut properties = set.essential_property.iter();
        let trick = properties.find(|one| one.schemeIdUri == TRICK_MODE_SCHEME);
        trick.map(|trick| trick.value.clone())
    };
    let mut before: Vec<&AdaptationSet> = Vec::new();
    for set in &period.adaptations {
        let Some(main) = main_of(set) else {
            before.push(set);
            continue;
        };
        let is_known = before.iter().any(|other| {
            main.is_some() && other.id == main && other.contentType == set.contentType
        });
        let is_faster = set.representations.iter().all(|representation| {
            representation.codingDependency == Some(false)
                && representation
                    .maxPlayoutRate
                    .is_some_and(|rate| rate >= 1.0)
        });
        findings.check(is_known && is_faster, TRICK_MODE, || {
            format!("set {:?} of {main:?}", set.id)
        });
    }
    findings
}

fn representation_rules(
    period: &Period,
    set: &AdaptationSet,
    representation: &Representation,
) -> Findings {
    let mut findings = Findings::default();
    let id = representation.id.as_deref().unwrap_or_default();
    let content = content(set, representation);
    let mime = representation.mimeType.as_ref().or(set.mimeType.as_ref());
    let typed = mime.is_some_and(|mime| *mime == format!("{content}/mp4"));
    let sized = representation
        .bandwidth
        .is_some_and(|bandwidth| bandwidth > 0);
    findings.check(typed && sized && !id.is_empty(), REPRESENTATION, || {
        format!("{id:?}: {mime:?}, {:?} bit/s", representation.bandwidth)
    });
    let codecs = representation
        .codecs
        .as_deref()
        .or(set.codecs.as_deref())
        .unwrap_or_default();
    let known = match content.as_str() {
        "video" => codec::is_video(codecs),
        _ => codec::is_audio(codecs),
    };
    findings.check(known, CODECS, || {
        format!("{id:?}: {codecs:?} for {content}")
    });
    findings.check(
        describes(&content, set, representation),
        PRESENTATION,
        || {
            format!(
                "{id:?}: {:?}x{:?} at {:?}, {:?} Hz",
                representation.width,
                representation.height,
                representation.frameRate,
                representation.audioSamplingRate
            )
        },
    );
    let sap = representation.startWithSAP.or(set.startWithSAP);
    findings.check(
        set.segmentAlignment == Some(true) && sap == Some(1),
        ALIGNED,
        || {
            format!(
                "{id:?}: segmentAlignment {:?}, startWithSAP {sap:?}",
                set.segmentAlignment
            )
        },
    );
    let templated = template(period, set, representation).is_some_and(|template| {
        let media = template.media.as_deref().unwrap_or_default();
        media.contains("$Time$")
            && !media.contains("$Number$")
            && template.initialization.is_some()
            && template.SegmentTimeline.is_some()
            && template.timescale.is_some()
    });
    findings.check(templated, TEMPLATE, || format!("{id:?}"));
    findings
}

fn describes(content: &str, set: &AdaptationSet, representation: &Representation) -> bool {
    let fraction = |text: &String| {
        let (above, below) = text.split_once('/').unwrap_or((text, "1"));
        let positive = |text: &str| text.parse::<u32>().is_ok_and(|number| number > 0);
        positive(above) && positive(below)
    };
    match content {
        "video" => {
            representation
                .width
                .or(set.width)
                .is_some_and(|width| width > 0)
                && representation
                    .height
                    .or(set.height)
                    .is_some_and(|height| height > 0)
                && representation
                    .frameRate
                    .as_ref()
                    .or(set.frameRate.as_ref())
                    .is_some_and(fraction)
        }
        _ => {
            let rate = representation
                .audioSamplingRate
                .as_ref()
                .or(set.audioSamplingRate.as_ref());
            let channels = representation.AudioChannelConfiguration.iter();
            rate.is_some_and(|rate| rate.parse::<u32>().is_ok_and(|rate| rate > 0))
                && channels.chain(&set.AudioChannelConfiguration).count() > 0
        }
    }
}

fn offsets(listed: &[Listed], expected: Expected) -> Findings {
    let mut findings = Findings::default();
    for list in listed {
        let (period, id) = (list.period, &list.id);
        findings.check(!list.segments.is_empty(), TEMPLATE, || {
            format!("Period {period}, {id}: no segments")
        });
        if expected.epoch && expected.live {
            // Rounded to the millisecond at worst: Unix time is the presentation time.
            let offset_ns = ns(list, list.offset);
            let off = offset_ns.abs_diff(list.period_start_ns);
            findings.check(off <= 1_000_000, OFFSET, || {
                format!(
                    "Period {period}, {id}: starts at {} ns, {offset_ns}",
                    list.period_start_ns
                )
            });
        }
        let next = listed.iter().filter(|other| other.period == period + 1);
        let until_ns = next.map(|other| other.period_start_ns).min();
        for segment in &list.segments {
            let ends_after = segment.start + segment.duration > list.offset;
            let begin_ns = ns(list, segment.start.saturating_sub(list.offset));
            let begins_before =
                until_ns.is_none_or(|until| list.period_start_ns + begin_ns < until);
            findings.check(ends_after && begins_before, OFFSET, || {
                format!("Period {period}, {id}: {} lies outside", segment.url)
            });
        }
    }
    findings
}

/// Compares what an MPD lists of `track` (the id of its Representation) with the HLS media playlist of the
/// same moment. The MPD may be one update younger or older at its end: only the common part up to
/// the shorter list is compared, and at most `slack` segments may be missing from either.
pub fn same_as_hls(
    listed: &[Listed],
    track: &str,
    playlist: &hls::reader::Media,
    slack: usize,
) -> Findings {
    let mut findings = Findings::default();
    let dash: Vec<(&str, Option<&str>, u64)> = listed
        .iter()
        .filter(|list| list.id == track)
        .flat_map(|list| {
            list.segments.iter().map(move |segment| {
                (
                    segment.url.as_str(),
                    Some(list.init.as_str()),
                    ns(list, segment.duration),
                )
            })
        })
        .collect();
    let hls: Vec<(&str, Option<&str>, u64)> = playlist
        .segments
        .iter()
        .map(|segment| {
            let map = segment.map.as_ref().map(|map| map.uri.as_str());
            (segment.uri.as_str(), map, segment.duration_ns)
        })
        .collect();
    findings.check(dash.len().abs_diff(hls.len()) <= slack, SAME_AS_HLS, || {
        format!("{track}: {} segments, HLS lists {}", dash.len(), hls.len())
    });
    for (in_dash, in_hls) in dash.iter().zip(&hls) {
        // EXTINF is rounded; the names hold the exact starts.
        let same = in_dash.0 == in_hls.0
            && in_dash.1 == in_hls.1
            && in_dash.2.abs_diff(in_hls.2) <= 1_000_000;
        findings.check(same, SAME_AS_HLS, || {
            format!("{in_dash:?}, HLS lists {in_hls:?}")
        });
    }
    findings
}
