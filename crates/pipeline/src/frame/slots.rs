//! How much is decoded at once, in the whole process.

use std::{
    num::NonZero,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FrameError;

/// Requests that may wait for a slot. Those that come then are told to come again: what they would
/// wait for takes seconds.
const MOST_WAITING: usize = 32;

/// Threads of one decode: more than four pictures at once cost memory and gain little.
pub(crate) static THREADS: LazyLock<u32> = LazyLock::new(|| {
    available_parallelism()
        .map_or(1, NonZero::get)
        .min(4)
        .try_into()
        .unwrap_or(1)
});

/// Decodes and compressions at once. Two at least, so that one camera with a long GOP does not make
/// all others wait for it.
static SLOTS: LazyLock<Slots> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, NonZero::get);
    Slots::new((cores / 4).max(2))
});

struct Slots {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// One who waits, as long as it lives.
struct Waiting<'s>(&'s AtomicUsize);

impl Slots {
    fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            waiting: AtomicUsize::new(0),
        }
    }

    async fn slot(&self, patience: Duration) -> Result<OwnedSemaphorePermit, FrameError> {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let already = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if already >= MOST_WAITING {
            return Err(FrameError::Busy);
        }
        match tokio::time::timeout(patience, self.free.clone().acquire_owned()).await {
            Ok(permit) => permit.map_err(|_| FrameError::Interrupted),
            Err(_) => Err(FrameError::Busy),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for a slot, at most for `patience`.
///
/// # Errors
/// [`FrameError::Busy`] if too many wait already, or it takes too long.
pub(super) async fn slot(patience: Duration) -> Result<OwnedSemaphorePermit, FrameError> {
    SLOTS.slot(patience).await
}

/// Runs CPU-bound `work` off the runtime's threads; the slot is taken until it is really over.
pub(super) async fn run_blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, FrameError> + Send + 'static,
) -> Result<T, FrameError> {
    let job = tokio::task::spawn_blocking(move || {
        let outcome = work();
        drop(permit);
        outcome
    });
    job.await.unwrap_or(Err(FrameError::Interrupted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_few_work_some_wait_and_the_rest_is_refused_at_once() {
        let slots = Slots::new(2);
        let working = [slots.slot(PATIENCE).await, slots.slot(PATIENCE).await];
        let crowd = (0..MOST_WAITING + 8).map(|_| async { slots.slot(PATIENCE).await.map(drop) });
        let crowd = futures_util::future::join_all(crowd);
        let leave = async {
            // Polled after all of the crowd: those that are refused are so by now.
            drop(working);
        };
        let (answers, ()) = tokio::join!(crowd, leave);
        let refused = answers
            .iter()
            .filter(|answer| matches!(answer, Err(FrameError::Busy)));
        assert_eq!(refused.count(), 8);
        let served = answers.iter().filter(|answer| answer.is_ok());
        assert_eq!(served.count(), MOST_WAITING);
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let slots = Slots::new(1);
        let _working = slots.slot(PATIENCE).await;
        let answer = slots.slot(PATIENCE).await;
        assert!(matches!(answer, Err(FrameError::Busy)));
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0);
    }
}
