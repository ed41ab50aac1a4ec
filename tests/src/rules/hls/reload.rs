//! What a later version of a media playlist may change.

use super::{
    RELOAD_APPENDS, RELOAD_DISCONTINUITIES, RELOAD_SEQUENCE, RELOAD_TARGET, RELOAD_TYPE,
    RELOAD_WINDOW,
    reader::{Media, Segment},
};
use crate::rules::Findings;

/// Checks `new` as a later version of `old`. Both full playlists.
pub fn check(old: &Media, new: &Media) -> Findings {
    let mut findings = Findings::default();
    let numbers = old.numbers();
    let removed = numbers.partition_point(|number| *number < new.media_sequence);
    let end = numbers.last().map_or(old.media_sequence, |last| last + 1);
    let is_reachable = (old.media_sequence..=end).contains(&new.media_sequence);
    let reachable = is_reachable.then_some(removed);
    findings.check(reachable.is_some(), RELOAD_SEQUENCE, || {
        format!(
            "from {} ({} segments) to {}",
            old.media_sequence,
            old.segments.len(),
            new.media_sequence
        )
    });
    findings.check(
        new.target_duration_s == old.target_duration_s,
        RELOAD_TARGET,
        || {
            format!(
                "{:?} became {:?}",
                old.target_duration_s, new.target_duration_s
            )
        },
    );
    let Some(removed) = reachable else {
        return findings;
    };
    let (gone, kept) = old.segments.split_at(removed);
    findings.check(new.segments.len() >= kept.len(), RELOAD_APPENDS, || {
        format!(
            "{} segments were kept, {} are listed",
            kept.len(),
            new.segments.len()
        )
    });
    for (was, is) in kept.iter().zip(&new.segments) {
        findings.check(unchanged(was, is), RELOAD_APPENDS, || {
            format!("line {}: {was:?} became {is:?}", is.line)
        });
    }
    // A discontinuity counts as removed with the segment that it stands before.
    let discontinuities: u64 = gone.iter().map(|segment| segment.discontinuities).sum();
    let grown = new
        .discontinuity_sequence
        .checked_sub(old.discontinuity_sequence);
    findings.check(
        grown == Some(discontinuities),
        RELOAD_DISCONTINUITIES,
        || format!("{discontinuities} removed, the sequence grew by {grown:?}"),
    );
    let event = old.playlist_type.as_deref() == Some("EVENT");
    findings.check(
        (!event || removed == 0)
            && new.playlist_type == old.playlist_type
            && (!old.end_list || (new.end_list && new.segments.len() == old.segments.len())),
        RELOAD_TYPE,
        || {
            format!(
                "{:?}, ended {}: {removed} removed, {} added, ended {}",
                old.playlist_type,
                old.end_list,
                new.segments.len() - kept.len().min(new.segments.len()),
                new.end_list
            )
        },
    );
    let target_ns = new.target_duration_s.unwrap_or(0) * 1_000_000_000;
    findings.check(
        removed == 0 || new.duration_ns() >= 3 * target_ns,
        RELOAD_WINDOW,
        || format!("{} ns left", new.duration_ns()),
    );
    findings
}

/// The first segment of a window may get a date it did not need before.
fn unchanged(was: &Segment, is: &Segment) -> bool {
    was.uri == is.uri
        && was.duration_ns == is.duration_ns
        && was.byte_range == is.byte_range
        && was.map == is.map
        && was.discontinuities == is.discontinuities
        // A window may begin behind them.
        && (is.gaps_ns.is_empty() || was.gaps_ns == is.gaps_ns)
        && (was.program_date_time.is_none() || was.program_date_time == is.program_date_time)
}
