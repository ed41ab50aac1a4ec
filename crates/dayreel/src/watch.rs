//! Notices what listeners are told of, by looking every second at what is known anyway, while there are
//! any.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use dayreel_archive::{CameraArchive, Retention};
use dayreel_config::WebhookEvent;
use dayreel_core::CameraId;
use dayreel_http::{App, MomentNotice};
use dayreel_pipeline::{Camera, CameraState, CameraStatus};
use tokio::sync::{Mutex, broadcast};

use crate::{
    fleet::Fleet,
    listeners::{Event, Listeners},
};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// A camera that is away for less is not worth a message: most come back at once.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// One camera when it was looked at.
#[derive(Clone, Debug)]
struct Seen {
    id: CameraId,
    /// Why nothing comes from it; `None`: something does.
    away: Option<String>,
    /// The day that it records.
    date: Option<String>,
}

/// What has been seen before.
#[derive(Debug, Default)]
struct Memory {
    cameras: HashMap<CameraId, Known>,
    is_low: bool,
}

#[derive(Debug, Default)]
struct Known {
    away_since: Option<Instant>,
    is_told: bool,
    date: Option<String>,
}

/// What happened, before it has a time and an id.
#[derive(Debug, PartialEq, Eq)]
struct News {
    kind: WebhookEvent,
    camera: Option<String>,
    date: Option<String>,
    url: Option<String>,
    message: String,
}

impl Seen {
    fn of(status: &CameraStatus, archive: &CameraArchive) -> Self {
        let away = (status.state != CameraState::Live).then(|| match &status.last_error {
            Some(error) => error.to_string(),
            None => status.state.name().to_owned(),
        });
        Self {
            id: archive.id().clone(),
            away,
            date: archive.today().map(|today| today.day().to_string()),
        }
    }
}

impl News {
    fn of_camera(kind: WebhookEvent, id: &CameraId, message: String) -> Self {
        Self {
            kind,
            camera: Some(id.to_string()),
            date: None,
            url: None,
            message,
        }
    }

    fn of_moment(notice: MomentNotice) -> Self {
        let message = match &notice.label {
            Some(label) => format!("a moment of {}: {label}", notice.camera),
            None => format!("a moment of {}", notice.camera),
        };
        Self {
            url: Some(notice.url),
            ..Self::of_camera(WebhookEvent::MomentMade, &notice.camera, message)
        }
    }

    fn event(self, now: DateTime<Utc>) -> Event {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Event {
            id: format!("{:x}-{count}", now.timestamp_micros()),
            event: self.kind.name(),
            time: now.to_rfc3339_opts(SecondsFormat::Millis, true),
            camera: self.camera,
            date: self.date,
            url: self.url,
            message: self.message,
        }
    }
}

impl Memory {
    /// What is new. `low`: what is said of a disk that is full. Cameras that are gone from the
    /// configuration are forgotten.
    fn step(&mut self, seen: &[Seen], low: Option<String>, now: Instant) -> Vec<News> {
        let mut news = Vec::new();
        self.cameras
            .retain(|id, _| seen.iter().any(|one| one.id == *id));
        for one in seen {
            let known = self.cameras.entry(one.id.clone()).or_default();
            news.extend(known.reached(one, now));
            news.extend(known.day_over(one));
        }
        if low.is_some() && !self.is_low {
            news.extend(low.iter().map(|message| News {
                kind: WebhookEvent::DiskLow,
                camera: None,
                date: None,
                url: None,
                message: message.clone(),
            }));
        }
        self.is_low = low.is_some();
        news
    }
}

impl Known {
    fn reached(&mut self, seen: &Seen, now: Instant) -> Option<News> {
        let Some(why) = &seen.away else {
            let was_told = std::mem::take(&mut self.is_told);
            let since = self.away_since.take();
            let away_s = since.map_or(0, |since| now.saturating_duration_since(since).as_secs());
            return was_told.then(|| {
                let message = format!("{} is back after {away_s} s", seen.id);
                News::of_camera(WebhookEvent::CameraBack, &seen.id, message)
            });
        };
        let since = *self.away_since.get_or_insert(now);
        if self.is_told || now.saturating_duration_since(since) < LOST_AFTER {
            return None;
        }
        self.is_told = true;
        let message = format!("nothing comes from {}: {why}", seen.id);
        Some(News::of_camera(WebhookEvent::CameraLost, &seen.id, message))
    }

