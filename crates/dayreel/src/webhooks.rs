//! Sends events to whom the configuration names.
//!
//! Each webhook has a thread and a queue of its own, so that one that does not answer delays no other.
//! What is sent is JSON, signed with HMAC-SHA256 (RFC 2104) in the way that GitHub made known:
//! `X-Dayreel-Signature: sha256=…` over the bytes of the body. The id of an event is the same in every
//! attempt: who has it already has missed only our hearing of it.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use dayreel_config::{Webhook, WebhookEvent, WebhookSecret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::RwLock;
use rustls::crypto::ring;
use sha2::Sha256;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::listeners::Event;

/// An answer has so long.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pauses between attempts: a restart of the other end is bridged, an evening without it is not.
const PAUSES_S: [u64; 5] = [1, 4, 16, 64, 256];

/// Events that wait for a webhook. More are left out, and said.
const QUEUE: usize = 64;

/// All webhooks. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Webhooks(Arc<RwLock<Vec<Sender>>>);

/// The queue of one.
struct Sender {
    webhook: Webhook,
    queue: SyncSender<Arc<Event>>,
}

impl Webhooks {
    /// From now on these are told. What waits for one that is unchanged stays; one that is gone still
    /// gets what waits for it.
    ///
    /// # Errors
    /// The system has no threads left.
    pub(crate) fn change(&self, webhooks: &[Webhook]) -> Result<()> {
        let mut senders = self.0.write();
        senders.retain(|sender| webhooks.contains(&sender.webhook));
        for webhook in webhooks {
            if senders.iter().any(|sender| sender.webhook == *webhook) {
                continue;
            }
            let (queue, events) = sync_channel(QUEUE);
            let told = webhook.clone();
            // Never waited for: at the end of the program nobody waits for a server elsewhere.
            thread::Builder::new()
                .name("webhook".to_owned())
                .spawn(move || deliver_all(&told, &events))
                .context("cannot start a thread for a webhook")?;
            let webhook = webhook.clone();
            senders.push(Sender { webhook, queue });
        }
        Ok(())
    }

    /// Whether nobody is told.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// Tells those who want to know. Does not wait.
    pub(crate) fn tell(&self, kind: WebhookEvent, event: &Arc<Event>) {
        for Sender { webhook, queue } in self.0.read().iter() {
            if !webhook.events.contains(&kind) {
                continue;
            }
            match queue.try_send(Arc::clone(event)) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => tracing::warn!(
                    webhook = %webhook.url, event = event.event,
                    "left out: {QUEUE} events wait already"
                ),
                Err(TrySendError::Disconnected(_)) => {
                    tracing::error!(webhook = %webhook.url, "its thread has ended");
                }
            }
        }
    }
}

/// Until nobody is left to send something.
fn deliver_all(webhook: &Webhook, events: &Receiver<Arc<Event>>) {
    let agent = agent();
    for event in events {
        deliver(&agent, webhook, &event);
    }
}

fn agent() -> Agent {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots = roots
        .iter()
        .map(|root| Certificate::from_der(root).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    let agent = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        // It is signed for the one that is named.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .tls_config(tls)
        .user_agent(concat!("dayreel/", env!("CARGO_PKG_VERSION")))
        .build();
    agent.into()
}

/// Sends an event, again and again if need be.
fn deliver(agent: &Agent, webhook: &Webhook, event: &Event) {
    let body = match serde_json::to_vec(event) {
        Ok(body) => body,
        Err(error) => return tracing::error!(%error, "an event cannot be written"),
    };
    let signature = signature(&webhook.secret, &body);
    let mut pauses = PAUSES_S.into_iter();
    loop {
        let outcome = attempt(agent, webhook, event, &signature, &body);
        let (problem, is_final) = match outcome {
            Ok(200..=299) => return,
            Ok(status) => (format!("status {status}"), is_final(status)),
            Err(error) => (error.to_string(), false),
        };
        let (url, name) = (&webhook.url, event.event);
        match pauses.next().filter(|_| !is_final) {
            Some(pause_s) => {
                tracing::warn!(webhook = %url, event = name, "not told: {problem}; again in {pause_s} s");
                thread::sleep(Duration::from_secs(pause_s));
            }
            None => {
                tracing::error!(webhook = %url, event = name, "not told: {problem}");
                return;
            }
        }
    }
}

fn attempt(
    agent: &Agent,
    webhook: &Webhook,
    event: &Event,
    signature: &str,
    body: &[u8],
) -> Result<u16, ureq::Error> {
    let request = agent
        .post(webhook.url.expose())
        .header("content-type", "application/json")
        .header("x-dayreel-event", event.event)
        .header("x-dayreel-delivery", &event.id)
        .header("x-dayreel-signature", signature);
    Ok(request.send(body)?.status().as_u16())
}

/// Whether the other end has understood and does not want it (RFC 9110 §15.5): all of 4xx but those
/// that say "later".
const fn is_final(status: u16) -> bool {
    matches!(status, 300..=499) && !matches!(status, 408 | 425 | 429)
}

/// `sha256=` and the HMAC of `body` in hexadecimal digits.
fn signature(secret: &WebhookSecret, body: &[u8]) -> String {
    let mut text = "sha256=".to_owned();
    // A key of any length will do (RFC 2104 §3).
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            // Writing to memory does not fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_makes() {
        // printf 'what do ya want for nothing?' | openssl dgst -sha256 -hmac 0123456789abcdef
        let secret = "0123456789abcdef".parse().unwrap();
        assert_eq!(
            signature(&secret, b"what do ya want for nothing?"),
            "sha256=e9265dc1bf18d4ec36915d9e82226c7ea0fa4e7f8077f611515bd5e29ec9988c"
        );
    }

    #[test]
    fn who_says_no_is_not_asked_again() {
        for (status, ends) in [
            (404, true),
            (410, true),
            (302, true),
            (408, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(is_final(status), ends, "{status}");
        }
    }
}
