//! What workers do: they claim, settle and fail.

use std::{collections::BTreeSet, time::Duration};

use engine::{
    delivery::{
        self, DeliveryReason, Settlement,
        attempt::Settled,
        state::{consequence, settle, settled_unsent},
        store,
    },
    outbox::{self, ClaimRequest, Cursor, Left, Look},
};
use uuid::Uuid;

use super::{
    ALL, Machine,
    model::{Promise, in_lane},
    tables,
    verdicts::{Judged, answered, blank, verdicts},
};
use crate::LEASE;

impl Machine<'_> {
    async fn claim(&mut self, limit: i64, look: &Look) -> BTreeSet<Uuid> {
        let shards: Vec<i16> = (0..64).collect();
        let request = ClaimRequest {
            worker: self.worker,
            shards: &shards,
            lease: LEASE,
            limit,
            default_room: i32::try_from(ALL).expect("it fits"),
            wants: &[],
            cursor: Cursor::default(),
            look,
            may_take_suspect: true,
        };
        let claim = outbox::claim(self.engine.db.lease_pool(), request).await.expect("it answers");
        let mut taken = BTreeSet::new();
        for claimed in claim.deliveries {
            let id = claimed.delivery_id.0;
            assert!(taken.insert(id), "{id} is taken twice");
            assert!(self.claims.iter().all(|one| one.lease < claimed.lease), "a lease is new");
            self.model.claimed(id, claimed.lease);
            let promise = self.model.deliveries[&id].promise().expect("it is promised");
            assert_eq!(
                (claimed.attempt, claimed.crashes, claimed.class.number()),
                (promise.attempt, promise.crashes, promise.class)
            );
            let version = self.model.connections[&claimed.connection_id.0].version;
            assert_eq!(claimed.connection_version, version);
            self.claims.push(claimed);
        }
        taken
    }

    /// Takes all that is certain, and of the suspects one.
    pub(super) async fn claim_all(&mut self, looks_back: bool) {
        let (certain, suspects) = self.model.claimable();
        let mut left: Vec<Left> = self
            .connections
            .iter()
            .map(|id| Left { connection_id: *id, within: None, from_event: None })
            .collect();
        left.sort_by_key(|one| one.connection_id);
        let look = match looks_back {
            true => Look::Since { within: Duration::ZERO, left },
            false => Look::Everything,
        };
        let taken = self.claim(ALL, &look).await;
        let missed: Vec<_> = certain.iter().filter(|id| !taken.contains(id)).collect();
        assert!(missed.is_empty(), "due and not taken: {missed:?}");
        let suspected = suspects.iter().filter(|id| taken.contains(id)).count();
        assert_eq!(suspected, suspects.len().min(1), "of the suspects one at a time");
        assert_eq!(taken.len(), certain.len() + suspected, "nothing else is taken");
    }

    pub(super) async fn claim_few(&mut self, limit: i64) {
        let (certain, suspects) = self.model.claimable();
        let taken = self.claim(limit, &Look::Everything).await;
        let suspected = taken.iter().filter(|id| suspects.contains(id)).count();
        assert!(taken.iter().all(|id| certain.contains(id) || suspects.contains(id)));
        let most = usize::try_from(limit).expect("it is small");
        assert_eq!(
            taken.len() - suspected,
            most.min(certain.len()),
            "as many as there is room for"
        );
        assert_eq!(suspected, suspects.len().min(1));
    }

    pub(super) async fn settle(&mut self, which: usize, verdict: usize, tells: bool) {
        let Some(claimed) = self.claim_at(which) else { return };
        let connection = self.model.connections[&claimed.connection_id.0].clone();
        let unsent = settled_unsent(&claimed, connection.silent_because(), true);
        let used = match unsent {
            Some(_) => connection.version,
            None => claimed.connection_version,
        };
        let verdict = verdicts()[verdict % verdicts().len()].clone();
        let (settlement, leaves_lane, status, told) = match (unsent, verdict) {
            (Some(settlement), _) => (settlement, false, None, None),
            (None, Judged::Waits(status)) => {
                let wait = Settlement::Deferred(Duration::from_secs(60), DeliveryReason::Held);
                (wait, false, status, None)
            }
            (None, Judged::By(verdict, status)) => {
                let settlement = settle(&verdict, claimed.step, &self.engine.config.retry, 0.5);
                let (settlement, leaves) = in_lane(settlement, &claimed, connection.ordering);
                (settlement, leaves, status, consequence(&verdict))
            }
        };
        let settled = Settled {
            settlement,
            leaves_lane,
            exchange: status.map(answered),
            consequence: told,
            connection_version: used,
            ..blank(claimed.clone())
        };
        let written = self.write(std::slice::from_ref(&settled)).await;
        let is_ours = self.model.settle(&claimed, settlement, leaves_lane, status.is_some(), used);
        assert_eq!(written, usize::from(is_ours), "a settlement is written where its lease holds");
        // What an attempt found out is told whether or not its settlement was in time; or not at all,
        // where the worker died before.
        if tells {
            delivery::follow_up(self.engine, std::slice::from_ref(&settled)).await;
            if let Some(consequence) = &settled.consequence {
                self.model.found_out(claimed.connection_id.0, used, consequence);
            }
        }
        self.written.push(settled);
    }

    /// The worker does not know that its statement was written, and sends it again.
    pub(super) async fn settle_twice(&mut self, which: usize) {
        let Some(place) = self.written.len().checked_sub(1) else { return };
        let settled = self.written[place - which % (place + 1)].clone();
        let claimed = &settled.claimed;
        let (settlement, used) = (settled.settlement, settled.connection_version);
        let was_sent = settled.exchange.is_some();
        let written = self.write(std::slice::from_ref(&settled)).await;
        let is_ours = self.model.settle(claimed, settlement, settled.leaves_lane, was_sent, used);
        assert_eq!(written, usize::from(is_ours));
        assert!(!is_ours, "a lease is used up by its first settlement");
    }

    async fn write(&self, settled: &[Settled]) -> usize {
        let pool = self.engine.db.settling_pool();
        store::settle(pool, settled).await.expect("it answers").len()
    }

    pub(super) async fn handler_crashes(&mut self, which: usize) {
        let Some(claimed) = self.claim_at(which) else { return };
        let (org, id, lease) = claimed.held();
        let pool = self.engine.db.settling_pool();
        let done = store::crashed(pool, org, id, lease).await.expect("it answers");
        tables::no_wait_ends_by_itself(self.world.sql()).await;
        let held = self.model.held(&claimed);
        assert_eq!(done, u64::from(held.is_some()));
        held.into_iter().for_each(Promise::crash);
    }
}