    /// A day is over when the next one has begun: then all of it is on the disk.
    fn day_over(&mut self, seen: &Seen) -> Option<News> {
        let date = seen.date.as_ref()?;
        // A clock that is set back finishes nothing.
        if self.date.as_ref().is_some_and(|known| known >= date) {
            return None;
        }
        let over = self.date.replace(date.clone())?;
        let message = format!("{over} of {} is complete", seen.id);
        Some(News {
            date: Some(over),
            ..News::of_camera(WebhookEvent::DayFinished, &seen.id, message)
        })
    }
}

/// Tells `listeners` what happens, whenever there are any. Never returns.
pub(crate) async fn watch(
    fleet: Arc<Mutex<Fleet>>,
    retention: Arc<Retention>,
    app: Arc<App>,
    listeners: Listeners,
) {
    loop {
        listeners.any().await;
        tokio::select! {
            () = look(&fleet, &retention, app.moments_made(), &listeners) => return,
            () = listeners.none() => {}
        }
    }
}

/// Until the server ends.
async fn look(
    fleet: &Mutex<Fleet>,
    retention: &Retention,
    mut moments: broadcast::Receiver<MomentNotice>,
    listeners: &Listeners,
) {
    let mut memory = Memory::default();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let news = tokio::select! {
            _ = tick.tick() => {
                let (states, seen): (Vec<_>, Vec<_>) = {
                    let fleet = fleet.lock().await;
                    let look = |(camera, archive): (&Camera, &CameraArchive)| {
                        let status = camera.status();
                        let seen = Seen::of(&status, archive);
                        (status, seen)
                    };
                    fleet.recorded().map(look).unzip()
                };
                listeners.show(&states);
                let low = retention.storage().problem;
                let low = low.filter(|(code, _)| *code == "disk_low").map(|(_, text)| text);
                memory.step(&seen, low, Instant::now())
            }
            notice = moments.recv() => match notice {
                Ok(notice) => vec![News::of_moment(notice)],
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    tracing::warn!(count, "moments were made faster than they can be told");
                    Vec::new()
                }
                // The server is about to end.
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
        for one in news {
            listeners.tell(one.kind, one.event(Utc::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(away: Option<&str>, date: &str) -> Seen {
        Seen {
            id: "a".parse().unwrap(),
            away: away.map(str::to_owned),
            date: Some(date.to_owned()),
        }
    }

    fn kinds(news: &[News]) -> Vec<WebhookEvent> {
        news.iter().map(|one| one.kind).collect()
    }

    #[test]
    fn a_camera_is_lost_once_and_comes_back_once() {
        let mut memory = Memory::default();
        let begin = Instant::now();
        let mut step = |second: u64, away| {
            let now = begin + Duration::from_secs(second);
            kinds(&memory.step(&[seen(away, "2026-11-22")], None, now))
        };
        assert_eq!(step(0, None), []);
        // Short ones are not told.
        assert_eq!(step(1, Some("timeout")), []);
        assert_eq!(step(9, Some("timeout")), []);
        assert_eq!(step(10, None), []);
        assert_eq!(step(20, Some("timeout")), []);
        assert_eq!(step(30, Some("timeout")), [WebhookEvent::CameraLost]);
        assert_eq!(step(31, Some("refused")), []);
        assert_eq!(step(40, None), [WebhookEvent::CameraBack]);
        assert_eq!(step(41, None), []);
    }

    #[test]
    fn a_day_is_over_when_the_next_begins() {
        let mut memory = Memory::default();
        let mut step = |date| memory.step(&[seen(None, date)], None, Instant::now());
        assert_eq!(step("2026-11-22").len(), 0);
        assert_eq!(step("2026-11-22").len(), 0);
        let over = step("2026-11-23");
        assert_eq!(kinds(&over), [WebhookEvent::DayFinished]);
        assert_eq!(over[0].date.as_deref(), Some("2026-11-22"));
        assert_eq!(step("2026-11-22").len(), 0, "the clock was set back");
        assert_eq!(step("2026-11-23").len(), 0, "and forward again");
    }

    #[test]
    fn a_full_disk_is_told_once_each_time() {
        let mut memory = Memory::default();
        let mut step = |low: Option<&str>| {
            let low = low.map(str::to_owned);
            kinds(&memory.step(&[], low, Instant::now()))
        };
        assert_eq!(step(Some("1 GB is free")), [WebhookEvent::DiskLow]);
        assert_eq!(step(Some("0.9 GB is free")), []);
        assert_eq!(step(None), []);
        assert_eq!(step(Some("1 GB is free")), [WebhookEvent::DiskLow]);
    }
}
