//! How long a camera's picture may be missing before something is wrong with it.
//!
//! A camera that sends 25 pictures a second and then none for seconds has failed, whatever else it
//! says. One that sends a picture a minute has not: as long as it is heard otherwise, its next picture
//! is waited for. So what counts is how far apart its pictures came in this session.

use std::time::Duration;

use crate::Timing;

/// A distance is forgotten after so many times its length without another like it: it was a disturbance.
const FORGOTTEN_AFTER: u64 = 10;

/// When the pictures of a session came. Times are in ms since any fixed instant.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    first_ms: Option<u64>,
    last_ms: u64,
    /// The longest distance of two pictures, and when it was seen.
    longest_ms: u64,
    longest_at_ms: u64,
}

impl Pace {
    /// Takes up a picture that came now.
    pub(crate) fn push(&mut self, now_ms: u64) {
        if self.first_ms.is_none() {
            self.first_ms = Some(now_ms);
            self.last_ms = now_ms;
        }
        let distance_ms = now_ms.saturating_sub(self.last_ms);
        self.last_ms = now_ms;
        // One that is nearly as long takes its place, so that slow cameras stay slow.
        let is_similar = distance_ms * 4 >= self.longest_ms * 3;
        let age_ms = now_ms.saturating_sub(self.longest_at_ms);
        if is_similar || age_ms > self.longest_ms * FORGOTTEN_AFTER {
            self.longest_ms = distance_ms;
            self.longest_at_ms = now_ms;
        }
    }

    /// How long after its last picture a camera that is heard counts as silent. At least
    /// [`Timing::silence`], which is that of cameras that send pictures all the time.
    pub(crate) fn patience(&self, timing: &Timing) -> Duration {
        let Timing { silence, slow, .. } = *timing;
        let longest = Duration::from_millis(self.longest_ms);
        let lasted_ms = self.first_ms.map_or(0, |first_ms| self.last_ms - first_ms);
        if longest >= silence / 2 {
            (longest * 5 / 2).min(slow).max(silence)
        } else if Duration::from_millis(lasted_ms) >= silence / 4 {
            silence
        } else {
            // What came at once, a group that the camera had kept, says nothing of its pace.
            slow.max(silence)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_secs(180);

    /// The patience, in ms, after pictures at these ms.
    fn patience(pictures: impl IntoIterator<Item = u64>) -> u128 {
        let mut pace = Pace::default();
        pictures.into_iter().for_each(|at_ms| pace.push(at_ms));
        pace.patience(&Timing::default()).as_millis()
    }

    #[test]
    fn pictures_all_the_time_may_be_missing_for_8_s() {
        assert_eq!(patience((0..100).map(|n| n * 40)), 8_000);
        assert_eq!(patience((0..10).map(|n| n * 1_000)), 8_000);
    }

    #[test]
    fn a_picture_a_minute_is_waited_for() {
        assert_eq!(patience([7_000]), SLOW.as_millis());
        assert_eq!(patience((0..40).map(|n| n * 60_000)), 150_000);
        assert_eq!(patience((0..40).map(|n| n * 120_000)), SLOW.as_millis());
        assert_eq!(patience((0..40).map(|n| n * 5_000)), 12_500);
    }

    #[test]
    fn a_group_that_comes_at_once_says_nothing_of_the_pace() {
        assert_eq!(patience((0..50).map(|n| n / 10)), SLOW.as_millis());
        let bursts = (0..40).flat_map(|minute| (0..50).map(move |n| minute * 60_000 + n * 40));
        assert!(patience(bursts) >= 100_000);
    }

    #[test]
    fn a_disturbance_is_forgotten() {
        let disturbed = |until_ms: u64| {
            let before = (0..100).map(|n| n * 40);
            patience(before.chain((11_000..until_ms).step_by(40)))
        };
        assert_eq!(disturbed(20_000), 17_600);
        assert_eq!(disturbed(90_000), 8_000);
    }
}
