//! What systemd is told, if it started us: when we are ready, and that we still turn.

use std::future::pending;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

/// All cameras have been started and requests are answered.
pub(crate) fn ready() {
    tell(&NotifyState::Ready);
}

/// The recordings are being closed.
pub(crate) fn stopping() {
    tell(&NotifyState::Stopping);
}

/// Says that we are alive twice in each of systemd's intervals (`WatchdogSec`), from the runtime
/// whose turning it is about. Never returns.
pub(crate) async fn keep_alive<T>() -> T {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return pending().await;
    };
    let mut tick = tokio::time::interval(interval / 2);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        tell(&NotifyState::Watchdog);
    }
}

/// Does nothing where there is no systemd.
fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
