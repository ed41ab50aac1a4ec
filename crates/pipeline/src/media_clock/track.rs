//! What the RTP clock of one track does on its own: missing, repeated and mad timestamps, jumps.

use super::SECOND_90K;

/// How many access units have to agree on a jump of the RTP clock.
const WITNESSES: u32 = 3;
/// How many have to agree on a step back that might be pictures out of order: more than are sent in a row
/// before those shown earlier (ITU-T H.264 §A.3.1: 16 at most, encoders have up to 7).
const WITNESSES_OF_A_STEP_BACK: u32 = 8;
/// After so many pictures in the order of their time, pictures out of order are not expected.
const IN_ORDER: u32 = 25;
/// Distance of access units as long as nothing is known: 25 a second.
const DEFAULT_STEP_90K: i64 = SECOND_90K / 25;
/// What differs by less from the expected is jitter, reordering or a lost packet.
const PLAUSIBLE_90K: i64 = SECOND_90K;
/// A line's first picture is shown at a whole millisecond of media time. Browsers count in whole
/// microseconds and get there from seconds since 1970 in floating point, which is exact for these.
/// Elsewhere hls.js may put the first picture a microsecond before its timeline begins, and then
/// Media Source Extensions drop the first GOP.
const WHOLE_MS_90K: i64 = SECOND_90K / 1_000;
/// A track that starts this far from the other was not aligned by the camera.
const ALIGNED_90K: i64 = 5 * SECOND_90K;

/// The RTP clock of one track.
#[derive(Debug)]
pub(super) struct Track {
    /// How far its timestamps may go back: pictures are sent in decoding order.
    reordering_90k: i64,
    /// Access units in a row whose time was after that of the one before.
    in_order: u32,
    /// Whether its first access unit is moved to a [whole millisecond](WHOLE_MS_90K).
    begins_whole: bool,
    /// Taken off the RTP time: the sum of all jumps so far.
    shift_90k: i64,
    last_jump: Option<Jump>,
    previous: Option<Previous>,
    suspect: Option<Suspect>,
}

/// An access unit's place on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repaired {
    /// RTP time without the jumps.
    pub(super) pts_90k: i64,
    /// Since the access unit before.
    pub(super) advance_90k: i64,
    /// The usual distance of two access units.
    pub(super) step_90k: i64,
    /// Whether it is what the camera said.
    pub(super) is_own: bool,
}

/// A jump of the RTP clock that was taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump {
    by_90k: i64,
    steady_90k: i64,
}

/// The access unit before.
#[derive(Clone, Copy, Debug)]
struct Previous {
    pts_90k: i64,
    steady_90k: i64,
    /// The last that had a timestamp of its own, when it came, and how many came since.
    own_90k: i64,
    own_steady_90k: i64,
    since_own: i64,
    /// Distance of two access units.
    step_90k: i64,
    /// The shorter of the last two distances: a picture sent before those shown earlier is far off.
    short_step_90k: i64,
    /// Whether the last distance was longer than is plausible between pictures of a film.
    is_slow: bool,
}

impl Previous {
    /// Whether those since the last timestamp of its own make more than is plausible.
    const fn has_long_been_mended(&self) -> bool {
        self.since_own.saturating_mul(self.step_90k) > PLAUSIBLE_90K
    }

    /// Whether one that comes now was not held up behind this one.
    const fn is_at_pace(&self, steady_90k: i64) -> bool {
        steady_90k.saturating_sub(self.steady_90k) >= self.step_90k / 2
    }

    /// Where the next is, that comes now, whatever its timestamp: a step later, or, where others are
    /// missing between, as much later than the last timestamp as it comes.
    fn expected_90k(&self, step_90k: i64, steady_90k: i64) -> i64 {
        let next_90k = self.pts_90k.saturating_add(step_90k);
        let passed_90k = steady_90k.saturating_sub(self.own_steady_90k);
        let arrived_90k = self.own_90k.saturating_add(passed_90k);
        match next_90k.abs_diff(arrived_90k) > PLAUSIBLE_90K.unsigned_abs() {
            true => arrived_90k.max(self.pts_90k.saturating_add(1)),
            false => next_90k,
        }
    }
}

