//! Playlist delta updates (bis §6.2.5.1): apply one on an older playlist, compare with the full one.

use super::{
    DELTA_APPLIES, DELTA_BOUNDARY, DELTA_EQUALS_FULL, DELTA_VERSION,
    media::{Expected, dates, second_parser},
    reader::{Media, read},
};
use crate::rules::Findings;

/// The playlist that `delta` describes to a client that holds `old`: the segments it skips come
/// from `old`, everything else from `delta`. `None` if it is no delta update or `old` does not
/// hold every skipped segment (the client must then fetch the full playlist, bis §6.3.7).
pub fn apply_delta(old: &Media, delta: &Media) -> Option<Media> {
    let end = delta.media_sequence.checked_add(delta.skipped_segments?)?;
    let numbers = old.numbers();
    let is_known = old.media_sequence <= delta.media_sequence && numbers.last()? + 1 >= end;
    let index = |number| numbers.partition_point(|known| *known < number);
    let skipped = index(delta.media_sequence)..index(end);
    let mut segments = old.segments.get(skipped).filter(|_| is_known)?.to_vec();
    let mut map = segments.last()?.map.clone();
    for segment in &delta.segments {
        let mut segment = segment.clone();
        // A map stays in force over the skip until another one is given.
        match &segment.map {
            Some(own) => map = Some(own.clone()),
            None => segment.map = map.clone(),
        }
        segments.push(segment);
    }
    Some(Media {
        segments,
        skipped_segments: None,
        ..delta.clone()
    })
}

/// Checks a delta update `delta` against the playlist `old` a client holds and the `full` one of
/// the same moment (all three texts). A server may answer `_HLS_skip` with a full playlist; then
/// there is nothing to apply, and it must equal `full`.
pub fn check(old: &str, delta: &str, full: &str) -> Findings {
    let (old, _) = read(old);
    let (update, mut findings) = read(delta);
    let (full, _) = read(full);
    findings.extend(second_parser(delta, &update));
    if update.skipped_segments.is_none() {
        findings.check(same(&update, &full), DELTA_EQUALS_FULL, || {
            "no EXT-X-SKIP, and not the full playlist".to_owned()
        });
        return findings;
    }
    findings.check(update.version.unwrap_or(1) >= 9, DELTA_VERSION, || {
        format!("version {:?}", update.version)
    });
    let boundary_ns = update.server_control_ns("CAN-SKIP-UNTIL");
    findings.check(
        boundary_ns.is_some_and(|boundary_ns| update.duration_ns() >= boundary_ns),
        DELTA_BOUNDARY,
        || format!("{} ns kept, boundary {boundary_ns:?}", update.duration_ns()),
    );
    let Some(applied) = apply_delta(&old, &update) else {
        findings.check(false, DELTA_APPLIES, || {
            format!(
                "skips {:?} from {}, the older playlist has {} from {}",
                update.skipped_segments,
                update.media_sequence,
                old.segments.len(),
                old.media_sequence
            )
        });
        return findings;
    };
    findings.check(same(&applied, &full), DELTA_EQUALS_FULL, || {
        difference(&applied, &full)
    });
    findings.extend(dates(&applied, Expected::TODAY));
    findings
}

/// Equal but for the version, which a delta update may raise, the lines, and dates: a delta update
/// may date a segment that needs no date in the full playlist.
fn same(a: &Media, b: &Media) -> bool {
    normal(a, b) == normal(b, b)
}

fn normal(media: &Media, full: &Media) -> Media {
    let mut media = media.clone();
    media.version = None;
    for (index, segment) in media.segments.iter_mut().enumerate() {
        segment.line = 0;
        let undated = full
            .segments
            .get(index)
            .is_some_and(|full| full.program_date_time.is_none());
        segment.program_date_time.take_if(|_| undated);
    }
    media
}

fn difference(applied: &Media, full: &Media) -> String {
    let (applied, full) = (normal(applied, full), normal(full, full));
    let differs = applied
        .segments
        .iter()
        .zip(&full.segments)
        .position(|(a, b)| a != b);
    match differs {
        Some(at) => format!(
            "segment {at}: {:?}, in the full playlist {:?}",
            applied.segments[at], full.segments[at]
        ),
        None => format!(
            "{} segments, in the full playlist {}, or another header",
            applied.segments.len(),
            full.segments.len()
        ),
    }
}
