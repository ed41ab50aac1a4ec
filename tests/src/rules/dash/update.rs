//! What a later version of a dynamic MPD may change (DASH §5.4.1).

use std::collections::HashMap;

use dash_mpd_core::MPD;

use super::{UPDATE_IDS, UPDATE_ROOT, UPDATE_SEGMENTS, expand::Listed};
use crate::rules::Findings;

/// Checks `new` as an update of `old`, both with what they list.
pub fn check(old: &(MPD, Vec<Listed>), new: &(MPD, Vec<Listed>)) -> Findings {
    let mut findings = Findings::default();
    let ((old, old_listed), (new, new_listed)) = (old, new);
    let published = (old.publishTime.as_ref(), new.publishTime.as_ref());
    let later = matches!(published, (Some(before), Some(after)) if after >= before);
    let same_start = old.availabilityStartTime == new.availabilityStartTime && old.id == new.id;
    findings.check(later && same_start, UPDATE_ROOT, || {
        format!(
            "published {published:?}, available from {:?}, then {:?}",
            old.availabilityStartTime, new.availabilityStartTime
        )
    });
    let periods: HashMap<_, _> = new
        .periods
        .iter()
        .map(|period| (&period.id, period))
        .collect();
    // Periods may only go at the front, with their segments.
    let first_kept = old
        .periods
        .iter()
        .position(|period| periods.contains_key(&period.id));
    for period in &old.periods[first_kept.unwrap_or(0)..] {
        let kept = periods
            .get(&period.id)
            .is_some_and(|now| now.start == period.start);
        findings.check(kept, UPDATE_IDS, || {
            format!(
                "Period {:?} at {:?} is gone or moved",
                period.id, period.start
            )
        });
    }
    for before in old_listed {
        let now = new_listed.iter().find(|now| {
            now.id == before.id
                && now.content == before.content
                && period_id(new, now) == period_id(old, before)
        });
        let Some(now) = now else {
            let gone = !periods.contains_key(&period_id(old, before));
            findings.check(gone, UPDATE_IDS, || {
                format!("Representation {:?} is gone", before.id)
            });
            continue;
        };
        let kept = now.offset == before.offset
            && now.timescale == before.timescale
            && now.init == before.init;
        findings.check(kept, UPDATE_IDS, || {
            format!("{:?}: offset {} was {}", now.id, now.offset, before.offset)
        });
        findings.extend(segments(before, now));
    }
    findings
}

fn period_id(mpd: &MPD, listed: &Listed) -> Option<String> {
    mpd.periods.get(listed.period)?.id.clone()
}

/// So many segments that are listed early may not be complete: that a camera goes on is expected, not known.
const EXPECTED: usize = 2;

fn segments(before: &Listed, now: &Listed) -> Findings {
    let mut findings = Findings::default();
    let first = now.segments.first().map(|segment| segment.start);
    let expected = if before.is_early { EXPECTED } else { 0 };
    let known = before.segments.len().saturating_sub(expected);
    let still: Vec<_> = before.segments[..known]
        .iter()
        .filter(|segment| first.is_some_and(|first| segment.start >= first))
        .collect();
    let kept: Vec<_> = now.segments.iter().take(still.len()).collect();
    findings.check(
        still == kept && (known == 0 || !still.is_empty()),
        UPDATE_SEGMENTS,
        || {
            let at = still.iter().zip(&kept).position(|(was, is)| was != is);
            format!(
                "{:?}: {} of {} segments were kept, the first to differ is number {at:?}",
                now.id,
                kept.len(),
                still.len()
            )
        },
    );
    findings
}