/// Timestamps that do not fit what came before, but perhaps each other.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    pts_90k: i64,
    steady_90k: i64,
    witnesses: u32,
}

impl Track {
    /// A track whose access units come in decoding order.
    pub(super) const fn reordering() -> Self {
        Self {
            reordering_90k: PLAUSIBLE_90K,
            in_order: 0,
            begins_whole: true,
            shift_90k: 0,
            last_jump: None,
            previous: None,
            suspect: None,
        }
    }

    /// A track whose access units come in the order of their time.
    pub(super) const fn in_order() -> Self {
        Self {
            reordering_90k: -1,
            begins_whole: false,
            ..Self::reordering()
        }
    }

    pub(super) const fn last_jump(&self) -> Option<Jump> {
        self.last_jump
    }

    /// Places an access unit of RTP time `pts_90k` that arrived at `steady_90k`, when `due_90k` was
    /// the RTP time that fits the wall clock. `other` is the last jump of the other track;
    /// `offset_90k` lies between RTP time and media time.
    pub(super) fn repair(
        &mut self,
        pts_90k: Option<i64>,
        steady_90k: i64,
        due_90k: i64,
        other: Option<Jump>,
        offset_90k: i64,
    ) -> Option<Repaired> {
        let Some(previous) = self.previous else {
            return self.begin(pts_90k?, steady_90k, due_90k, offset_90k);
        };
        let waited_90k = steady_90k.saturating_sub(previous.steady_90k).max(0);
        let lost = waited_90k > PLAUSIBLE_90K || previous.has_long_been_mended();
        let advance_90k = if lost {
            waited_90k.max(1)
        } else {
            previous.step_90k
        };
        let expected_90k = previous.pts_90k.saturating_add(advance_90k);

        let Some(raw_90k) = pts_90k else {
            return Some(self.mend(previous, expected_90k, steady_90k));
        };
        let shifted_90k = raw_90k.checked_sub(self.shift_90k)?;
        if shifted_90k == previous.own_90k {
            return Some(self.mend(previous, expected_90k, steady_90k));
        }
        let advanced_90k = shifted_90k.saturating_sub(previous.pts_90k);
        let latest_90k = waited_90k.max(previous.step_90k) + PLAUSIBLE_90K;
        let earliest_90k = match self.in_order < IN_ORDER {
            true => -self.reordering_90k,
            false => 1,
        };
        if (earliest_90k..=latest_90k).contains(&advanced_90k) {
            // Where some went back and this one does not, they were out of order after all.
            let was_reordered = self.suspect.take().is_some();
            self.in_order = match advanced_90k > 0 && !was_reordered {
                true => self.in_order.saturating_add(1),
                false => 0,
            };
            return Some(self.accept(previous, shifted_90k, steady_90k));
        }
        let is_step_back = (-self.reordering_90k..=0).contains(&advanced_90k);
        let (needed, step_90k) = match is_step_back && !lost {
            true => (WITNESSES_OF_A_STEP_BACK, previous.short_step_90k),
            false => (WITNESSES, previous.step_90k),
        };
        let is_jump = self.witnesses(raw_90k, steady_90k, step_90k) >= needed;
        let may_tell = is_jump || previous.has_long_been_mended();
        let expected_90k = match may_tell && previous.is_at_pace(steady_90k) {
            _ if previous.is_slow => expected_90k,
            true => previous.expected_90k(step_90k, steady_90k),
            // Behind a stall all comes at once, and nobody knows yet whether something is missing.
            false => previous.pts_90k.saturating_add(step_90k),
        };
        if !is_jump {
            return Some(self.mend(previous, expected_90k, steady_90k));
        }
        self.suspect = None;
        let own_90k = shifted_90k.saturating_sub(expected_90k);
        // Both tracks jump by the same when it is the camera's clock: keep them in sync.
        let by_90k = other
            .filter(|other| steady_90k.saturating_sub(other.steady_90k) < ALIGNED_90K)
            .map(|other| other.by_90k)
            .filter(|by| own_90k.abs_diff(*by) < PLAUSIBLE_90K.unsigned_abs() / 2)
            .filter(|by| shifted_90k.saturating_sub(*by) > previous.pts_90k)
            .unwrap_or(own_90k);
        self.last_jump = Some(Jump { by_90k, steady_90k });
        self.shift_90k = self.shift_90k.checked_add(by_90k)?;
        Some(self.accept(previous, raw_90k - self.shift_90k, steady_90k))
    }

