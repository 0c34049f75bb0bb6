//! The custom webhooks that a load is delivered to: created before it, deleted after it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::http;
use crate::signature::Verifier;

/// Relay counts the calls of an organization by the minute.
const TOO_MANY_PATIENCE: Duration = Duration::from_secs(90);
const TOO_MANY_PAUSE: Duration = Duration::from_millis(250);

/// A running Relay, and what it takes to use it.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) service_key: String,
    pub(crate) admin_token: String,
    pub(crate) organization_id: Uuid,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A webhook to be.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    url: String,
    wants: &'static str,
}

impl Hook {
    /// Gets every event of its organization.
    pub(crate) fn for_everything(url: String) -> Self {
        Self { url, wants: "*" }
    }

    /// Gets none of the events that this tool sends.
    pub(crate) fn for_something_else(url: String) -> Self {
        Self { url, wants: "sla.*" }
    }
}

#[derive(Debug, Deserialize)]
struct Created {
    id: Uuid,
    secret: String,
}

/// Connections of ours, by position in the receiver's paths.
#[derive(Debug)]
pub(crate) struct Webhooks {
    relay: Relay,
    ids: Vec<Uuid>,
    verifiers: Vec<Verifier>,
}

impl Webhooks {
    /// Creates webhooks for these addresses, in their order. What was created before a failure is
    /// deleted again.
    pub(crate) async fn create(relay: &Relay, hooks: &[Hook]) -> anyhow::Result<Self> {
        let mut webhooks = Self { relay: relay.clone(), ids: Vec::new(), verifiers: Vec::new() };
        for (number, hook) in hooks.iter().enumerate() {
            if let Err(error) = webhooks.create_one(number, hook).await {
                webhooks.delete().await?;
                return Err(error);
            }
        }
        Ok(webhooks)
    }

    pub(crate) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Their ids, by position.
    pub(crate) fn ids(&self) -> &[Uuid] {
        &self.ids
    }

    pub(crate) fn verifiers(&self) -> Vec<Verifier> {
        self.verifiers.clone()
    }

    /// Deletes them all, as far as that goes.
    pub(crate) async fn delete(self) -> anyhow::Result<()> {
        let Relay { address, admin_token, organization_id, .. } = &self.relay;
        let mut left = Vec::new();
        for id in &self.ids {
            let path =
                format!("/api/integrations/organizations/{organization_id}/connections/{id}");
            let called = patiently(*address, "DELETE", &path, admin_token, "").await;
            match called {
                Ok((200 | 204, _)) => {}
                Ok((status, _)) => left.push(format!("HTTP {status}")),
                Err(error) => left.push(format!("{error:#}")),
            }
        }
        let (all, first) = (self.ids.len(), left.first().map_or("", String::as_str));
        ensure!(left.is_empty(), "{} of {all} webhooks could not be deleted: {first}", left.len());
        Ok(())
    }

    async fn create_one(&mut self, number: usize, hook: &Hook) -> anyhow::Result<()> {
        let Relay { address, admin_token, organization_id, .. } = &self.relay;
        let path = format!("/api/integrations/organizations/{organization_id}/custom-integrations");
        let name = format!("Load test {number}");
        let body = json!({
            "name": name,
            "type": "notification",
            "webhook_url": hook.url,
            "event_types": [hook.wants],
        });
        let body = body.to_string();
        let (status, answer) = patiently(*address, "POST", &path, admin_token, &body).await?;
        ensure!(
            (200..300).contains(&status),
            "creating a webhook was answered with HTTP {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        let created: Created = serde_json::from_slice(&answer)
            .context("the answer to creating a webhook is not as documented")?;
        self.ids.push(created.id);
        let verifier = Verifier::new(&created.secret).context("the secret is not whsec_…")?;
        self.verifiers.push(verifier);
        Ok(())
    }
}

/// One call, again and again while the organization has made too many.
pub(crate) async fn patiently(
    address: SocketAddr,
    method: &str,
    path: &str,
    bearer: &str,
    body: &str,
) -> anyhow::Result<(u16, Vec<u8>)> {
    let until = Instant::now() + TOO_MANY_PATIENCE;
    loop {
        let answer = http::call(address, method, path, bearer, body).await?;
        if answer.0 != 429 || until <= Instant::now() {
            return Ok(answer);
        }
        sleep(TOO_MANY_PAUSE).await;
    }
}
