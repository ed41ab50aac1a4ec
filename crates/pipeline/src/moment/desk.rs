//! How many moments are made at once in the whole process, and how they end with it.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, watch},
};

use super::MomentError;

/// Wanted at once, those that wait for the end of their time included. Each holds references to its
/// access units; those of one camera share them.
const MOST_WANTED: u32 = 32;

/// Made at once: a decoder of several threads, and the stills of a GIF, some 40 MB at 20 s.
const MOST_MADE: usize = 2;

/// How long one waits for others to be made.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// Where all moments of the process are asked for. Cheap to clone; all clones are one desk.
#[derive(Clone, Debug)]
pub struct MomentDesk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// One permit a moment that is wanted.
    wanted: Arc<Semaphore>,
    /// One permit a moment that is made.
    made: Arc<Semaphore>,
    stage: watch::Sender<Stage>,
    /// Where moments are made: they outlive the request, and the worker that answers it.
    runtime: Handle,
}

/// How the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Open,
    /// About to end: nothing new, and nobody waits for anything.
    Closing,
    /// Ending: only MP4s are made.
    Hurrying,
}

impl MomentDesk {
    /// A desk whose moments are made on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            wanted: Arc::new(Semaphore::new(MOST_WANTED as usize)),
            made: Arc::new(Semaphore::new(MOST_MADE)),
            stage: watch::Sender::new(Stage::Open),
            runtime,
        }))
    }

    /// The program is about to end: moments that wait for the end of their time take what there is.
    pub fn begin_close(&self) {
        self.0.stage.send_if_modified(|stage| {
            let begins = *stage < Stage::Closing;
            *stage = (*stage).max(Stage::Closing);
            begins
        });
    }

    /// Waits until all moments are made: `patience` for their GIFs, and as long again for the MP4s.
    /// Returns how many are not.
    pub async fn close(&self, patience: Duration) -> usize {
        self.begin_close();
        for stage in [Stage::Hurrying, Stage::Hurrying] {
            let all = self.0.wanted.acquire_many(MOST_WANTED);
            if tokio::time::timeout(patience, all).await.is_ok() {
                return 0;
            }
            self.0.stage.send_replace(stage);
        }
        MOST_WANTED as usize - self.0.wanted.available_permits()
    }

    pub(super) fn stage(&self) -> watch::Receiver<Stage> {
        self.0.stage.subscribe()
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// A place among those that are wanted.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, MomentError> {
        if *self.0.stage.borrow() != Stage::Open {
            return Err(MomentError::Closing);
        }
        Arc::clone(&self.0.wanted)
            .try_acquire_owned()
            .map_err(|error| match error {
                TryAcquireError::NoPermits => MomentError::Busy,
                TryAcquireError::Closed => MomentError::Closing,
            })
    }

    /// A place among those that are made; `None` when the program is about to end, where there is
    /// none to wait for.
    pub(super) async fn slot(&self) -> Result<Option<OwnedSemaphorePermit>, MomentError> {
        let made = Arc::clone(&self.0.made);
        let mut stage = self.stage();
        tokio::select! {
            biased;
            slot = tokio::time::timeout(MOST_WAIT, made.acquire_owned()) => match slot {
                Ok(permit) => Ok(permit.ok()),
                Err(_) => Err(MomentError::Busy),
            },
            _ = stage.wait_for(|stage| *stage >= Stage::Closing) => Ok(None),
        }
    }
}
