//! What becomes of deliveries, as a model in memory: each operation as its documentation has it.

use std::collections::BTreeMap;

use engine::{
    connection::{HeadOfLine, Ordering},
    delivery::{Consequence, Settlement},
    outbox::{CRASHES_MAX, Claimed},
};
use uuid::Uuid;

pub(super) use super::standing::{Connection, Delivery, Lease, Place, Promise, Queue};

/// From how many crashes on one is taken by itself.
const SUSPECT: i16 = CRASHES_MAX - 1;

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) connections: BTreeMap<Uuid, Connection>,
    pub(super) deliveries: BTreeMap<Uuid, Delivery>,
}

impl Model {
    fn of_connection(&mut self, id: Uuid) -> impl Iterator<Item = &mut Delivery> {
        self.deliveries.values_mut().filter(move |delivery| delivery.connection == id)
    }

    /// What an event becomes at each connection; it is for the tables to say under which id.
    pub(super) fn recorded(&self, event: Uuid) -> Vec<Delivery> {
        let there = self.connections.iter().filter(|(_, c)| c.status != "disconnected");
        there
            .map(|(id, connection)| match connection.silent_because() {
                Some(reason) => {
                    let place = Place::Ended("skipped".into(), Some(reason.into()), 0);
                    Delivery { connection: *id, event, place, told: 1 }
                }
                None => {
                    let place = Place::Promised(Promise::new(connection.ordering.is_some()));
                    Delivery { connection: *id, event, place, told: 0 }
                }
            })
            .collect()
    }

    /// Which deliveries a claim without bounds takes for certain, and among which it takes one.
    pub(super) fn claimable(&self) -> (Vec<Uuid>, Vec<Uuid>) {
        let (mut certain, mut suspects) = (Vec::new(), Vec::new());
        for (id, delivery) in &self.deliveries {
            let Some(promise) = delivery.promise().filter(|p| p.can_be_claimed()) else { continue };
            let is_suspect = promise.crashes_by_now() >= SUSPECT;
            let is_its_turn = !promise.is_in_lane() || self.is_head(delivery, !is_suspect);
            match is_its_turn {
                true if is_suspect => suspects.push(*id),
                true => certain.push(*id),
                false => {}
            }
        }
        (certain, suspects)
    }

    /// Whether it is the first of its lane; and, where asked, nothing of that lane is under way.
    fn is_head(&self, of: &Delivery, must_be_alone: bool) -> bool {
        let lane = || {
            let all = self.deliveries.values().filter(|one| one.connection == of.connection);
            all.filter_map(|one| one.promise().filter(|p| p.is_in_lane()).map(|p| (one.event, p)))
        };
        let is_first = lane().all(|(event, _)| event >= of.event);
        is_first && !(must_be_alone && lane().any(|(_, promise)| promise.is_held()))
    }

    /// A claim took it.
    pub(super) fn claimed(&mut self, id: Uuid, number: i64) {
        let delivery = self.deliveries.get_mut(&id).expect("what is claimed was recorded");
        let promise = delivery.idle().expect("what is claimed is promised, and nobody's");
        promise.crashes = promise.crashes_by_now();
        promise.lease = Some(Lease { number, is_live: true });
    }

    /// Whether this claim still holds its delivery.
    pub(super) fn holds(&self, claimed: &Claimed) -> bool {
        let promise = self.deliveries.get(&claimed.delivery_id.0).and_then(Delivery::promise);
        promise.and_then(|promise| promise.lease).is_some_and(|lease| lease.number == claimed.lease)
    }

    /// The promise that this claim still holds, be its lease over or not.
    pub(super) fn held(&mut self, claimed: &Claimed) -> Option<&mut Promise> {
        match &mut self.deliveries.get_mut(&claimed.delivery_id.0)?.place {
            Place::Promised(promise) => {
                let holds = promise.lease.is_some_and(|lease| lease.number == claimed.lease);
                holds.then_some(promise)
            }
            Place::Ended(..) => None,
        }
    }

