//! `[[webhooks]]`: whom events are sent to.

use toml::{Spanned, de::DeValue};

use super::{Resolver, WEBHOOK_KEYS};
use crate::{
    problem::{Given, Refusal},
    webhook::{Webhook, WebhookEvent, WebhookSecret, WebhookUrl},
};

impl Resolver<'_, '_> {
    /// `None` if there is no telling how many.
    pub(super) fn webhooks(&mut self) -> Option<Vec<Option<Webhook>>> {
        let expected = "a list of tables: [[webhooks]]";
        self.tables("webhooks", expected, Self::webhook)
    }

    fn webhook(&mut self, number: usize, value: &Spanned<DeValue<'_>>) -> Option<Webhook> {
        let path = format!("webhooks.#{number}");
        let required = [
            ("url", "https://home.lan/hook"),
            ("secret", "${file:/run/secrets/webhook}"),
        ];
        let expected = "a table: [[webhooks]]";
        let table = self.listed(&path, value, expected, WEBHOOK_KEYS, required)?;
        let url = self.text(&table, "url", |text, _| Ok(text.parse::<WebhookUrl>()?));
        let secret = self.text(&table, "secret", |text, _| {
            Ok(text.parse::<WebhookSecret>()?)
        });
        let events = self.list(&table, "events", parse_event);
        Some(Webhook {
            url: url?,
            secret: secret?,
            events: events.unwrap_or_else(|| WebhookEvent::ALL.to_vec()),
        })
    }
}

fn parse_event(text: &str, given: Given) -> Result<WebhookEvent, Refusal> {
    WebhookEvent::of(text).ok_or(Refusal::Choice {
        given,
        allowed: WebhookEvent::NAMES,
    })
}
