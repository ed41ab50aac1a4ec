//! What a later version of a dynamic MPD may change (DASH §5.4.1).

use std::collections::HashMap;

use dash_mpd_core::MPD;

use super::{
    UPDATE_IDS, UPDATE_ROOT, UPDATE_SEGMENTS,
    expand::{Listed, Segment},
};
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
        findings.extend(segments(before, published_ticks(old, before), now));
    }
    findings
}

fn period_id(mpd: &MPD, listed: &Listed) -> Option<String> {
    mpd.periods.get(listed.period)?.id.clone()
}

/// When `mpd` was published, in the media time of `listed`, where that is Unix time.
fn published_ticks(mpd: &MPD, listed: &Listed) -> u64 {
    let published_ms = mpd.publishTime.map_or(0, |time| time.timestamp_millis());
    u64::try_from(published_ms).unwrap_or(0) * listed.timescale / 1000
}

/// `before` was published at `published`, ticks.
fn segments(before: &Listed, published: u64, now: &Listed) -> Findings {
    let mut findings = Findings::default();
    let first = now.segments.first().map(|segment| segment.start);
    // That a camera would go on was expected, not known; what it sends comes a moment later, and late after a break.
    let was_complete = |segment: &Segment| segment.start + 2 * segment.duration <= published;
    let known = match before.is_early {
        // All before one that was complete were, too, be it much shorter than they.
        true => before.segments.iter().rposition(was_complete),
        false => before.segments.len().checked_sub(1),
    };
    let known = &before.segments[..known.map_or(0, |last| last + 1)];
    let still: Vec<_> = known
        .iter()
        .filter(|segment| first.is_some_and(|first| segment.start >= first))
        .collect();
    let kept: Vec<_> = now.segments.iter().take(still.len()).collect();
    findings.check(
        still == kept && (known.is_empty() || !still.is_empty()),
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