    /// The lease that somebody has on it, or had.
    pub(super) fn lease_of(&mut self, id: Uuid) -> Option<&mut Lease> {
        match &mut self.deliveries.get_mut(&id)?.place {
            Place::Promised(promise) => promise.lease.as_mut(),
            Place::Ended(..) => None,
        }
    }

    /// A settlement is written, if its lease still is the delivery's. Says whether it is.
    pub(super) fn settle(
        &mut self,
        claimed: &Claimed,
        settlement: Settlement,
        leaves_lane: bool,
        was_sent: bool,
        used: i64,
    ) -> bool {
        let version = self.connections[&claimed.connection_id.0].version;
        let Some(promise) = self.held(claimed) else { return false };
        let in_lane = promise.is_in_lane();
        let reason = settlement.reason().map(engine::delivery::DeliveryReason::as_str);
        promise.lease = None;
        let mut tells = was_sent;
        match settlement {
            Settlement::Retrying(_) => {
                promise.attempt += i32::from(promise.crashes) + 1;
                promise.crashes = 0;
                promise.step += 1;
                promise.class = promise.class.max(1);
                promise.waiting_for = None;
                promise.queue = Queue::Due { in_lane: in_lane && !leaves_lane };
                tells = true;
            }
            Settlement::Deferred(..) | Settlement::Parked(_) => {
                if was_sent {
                    promise.attempt += i32::from(promise.crashes) + 1;
                    promise.crashes = 0;
                }
                let parks = matches!(settlement, Settlement::Parked(_));
                // What the connection's newest version was not used for is looked at once more.
                let is_parked = parks && version <= used;
                promise.waiting_for =
                    (is_parked || !parks).then(|| reason.map(str::to_owned)).flatten();
                promise.queue = match (is_parked, parks) {
                    (true, _) => Queue::Parked,
                    (false, true) => Queue::Due { in_lane },
                    (false, false) => Queue::Waits { in_lane },
                };
                tells |= is_parked;
            }
            _ => {
                let number = promise.attempt + i32::from(promise.crashes) + i32::from(was_sent);
                let delivery = self.deliveries.get_mut(&claimed.delivery_id.0).expect("as above");
                delivery.end(settlement.as_str(), reason, number);
                return true;
            }
        }
        let delivery = self.deliveries.get_mut(&claimed.delivery_id.0).expect("as above");
        delivery.told += i64::from(tells);
        true
    }

    /// What an attempt found out about its connection, unless that was put right since.
    pub(super) fn found_out(&mut self, id: Uuid, used: i64, consequence: &Consequence) {
        let connection = self.connections.get_mut(&id).expect("it was made");
        let (is_on, is_there) =
            (connection.status == "connected", connection.status != "disconnected");
        let was_lifted = used < connection.resumed_at;
        let waits = match consequence {
            Consequence::DestinationFailing(_)
                if is_there && !connection.has_problem && !was_lifted =>
            {
                connection.has_problem = true;
                false
            }
            Consequence::Disabled(_) if is_on && !was_lifted => {
                connection.status = "suspended";
                false
            }
            Consequence::Errored(_) if is_on && !was_lifted => {
                connection.status = "error";
                true
            }
            Consequence::Suspended(_) if is_on && !was_lifted => {
                connection.status = "suspended";
                true
            }
            _ => return,
        };
        connection.version += 1;
        let reason = connection.silent_because().map(str::to_owned);
        for delivery in self.of_connection(id).filter(|_| waits) {
            let Some(promise) = delivery.idle() else { continue };
            if promise.queue != Queue::Parked {
                promise.crashes = promise.crashes_by_now();
                promise.lease = None;
                promise.queue = Queue::Parked;
                promise.waiting_for = reason.clone();
            }
        }
    }

