//! Replays of many deliveries: asked for through the API, and looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::webhooks::{Relay, patiently};

/// The fastest that Relay lets a replay go.
const PER_SECOND_MAX: u32 = 10_000;
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A replay as Relay shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Replay {
    id: Uuid,
    status: String,
    considered: u64,
    replayed: u64,
    delivered: u64,
    skipped_by_reason: BTreeMap<String, u64>,
}

impl Replay {
    /// Asks for all that one webhook was not sent, as fast as it goes.
    pub(crate) async fn of_skipped(relay: &Relay, connection_id: Uuid) -> anyhow::Result<Self> {
        let body = json!({
            "selection": { "status": ["skipped"], "connection_id": connection_id },
            "rate_per_second": PER_SECOND_MAX,
            "reason": "Load test",
        });
        Self::called(relay, "POST", "", &body.to_string(), 202).await
    }

    /// Looks until it is over and all that it sent is known to have arrived. When patience runs out, what
    /// is left of it is called off.
    pub(crate) async fn until_over(
        mut self,
        relay: &Relay,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let until = Instant::now() + patience;
        while !self.is_over() && Instant::now() < until {
            sleep(LOOK_EVERY).await;
            self = Self::called(relay, "GET", &format!("/{}", self.id), "", 200).await?;
        }
        if matches!(self.status.as_str(), "counting" | "running" | "paused") {
            let body = json!({ "status": "cancelled" }).to_string();
            Self::called(relay, "PATCH", &format!("/{}", self.id), &body, 200).await?;
        }
        Ok(self)
    }

    /// Whether it sent so many, and each of them arrived.
    pub(crate) fn is_whole(&self, deliveries: u64) -> bool {
        self.status == "completed"
            && [self.considered, self.replayed, self.delivered] == [deliveries; 3]
    }

    /// How far it has come, in words.
    pub(crate) fn summary(&self) -> String {
        let Self { status, considered, replayed, delivered, skipped_by_reason, .. } = self;
        let skipped: String = skipped_by_reason
            .iter()
            .map(|(reason, count)| format!(", {count} skipped as {reason}"))
            .collect();
        format!(
            "the replay is {status}: {considered} considered, {replayed} replayed, {delivered} \
             delivered{skipped}"
        )
    }

    /// What failed or was called off is over, whatever arrived.
    fn is_over(&self) -> bool {
        match self.status.as_str() {
            "counting" | "running" | "paused" => false,
            "completed" => self.replayed <= self.delivered,
            _ => true,
        }
    }

    async fn called(
        relay: &Relay,
        method: &str,
        tail: &str,
        body: &str,
        expected: u16,
    ) -> anyhow::Result<Self> {
        let path = format!("/api/organizations/{}/replays{tail}", relay.organization_id);
        let called = patiently(relay.address, method, &path, &relay.admin_token, body).await;
        let (status, answer) = called?;
        ensure!(
            status == expected,
            "{method} replays{tail} was answered with HTTP {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        serde_json::from_slice(&answer).context("a replay is not shown as documented")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(status: &str, considered: u64, replayed: u64, delivered: u64) -> Replay {
        let skipped =
            (replayed < considered).then(|| ("event_expired".to_owned(), considered - replayed));
        Replay {
            id: Uuid::nil(),
            status: status.to_owned(),
            considered,
            replayed,
            delivered,
            skipped_by_reason: skipped.into_iter().collect(),
        }
    }

    #[test]
    fn it_is_over_once_what_it_sent_has_arrived_or_it_was_given_up() {
        for (status, delivered, is_over) in [
            ("counting", 0, false),
            ("running", 9, false),
            ("completed", 8, false),
            ("completed", 9, true),
            ("failed", 0, true),
            ("cancelled", 0, true),
        ] {
            assert_eq!(replay(status, 9, 9, delivered).is_over(), is_over, "{status} {delivered}");
        }
    }

    #[test]
    fn it_is_whole_only_if_every_delivery_was_sent_and_arrived() {
        assert!(replay("completed", 9, 9, 9).is_whole(9));
        assert!(!replay("running", 9, 9, 9).is_whole(9));
        assert!(!replay("completed", 9, 8, 8).is_whole(9));
        assert!(!replay("completed", 9, 9, 8).is_whole(9));
        assert!(!replay("completed", 9, 9, 9).is_whole(10));
    }

    #[test]
    fn what_it_left_out_is_told_with_its_reason() {
        let told = replay("completed", 9, 7, 7).summary();
        assert!(told.ends_with("7 replayed, 7 delivered, 2 skipped as event_expired"), "{told}");
    }
}
