//! When a camera that failed is tried again.

use std::time::Duration;

use crate::{Error, Timing};

/// Back-off of one camera.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    /// Failures since the last session that delivered well.
    failures: u32,
}

impl Retry {
    /// The wait after a session that ended with `error`. `was_good`: it had delivered for a while.
    /// `random` in 0..1 keeps cameras behind one switch from coming back all at once.
    pub(crate) fn after(
        &mut self,
        timing: &Timing,
        error: &Error,
        was_good: bool,
        random: f64,
    ) -> Duration {
        if was_good {
            self.failures = 0;
        }
        let doubled = timing
            .retry_first
            .saturating_mul(1 << self.failures.min(16));
        let most = match error.is_absence() {
            true => timing.retry_absent,
            false => timing.retry_most,
        };
        self.failures = self.failures.saturating_add(1);
        let wait = if error.needs_a_person() {
            timing.retry_failed
        } else {
            doubled.min(most)
        };
        wait.mul_f64(0.75 + 0.5 * random.clamp(0.0, 1.0))
    }

    /// Whether the last failure is worth a line in the log: the first, second, fourth and so on.
    pub(crate) const fn is_news(&self) -> bool {
        self.failures.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_again_after_good_media() {
        let timing = Timing::default();
        let mut retry = Retry::default();
        let mut after = |good| retry.after(&timing, &Error::Closed, good, 0.5).as_secs();
        assert_eq!([(); 7].map(|()| after(false)), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!([after(true), after(false)], [1, 2]);
    }

    #[test]
    fn a_camera_that_boots_is_found_within_two_seconds() {
        let timing = Timing::default();
        let mut retry = Retry::default();
        for error in [Error::Refused, Error::Unreachable, Error::Unresolved]
            .iter()
            .cycle()
            .take(99)
        {
            let wait = retry.after(&timing, error, false, 1.0);
            assert!(wait <= Duration::from_millis(1_500), "{wait:?}");
        }
    }

    #[test]
    fn a_week_of_failures_is_some_lines_in_the_log() {
        let mut retry = Retry::default();
        let news = (0..500_000).filter(|_| {
            retry.after(&Timing::default(), &Error::Refused, false, 0.5);
            retry.is_news()
        });
        assert_eq!(news.count(), 19);
    }

    #[test]
    fn a_wrong_password_is_retried_in_minutes_from_the_first_time_on() {
        let timing = Timing::default();
        for random in [0.0, 1.0] {
            let wait = Retry::default().after(&timing, &Error::Auth, true, random);
            assert!(wait >= Duration::from_secs(120), "{wait:?}");
        }
    }

    #[test]
    fn jitter_spreads_by_a_quarter() {
        let timing = Timing::default();
        let wait = |random| Retry::default().after(&timing, &Error::Closed, false, random);
        assert_eq!(wait(0.0), Duration::from_millis(750));
        assert_eq!(wait(1.0), Duration::from_millis(1250));
    }
}
