//! Claimed deliveries waiting in this process: a short queue for each connection, served in turn.

use std::collections::{HashMap, VecDeque};

use engine::{delivery::attempt::Prepared, ids::ConnectionId, outbox::Want};

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Prepared>,
    under_way: usize,
    /// Whether the lane stands in the round.
    in_round: bool,
    /// Whether the last claim filled it: there is probably more behind.
    backlogged: bool,
}

impl Lane {
    fn outstanding(&self) -> usize {
        self.waiting.len() + self.under_way
    }
}

/// All queues of one process. Pure bookkeeping: no clock, no I/O.
pub(crate) struct Lanes {
    lanes: HashMap<ConnectionId, Lane>,
    /// Connections that have something to send and may send it, in the order of their turns.
    round: VecDeque<ConnectionId>,
    outstanding: usize,
    under_way_max: usize,
}

impl Lanes {
    /// `under_way_max`: requests to one connection at once. Twice as many may be claimed for it.
    pub(crate) fn new(under_way_max: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            round: VecDeque::new(),
            outstanding: 0,
            under_way_max: under_way_max.max(1),
        }
    }

    /// How many claimed deliveries one connection may have here.
    pub(crate) fn window(&self) -> usize {
        self.under_way_max * 2
    }

    /// All claimed deliveries here, waiting or under way.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How much room each connection that has something here still has.
    pub(crate) fn wants(&self) -> Vec<Want> {
        self.lanes
            .iter()
            .map(|(id, lane)| Want {
                connection_id: *id,
                room: i32::try_from(self.window().saturating_sub(lane.outstanding())).unwrap_or(0),
            })
            .collect()
    }

    /// Queues a claimed delivery behind those of its connection.
    pub(crate) fn push(&mut self, prepared: Prepared) {
        let id = prepared.claimed.connection_id;
        let lane = self.lanes.entry(id).or_default();
        lane.waiting.push_back(prepared);
        self.outstanding += 1;
        if !lane.in_round && lane.under_way < self.under_way_max {
            lane.in_round = true;
            self.round.push_back(id);
        }
    }

    /// The next delivery to start, each connection giving one in its turn.
    pub(crate) fn next(&mut self) -> Option<Prepared> {
        let id = self.round.pop_front()?;
        let lane = self.lanes.get_mut(&id)?;
        let prepared = lane.waiting.pop_front();
        if prepared.is_some() {
            lane.under_way += 1;
        }
        lane.in_round = !lane.waiting.is_empty() && lane.under_way < self.under_way_max;
        if lane.in_round {
            self.round.push_back(id);
        }
        prepared
    }

    /// Whether `next` would give something.
    pub(crate) fn has_next(&self) -> bool {
        !self.round.is_empty()
    }

    /// Puts back what `next` gave and nobody took.
    pub(crate) fn put_back(&mut self, prepared: Prepared) {
        let id = prepared.claimed.connection_id;
        let lane = self.lanes.entry(id).or_default();
        lane.under_way = lane.under_way.saturating_sub(1);
        lane.waiting.push_front(prepared);
        if !lane.in_round {
            lane.in_round = true;
            self.round.push_front(id);
        }
    }

    /// Notes after a claim whether each connection that it named, or brought, was filled by it.
    pub(crate) fn note_backlogs(&mut self, asked: &[Want], brought: &[ConnectionId]) {
        for want in asked.iter().filter(|want| want.room > 0) {
            if let Some(lane) = self.lanes.get_mut(&want.connection_id) {
                lane.backlogged = false;
            }
        }
        let window = self.window();
        for id in brought {
            if let Some(lane) = self.lanes.get_mut(id) {
                lane.backlogged = lane.outstanding() >= window;
            }
        }
    }

    /// A delivery of this connection is no longer under way. Says whether its backlog should be
    /// looked at again: half of its window is free, and there was more.
    pub(crate) fn finished(&mut self, id: ConnectionId) -> bool {
        let window = self.window();
        let Some(lane) = self.lanes.get_mut(&id) else { return false };
        lane.under_way = lane.under_way.saturating_sub(1);
        self.outstanding = self.outstanding.saturating_sub(1);
        let refill = lane.backlogged && lane.outstanding() <= window / 2;
        if lane.outstanding() == 0 {
            self.lanes.remove(&id);
        } else if !lane.in_round && !lane.waiting.is_empty() {
            lane.in_round = true;
            self.round.push_back(id);
        }
        refill
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use engine::{
        ids::{DeliveryId, EventId, OrganizationId},
        outbox::{Claimed, Class},
    };
    use uuid::Uuid;

    use super::*;

    fn prepared(connection: u128) -> Prepared {
        let claimed = Claimed {
            organization_id: OrganizationId(Uuid::from_u128(1)),
            delivery_id: DeliveryId(Uuid::new_v4()),
            connection_id: ConnectionId(Uuid::from_u128(connection)),
            event_id: EventId(Uuid::new_v4()),
            class: Class::Live,
            lease: 1,
            attempt: 0,
            step: 0,
            crashes: 0,
            connection_version: 1,
            late: Duration::ZERO,
        };
        Prepared {
            claimed,
            receiver: Arc::new(engine::delivery::receivers::Receiver::for_tests(connection)),
            event: None,
            ticket_key: None,
        }
    }

    fn turn(lanes: &mut Lanes) -> Option<u128> {
        lanes.next().map(|p| p.claimed.connection_id.0.as_u128())
    }

    #[test]
    fn connections_take_turns_whatever_their_backlog() {
        let mut lanes = Lanes::new(8);
        for _ in 0..5 {
            lanes.push(prepared(1));
        }
        lanes.push(prepared(2));
        let order: Vec<_> = std::iter::from_fn(|| turn(&mut lanes)).collect();
        assert_eq!(order, [1, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn a_slow_connection_holds_no_more_than_its_share() {
        let mut lanes = Lanes::new(2);
        for _ in 0..4 {
            lanes.push(prepared(1));
        }
        assert_eq!(
            (turn(&mut lanes), turn(&mut lanes), turn(&mut lanes)),
            (Some(1), Some(1), None)
        );
        assert_eq!(lanes.wants().first().map(|want| want.room), Some(0));
        lanes.finished(ConnectionId(Uuid::from_u128(1)));
        assert_eq!(turn(&mut lanes), Some(1));
        assert_eq!(lanes.outstanding(), 3);
    }

    #[test]
    fn a_backlog_is_looked_at_again_when_half_the_window_is_free() {
        let mut lanes = Lanes::new(2);
        let id = ConnectionId(Uuid::from_u128(1));
        for _ in 0..4 {
            lanes.push(prepared(1));
        }
        lanes.note_backlogs(&[], &[id]);
        while lanes.next().is_some() {}
        assert!(!lanes.finished(id), "three of four are still here");
        while lanes.next().is_some() {}
        assert!(lanes.finished(id), "half is free");
        lanes.note_backlogs(&lanes.wants(), &[]);
        assert!(!lanes.finished(id), "the last claim found nothing more");
    }

    #[test]
    fn what_nobody_took_goes_first_next_time() {
        let mut lanes = Lanes::new(1);
        lanes.push(prepared(1));
        let taken = lanes.next().expect("one waits");
        let id = taken.claimed.delivery_id;
        lanes.put_back(taken);
        assert_eq!(lanes.next().map(|p| p.claimed.delivery_id), Some(id));
        lanes.finished(ConnectionId(Uuid::from_u128(1)));
        assert_eq!((lanes.outstanding(), lanes.wants().len()), (0, 0));
    }
}
