//! The custom webhooks that a load is delivered to: created before it, deleted after it.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::http;
use crate::receiver::Receiver;
use crate::signature::Verifier;

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
    /// Creates `count` webhooks to the receiver. What was created before a failure is deleted again.
    pub(crate) async fn create(
        relay: &Relay,
        receiver: &Receiver,
        count: usize,
    ) -> anyhow::Result<Self> {
        let mut webhooks = Self { relay: relay.clone(), ids: Vec::new(), verifiers: Vec::new() };
        for number in 0..count {
            if let Err(error) = webhooks.create_one(number, &receiver.url(number)).await {
                webhooks.delete().await?;
                return Err(error);
            }
        }
        Ok(webhooks)
    }

    pub(crate) fn verifiers(&self) -> Vec<Verifier> {
        self.verifiers.clone()
    }

    /// Deletes them all, as far as that goes.
    pub(crate) async fn delete(self) -> anyhow::Result<()> {
        let Relay { address, admin_token, organization_id, .. } = &self.relay;
        let mut left = 0;
        for id in &self.ids {
            let path =
                format!("/api/integrations/organizations/{organization_id}/connections/{id}");
            let called = http::call(*address, "DELETE", &path, admin_token, "").await;
            left += usize::from(!called.is_ok_and(|(status, _)| status == 200 || status == 204));
        }
        ensure!(left == 0, "{left} of {} webhooks could not be deleted", self.ids.len());
        Ok(())
    }

    async fn create_one(&mut self, number: usize, url: &str) -> anyhow::Result<()> {
        let Relay { address, admin_token, organization_id, .. } = &self.relay;
        let path = format!("/api/integrations/organizations/{organization_id}/custom-integrations");
        let name = format!("Load test {number}");
        let body = json!({ "name": name, "type": "notification", "webhook_url": url }).to_string();
        let (status, answer) = http::call(*address, "POST", &path, admin_token, &body).await?;
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
