//! Deliveries under random sequences of what may happen to them: nothing acknowledged vanishes, whatever is
//! claimed, settled, lost, parked, ordered, replayed or removed in between.

mod admins;
mod model;
mod standing;
mod tables;
mod verdicts;
mod workers;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use engine::{
    Engine,
    connection::Actor,
    delivery::{self, ReplayError, attempt::Settled},
    event::{NewEvent, Priority, history},
    ids::{ConnectionId, DeliveryId, EventId, OrganizationId},
    ingest::Recorded,
    outbox::{self, Claimed},
    shards::{self, WorkerId},
};
use proptest::prelude::*;
use serde_json::value::RawValue;
use tests::World;
use uuid::Uuid;

use self::model::{Connection, Delivery, Model};
use super::{LEASE, engine_of, new_webhook, play};

/// How many connections an organization begins with.
const CONNECTIONS: usize = 3;
/// Without bounds, as far as one organization here goes.
const ALL: i64 = 10_000;

/// What may happen. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    Record { events: usize },
    Claim { looks_back: bool },
    ClaimFew { limit: i64 },
    Settle { which: usize, verdict: usize, tells: bool },
    SettleTwice { which: usize },
    LeaseRunsOut { which: usize },
    HandlerCrashes { which: usize },
    HandBack { which: usize },
    Renew { which: usize },
    TimePasses,
    Pause { which: usize },
    Resume { which: usize },
    Order { which: usize, policy: usize },
    Remove { which: usize },
    Replay { which: usize },
    Sweep,
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let which = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    prop_oneof![
        8 => (1..4_usize).prop_map(|events| Step::Record { events }),
        10 => any::<bool>().prop_map(|looks_back| Step::Claim { looks_back }),
        3 => (1..4_i64).prop_map(|limit| Step::ClaimFew { limit }),
        30 => (which(), 0..18_usize, prop::bool::weighted(0.8))
            .prop_map(|(which, verdict, tells)| Step::Settle { which, verdict, tells }),
        2 => which().prop_map(|which| Step::SettleTwice { which }),
        5 => which().prop_map(|which| Step::LeaseRunsOut { which }),
        2 => which().prop_map(|which| Step::HandlerCrashes { which }),
        2 => which().prop_map(|which| Step::HandBack { which }),
        1 => which().prop_map(|which| Step::Renew { which }),
        3 => Just(Step::TimePasses),
        2 => which().prop_map(|which| Step::Pause { which }),
        5 => which().prop_map(|which| Step::Resume { which }),
        3 => (which(), 0..4_usize).prop_map(|(which, policy)| Step::Order { which, policy }),
        1 => which().prop_map(|which| Step::Remove { which }),
        6 => which().prop_map(|which| Step::Replay { which }),
        2 => Just(Step::Sweep),
        1 => Just(Step::Expire),
    ]
}

struct Machine<'a> {
    engine: &'a Engine,
    world: &'a World,
    org: OrganizationId,
    worker: WorkerId,
    connections: Vec<ConnectionId>,
    /// All that was ever claimed, whoever has it now.
    claims: Vec<Claimed>,
    /// The last settlement that was written, with those that were given up.
    written: Vec<Settled>,
    /// Each event that was acknowledged, with the connections that it was for.
    acknowledged: Vec<(EventId, BTreeSet<Uuid>)>,
    model: Model,
}

/// Whatever happens, model and tables agree after each step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b1_b7_b34_deliveries_do_what_the_model_says() {
    let world = World::builder().bare().await;
    let engine = engine_of(&world).await;
    let worker = WorkerId::new();
    let day = Duration::from_secs(24 * 60 * 60);
    let tended = shards::tend(engine.db.settling_pool(), worker, "machine", day, &[], false).await;
    assert_eq!(tended.expect("the database answers").owned.len(), 64);
    let seen = RefCell::new(BTreeMap::<String, usize>::new());
    play("deliveries", 14, step(), async |steps| {
        let mut machine = Machine::new(&engine, &world, worker).await;
        for step in steps {
            let before = machine.model.clone();
            machine.take(step).await;
            machine.check(step, &before).await;
        }
        let mut seen = seen.borrow_mut();
        *seen.entry("claims".to_owned()).or_default() += machine.claims.len();
        for delivery in machine.model.deliveries.values() {
            *seen.entry(delivery.status().to_owned()).or_default() += 1;
        }
    });
    println!("deliveries: in the end {:?}", seen.into_inner());
    engine.close().await;
}