    /// What was parked goes on, unless it waits for something that is not there yet.
    pub(super) fn go_on(&mut self, id: Uuid) {
        let connection = &self.connections[&id];
        let (is_on, in_lane) = (connection.is_on(), connection.ordering.is_some());
        for delivery in self.of_connection(id).filter(|_| is_on) {
            let Some(promise) = delivery.idle() else { continue };
            let stays = ["head_of_line", "no_destination"];
            let stays = promise.waiting_for.as_deref().is_some_and(|code| stays.contains(&code));
            if promise.queue == Queue::Parked && !stays {
                promise.queue = Queue::Due { in_lane };
                promise.waiting_for = None;
            }
        }
    }

    /// What nobody works on is cancelled.
    pub(super) fn cancel(&mut self, id: Uuid) {
        for delivery in self.of_connection(id) {
            if let Some(attempt) = delivery.idle().map(|promise| promise.attempt) {
                delivery.end("cancelled", Some("connection_removed"), attempt);
            }
        }
    }

    /// What was parked for too long is given up.
    pub(super) fn expire(&mut self) {
        for delivery in self.deliveries.values_mut() {
            let parked = delivery.idle().filter(|promise| promise.queue == Queue::Parked);
            if let Some(attempt) = parked.map(|promise| promise.attempt) {
                delivery.end("expired", Some("parked_too_long"), attempt);
            }
        }
    }

    /// The connection's deliveries move into its lane, or out of it.
    pub(super) fn order(&mut self, id: Uuid, ordering: Option<Ordering>) {
        let connection = self.connections.get_mut(&id).expect("it was made");
        if connection.ordering == ordering {
            return;
        }
        connection.ordering = ordering;
        connection.version += 1;
        let in_lane = ordering.is_some();
        for delivery in self.of_connection(id) {
            let Some(promise) = delivery.idle().filter(|promise| promise.lease.is_none()) else {
                continue;
            };
            let is_untried = promise.class == 0 && promise.attempt == 0;
            if promise.queue != Queue::Parked && (promise.is_in_lane() || is_untried) {
                promise.queue = match promise.queue {
                    Queue::Waits { .. } if promise.attempt > 0 => Queue::Waits { in_lane },
                    _ => Queue::Due { in_lane },
                };
            }
        }
    }

    /// Whether a person may have it sent once more; and then it is due, under its old id.
    pub(super) fn replay(&mut self, id: Uuid) -> bool {
        let delivery = self.deliveries.get_mut(&id).expect("it was recorded");
        let connection = self.connections.get_mut(&delivery.connection).expect("it was made");
        let is_held = delivery.promise().is_some_and(Promise::is_held);
        if is_held || !connection.is_on() {
            return false;
        }
        connection.version += 1;
        let promise = match &delivery.place {
            Place::Promised(promise) => Promise {
                step: 0,
                class: 2,
                waiting_for: None,
                queue: Queue::Due { in_lane: false },
                lease: None,
                ..promise.clone()
            },
            Place::Ended(_, _, number) => {
                Promise { attempt: *number, class: 2, ..Promise::new(false) }
            }
        };
        delivery.place = Place::Promised(promise);
        true
    }

    /// Whatever waited is due.
    pub(super) fn time_passes(&mut self) {
        for delivery in self.deliveries.values_mut() {
            if let Place::Promised(promise) = &mut delivery.place
                && let Queue::Waits { in_lane } = promise.queue
            {
                promise.queue = Queue::Due { in_lane };
            }
        }
    }
}

/// What one that fails does to those behind it in its lane, as `docs/subscriptions.md` says.
pub(super) fn in_lane(
    settlement: Settlement,
    claimed: &Claimed,
    ordering: Option<Ordering>,
) -> (Settlement, bool) {
    let is_retry = matches!(settlement, Settlement::Retrying(_));
    match ordering.filter(|_| is_retry && claimed.is_in_lane()) {
        Some(Ordering { policy: HeadOfLine::Skip, .. }) => (settlement, true),
        Some(Ordering { policy: HeadOfLine::Park, after: Some(after) })
            if claimed.next_attempt() >= i32::from(after) =>
        {
            (Settlement::Parked(engine::delivery::DeliveryReason::HeadOfLine), false)
        }
        _ => (settlement, false),
    }
}