    fn begin(
        &mut self,
        raw_90k: i64,
        steady_90k: i64,
        due_90k: i64,
        offset_90k: i64,
    ) -> Option<Repaired> {
        let off_90k = raw_90k.checked_sub(due_90k)?;
        if off_90k.abs() > ALIGNED_90K {
            self.shift_90k = off_90k;
        }
        if self.begins_whole {
            let media_90k = (raw_90k - self.shift_90k).checked_add(offset_90k)?;
            self.shift_90k -= (-media_90k).rem_euclid(WHOLE_MS_90K);
        }
        let pts_90k = raw_90k - self.shift_90k;
        self.previous = Some(Previous {
            pts_90k,
            steady_90k,
            own_90k: pts_90k,
            own_steady_90k: steady_90k,
            since_own: 0,
            step_90k: DEFAULT_STEP_90K,
            short_step_90k: DEFAULT_STEP_90K,
            is_slow: false,
        });
        Some(Repaired {
            pts_90k,
            advance_90k: 0,
            step_90k: DEFAULT_STEP_90K,
            is_own: true,
        })
    }

    fn accept(&mut self, previous: Previous, pts_90k: i64, steady_90k: i64) -> Repaired {
        let distance_90k = (pts_90k - previous.own_90k) / (previous.since_own + 1);
        let step_90k = if (1..=PLAUSIBLE_90K).contains(&distance_90k) {
            distance_90k
        } else {
            previous.step_90k
        };
        self.previous = Some(Previous {
            pts_90k,
            steady_90k,
            own_90k: pts_90k,
            own_steady_90k: steady_90k,
            since_own: 0,
            step_90k,
            short_step_90k: step_90k.min(previous.step_90k),
            is_slow: distance_90k > PLAUSIBLE_90K,
        });
        Repaired {
            pts_90k,
            advance_90k: pts_90k - previous.pts_90k,
            step_90k,
            is_own: true,
        }
    }

    fn mend(&mut self, previous: Previous, pts_90k: i64, steady_90k: i64) -> Repaired {
        self.previous = Some(Previous {
            pts_90k,
            steady_90k,
            since_own: previous.since_own.saturating_add(1),
            ..previous
        });
        Repaired {
            pts_90k,
            advance_90k: pts_90k - previous.pts_90k,
            step_90k: previous.step_90k,
            is_own: false,
        }
    }

    /// How many timestamps in a row agree with this one. Of those that come at once only the first counts.
    fn witnesses(&mut self, raw_90k: i64, steady_90k: i64, step_90k: i64) -> u32 {
        let witnesses = self.suspect.map_or(1, |suspect| {
            let waited_90k = steady_90k.saturating_sub(suspect.steady_90k).max(0);
            let advanced_90k = raw_90k.saturating_sub(suspect.pts_90k);
            let fits = (-self.reordering_90k..=waited_90k + PLAUSIBLE_90K).contains(&advanced_90k);
            match fits {
                true => suspect.witnesses + u32::from(waited_90k >= advanced_90k.max(step_90k) / 2),
                false => 1,
            }
        });
        self.suspect = Some(Suspect {
            pts_90k: raw_90k,
            steady_90k,
            witnesses,
        });
        witnesses
    }
}