impl<'a> Machine<'a> {
    async fn new(engine: &'a Engine, world: &'a World, worker: WorkerId) -> Self {
        tables::clear(world.sql()).await;
        let org = OrganizationId(Uuid::new_v4());
        let (mut connections, mut model) = (Vec::new(), Model::default());
        for _ in 0..CONNECTIONS {
            let id = new_webhook(engine, org).await;
            model.connections.insert(id.0, Connection::new());
            connections.push(id);
        }
        let (claims, written, acknowledged) = (Vec::new(), Vec::new(), Vec::new());
        Self { engine, world, org, worker, connections, claims, written, acknowledged, model }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Record { events } => self.record(events).await,
            Step::Claim { looks_back } => self.claim_all(looks_back).await,
            Step::ClaimFew { limit } => self.claim_few(limit).await,
            Step::Settle { which, verdict, tells } => self.settle(which, verdict, tells).await,
            Step::SettleTwice { which } => self.settle_twice(which).await,
            Step::LeaseRunsOut { which } => {
                let Some(claimed) = self.claim_at(which) else { return };
                tables::the_lease_runs_out(self.world.sql(), claimed.delivery_id.0).await;
                // Whoever has it now.
                if let Some(lease) = self.model.lease_of(claimed.delivery_id.0) {
                    lease.is_live = false;
                }
            }
            Step::HandlerCrashes { which } => self.handler_crashes(which).await,
            Step::HandBack { which } => {
                let Some(claimed) = self.claim_at(which) else { return };
                let pool = self.engine.db.settling_pool();
                let done = outbox::release(pool, &[claimed.held()]).await.expect("it answers");
                let held = self.model.held(&claimed);
                assert_eq!(done, u64::from(held.is_some()), "only who holds it hands it back");
                held.into_iter().for_each(|promise| promise.lease = None);
            }
            Step::Renew { which } => {
                let Some(claimed) = self.claim_at(which) else { return };
                let pool = self.engine.db.settling_pool();
                let held = [claimed.held()];
                let kept = outbox::renew(pool, &held, LEASE).await.expect("it answers");
                let lease = self.model.held(&claimed).and_then(|promise| promise.lease.as_mut());
                assert_eq!(!kept.is_empty(), lease.is_some(), "only who holds it renews it");
                lease.into_iter().for_each(|lease| lease.is_live = true);
            }
            Step::TimePasses => {
                tables::every_wait_is_over(self.world.sql()).await;
                self.model.time_passes();
            }
            Step::Pause { which } => self.pause(which).await,
            Step::Resume { which } => self.resume(which).await,
            Step::Order { which, policy } => self.order(which, policy).await,
            Step::Remove { which } => self.remove(which).await,
            Step::Replay { which } => self.replay(which).await,
            Step::Sweep => {
                delivery::sweep(self.engine).await.expect("it answers");
                for id in self.connections.iter().map(|id| id.0) {
                    match self.model.connections[&id].status {
                        "disconnected" => self.model.cancel(id),
                        _ => self.model.go_on(id),
                    }
                }
            }
            Step::Expire => {
                delivery::expire_parked(self.engine, Duration::ZERO).await.expect("it answers");
                self.model.expire();
            }
        }
    }

    /// Mostly one that still holds its delivery; sometimes one that lost it.
    fn claim_at(&self, which: usize) -> Option<Claimed> {
        let holds = |claimed: &&Claimed| self.model.holds(claimed);
        let held: Vec<&Claimed> = self.claims.iter().filter(holds).collect();
        let among = if which.is_multiple_of(4) { self.claims.iter().collect() } else { held };
        among.get(which / 4 % among.len().max(1)).map(|claimed| (*claimed).clone())
    }

    fn connection_at(&self, which: usize) -> ConnectionId {
        self.connections[which % self.connections.len()]
    }

    async fn record(&mut self, events: usize) {
        let new = NewEvent {
            kind: "a.b".parse().expect("a kind"),
            organization_id: self.org,
            data: RawValue::from_string("{}".to_owned()).expect("JSON"),
            project_id: None,
            team_id: None,
            occurred_at: None,
            source: None,
            priority: Priority::Normal,
            subject: None,
            idempotency_key: None,
            hops: 0,
            traceparent: None,
        };
        let recorded = self.engine.ingest.record(vec![new; events]).await.expect("it answers");
        let found = tables::deliveries(self.world.sql(), self.org).await;
        for one in recorded {
            let Recorded::New(event) = one else { panic!("{one:?}") };
            let mut expected = self.model.recorded(event.0);
            self.acknowledged.push((event, expected.iter().map(|one| one.connection).collect()));
            for (id, delivery) in found.iter().filter(|(_, found)| found.event == event.0) {
                let place = expected.iter().position(|one| one.connection == delivery.connection);
                let one =
                    expected.swap_remove(place.expect("one for each connection, and no other"));
                self.model.deliveries.insert(*id, one);
            }
            assert!(expected.is_empty(), "not promised: {expected:?}");
        }
    }

    async fn replay(&mut self, which: usize) {
        let count = self.model.deliveries.len();
        let Some(id) = self.model.deliveries.keys().nth(which % count.max(1)).copied() else {
            let (unknown, actor) = (DeliveryId(Uuid::now_v7()), Actor::system());
            let answer = delivery::replay(self.engine, self.org, unknown, &actor, None).await;
            assert!(matches!(answer, Err(ReplayError::NotFound)), "{answer:?}");
            return;
        };
        let actor = Actor::system();
        let answer = delivery::replay(self.engine, self.org, DeliveryId(id), &actor, None).await;
        match answer {
            Ok(()) => assert!(self.model.replay(id), "it is on its way, or goes nowhere"),
            Err(ReplayError::InFlight | ReplayError::NotConnected) => {
                assert!(!self.model.replay(id), "it may be sent");
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn check(&self, step: Step, before: &Model) {
        let found = tables::deliveries(self.world.sql(), self.org).await;
        for (event, connections) in &self.acknowledged {
            let of_event = found.values().filter(|delivery| delivery.event == event.0);
            let told: Vec<Uuid> = of_event.map(|delivery| delivery.connection).collect();
            assert_eq!(told.len(), connections.len(), "{step:?}: one delivery each");
            assert_eq!(&told.into_iter().collect::<BTreeSet<_>>(), connections, "{step:?}");
        }
        for (id, delivery) in &found {
            let expected = self.model.deliveries.get(id);
            assert_eq!(
                Some(delivery),
                expected,
                "{step:?} of {id}, which was {:?}",
                before.deliveries.get(id)
            );
            let was = before.deliveries.get(id).map(Delivery::status);
            assert!(
                may_become(was, delivery.status(), step),
                "{step:?}: {was:?}, then {delivery:?}"
            );
        }
        assert_eq!(found.len(), self.model.deliveries.len(), "{step:?}");
        let expected: BTreeMap<Uuid, (String, bool, i64)> = self
            .model
            .connections
            .iter()
            .map(|(id, one)| (*id, (one.status.to_owned(), one.paused, one.version)))
            .collect();
        assert_eq!(tables::connections(self.world.sql(), self.org).await, expected, "{step:?}");
        self.check_counts(step).await;
    }

    /// What people are shown adds up to what there is.
    async fn check_counts(&self, step: Step) {
        let filter = history::EventFilter { limit: history::PAGE_MAX, ..Default::default() };
        let page = history::list(self.engine, self.org, &filter).await.expect("it answers");
        for event in page.items.iter().filter(|event| event.kind == "a.b") {
            let mut counts = history::StatusCounts::default();
            let all = self.model.deliveries.values();
            for delivery in all.filter(|delivery| delivery.event == event.id.0) {
                match delivery.status() {
                    "pending" => counts.pending += 1,
                    "parked" => counts.parked += 1,
                    "delivered" => counts.delivered += 1,
                    "dead" => counts.dead += 1,
                    "skipped" => counts.skipped += 1,
                    "cancelled" => counts.cancelled += 1,
                    _ => counts.expired += 1,
                }
            }
            assert_eq!(event.deliveries, counts, "{step:?}");
        }
    }
}

/// The edges of the diagram in `docs/architecture.md`; what is over begins anew by a replay alone.
fn may_become(was: Option<&str>, is: &str, step: Step) -> bool {
    match (was, is) {
        (None, "pending" | "skipped") => matches!(step, Step::Record { .. }),
        (None, _) => false,
        (Some(was), is) if was == is => true,
        (Some("pending"), _) => true,
        (Some("parked"), "pending" | "cancelled" | "expired") => true,
        (Some(_), "pending") => matches!(step, Step::Replay { .. }),
        _ => false,
    }
}
