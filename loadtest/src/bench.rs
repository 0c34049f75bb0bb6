//! What a scenario has to work with: a Relay of its own, a receiver, and organizations as it needs them.

use std::ops::Range;
use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::cpu::Watched;
use crate::load::Load;
use crate::progress::Progress;
use crate::receiver::Receiver;
use crate::signature::Verifier;
use crate::trial::{Lot, Stage, Trial};
use crate::webhooks::{Hook, Webhooks};

/// Organizations that are prepared at the same time.
const AT_ONCE: usize = 8;
/// Rows that are recorded in one transaction: as many as many settlements together.
const ROWS_AT_ONCE: usize = 50_000;

/// The cluster under test, and what observes it.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) receiver: &'a Receiver,
    pub(crate) progress: Progress,
    /// Whether the scenario has prepared the database, where it does that only once.
    pub(crate) is_prepared: bool,
}

/// An organization with webhooks of ours.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) organization_id: Uuid,
    webhooks: Webhooks,
}

/// Many organizations, of which each has one webhook that gets its events.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) organizations: Arc<[Uuid]>,
    /// Of those webhooks, in the order of the organizations.
    pub(crate) verifiers: Vec<Verifier>,
}

impl Tenant {
    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    pub(crate) fn verifiers(&self) -> Vec<Verifier> {
        self.webhooks.verifiers()
    }

    /// Deletes its webhooks, so that nothing more of this round is sent to them.
    pub(crate) async fn leave(self) -> anyhow::Result<()> {
        self.webhooks.delete().await
    }
}

impl<'a> Bench<'a> {
    pub(crate) fn stage(&self) -> Stage<'a> {
        let relay = self.cluster.relay();
        Stage {
            target: relay.address,
            service_key: relay.service_key.clone(),
            receiver: self.receiver,
            is_floor: false,
            progress: self.progress,
        }
    }

    pub(crate) fn watched(&self) -> Vec<Watched> {
        self.cluster.watched()
    }

    /// A new organization, of which these webhooks of the receiver get everything.
    pub(crate) async fn tenant(&self, numbers: Range<usize>) -> anyhow::Result<Tenant> {
        let relay = self.cluster.new_organization();
        let webhooks = Webhooks::create(&relay, &self.receiver.hooks(numbers)).await?;
        Ok(Tenant { organization_id: relay.organization_id, webhooks })
    }

    /// The only organization of a round: the receiver believes its webhooks, and all are prompt.
    pub(crate) async fn only_tenant(&self, load: &Load) -> anyhow::Result<Tenant> {
        let tenant = self.tenant(0..load.connections.into()).await?;
        self.receiver.forget_manners();
        self.receiver.expect_signatures(tenant.verifiers(), load.verify_every);
        Ok(tenant)
    }

    /// Many new organizations that share so many webhooks: the first one of each gets everything, at
    /// the organization's own number; the others want what is never sent.
    pub(crate) async fn crowd(
        &self,
        organizations: usize,
        connections: usize,
    ) -> anyhow::Result<Crowd> {
        let idle = connections.saturating_sub(organizations).div_ceil(organizations);
        let bar = self.progress.bar("creating webhooks", organizations * (idle + 1));
        let mut crowd = Crowd { organizations: Arc::new([]), verifiers: Vec::new() };
        let mut ids = Vec::new();
        for numbers in (0..organizations).collect::<Vec<_>>().chunks(AT_ONCE) {
            let mut creating = JoinSet::new();
            for number in numbers.iter().copied() {
                let relay = self.cluster.new_organization();
                let mut hooks = self.receiver.hooks(number..number + 1);
                let elsewhere = Hook::for_something_else(self.receiver.url(organizations));
                hooks.resize(idle + 1, elsewhere);
                creating.spawn(async move {
                    let webhooks = Webhooks::create(&relay, &hooks).await?;
                    anyhow::Ok((number, relay.organization_id, webhooks.verifiers().swap_remove(0)))
                });
            }
            let mut created =
                creating.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
            created.sort_by_key(|(number, ..)| *number);
            for (_, organization_id, verifier) in created {
                ids.push(organization_id);
                crowd.verifiers.push(verifier);
            }
            bar.inc((numbers.len() * (idle + 1)) as u64);
        }
        bar.finish_and_clear();
        crowd.organizations = ids.into();
        Ok(crowd)
    }

    /// Runs the statement for each of these numbers, for many in one transaction.
    pub(crate) async fn fill(
        &self,
        title: &'static str,
        rows: usize,
        statement: impl Fn(Range<usize>) -> String,
    ) -> anyhow::Result<()> {
        let bar = self.progress.bar(title, rows);
        for first in (0..rows).step_by(ROWS_AT_ONCE) {
            let numbers = first..(first + ROWS_AT_ONCE).min(rows);
            let count = numbers.len() as u64;
            self.cluster.postgres().execute(&statement(numbers)).await?;
            bar.inc(count);
        }
        bar.finish_and_clear();
        Ok(())
    }

    pub(crate) fn open(
        &self,
        title: &str,
        lots: Vec<Lot>,
        load: &Load,
    ) -> anyhow::Result<Trial<'a>> {
        Trial::open(self.stage(), title, lots, load)
    }
}
