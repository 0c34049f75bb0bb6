//! What was promised against what came: the proof that nothing was lost, invented or repeated.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use serde::Serialize;

/// What the sender knows about one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    NotSent,
    /// Sent without a clear answer (no answer, or a 5xx): it may arrive, and need not.
    InDoubt,
    /// Answered with a 4xx, or with an error of its own: it must not arrive.
    Refused,
    /// Acknowledged: it must arrive, once on each connection.
    Accepted,
}

/// The fate of every event of a round, by sequence number.
#[derive(Debug)]
pub(crate) struct Ledger {
    fates: Vec<AtomicU8>,
    accepted: AtomicUsize,
}

impl Ledger {
    pub(crate) fn new(events: usize) -> Self {
        let fates = (0..events).map(|_| AtomicU8::new(Fate::NotSent as u8)).collect();
        Self { fates, accepted: AtomicUsize::new(0) }
    }

    pub(crate) fn set(&self, sequence: usize, fate: Fate) {
        self.fates[sequence].store(fate as u8, Relaxed);
        if fate == Fate::Accepted {
            self.accepted.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Relaxed)
    }

    fn fate(&self, sequence: usize) -> Fate {
        [Fate::NotSent, Fate::InDoubt, Fate::Refused, Fate::Accepted]
            .into_iter()
            .find(|fate| *fate as u8 == self.fates[sequence].load(Relaxed))
            .expect("only fates are stored")
    }

    /// Compares both books once a round is over.
    pub(crate) fn reconcile(&self, arrivals: &Arrivals) -> Reconciliation {
        let mut result = Reconciliation {
            events: self.fates.len() as u64,
            arrived: arrivals.arrived,
            unique: arrivals.ids.len() as u64,
            duplicates: arrivals.duplicates,
            unexpected: arrivals.strays,
            ..Reconciliation::default()
        };
        for sequence in 0..self.fates.len() {
            let fate = self.fate(sequence);
            match fate {
                Fate::NotSent => result.not_sent += 1,
                Fate::InDoubt => result.in_doubt += 1,
                Fate::Refused => result.refused += 1,
                Fate::Accepted => result.accepted += 1,
            }
            for connection in 0..arrivals.connections {
                let came = u64::from(arrivals.deliveries[connection * arrivals.events + sequence]);
                let allowed = u64::from(matches!(fate, Fate::Accepted | Fate::InDoubt));
                result.unexpected += came.saturating_sub(allowed);
                result.lost += u64::from(fate == Fate::Accepted && came == 0);
            }
        }
        result
    }
}

/// What the receiver saw in one round.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    connections: usize,
    events: usize,
    /// Distinct deliveries, by connection and then sequence.
    deliveries: Vec<u8>,
    ids: HashSet<u128>,
    arrived: u64,
    duplicates: u64,
    strays: u64,
}

impl Arrivals {
    pub(crate) fn new(connections: usize, events: usize) -> Self {
        let deliveries = vec![0; connections * events];
        Self { connections, events, deliveries, ..Self::default() }
    }

    /// Enters a delivery; answers whether it is the first with its id and belongs to this round.
    pub(crate) fn enter(&mut self, connection: usize, sequence: usize, id: u128) -> bool {
        if self.connections <= connection || self.events <= sequence {
            self.stray();
            return false;
        }
        self.arrived += 1;
        if !self.ids.insert(id) {
            self.duplicates += 1;
            return false;
        }
        let seen = &mut self.deliveries[connection * self.events + sequence];
        *seen = seen.saturating_add(1);
        true
    }

    /// Enters a request that belongs to no event of this round.
    pub(crate) fn stray(&mut self) {
        self.arrived += 1;
        self.strays += 1;
    }

    pub(crate) fn unique(&self) -> usize {
        self.ids.len()
    }
}

/// The books of one round, compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reconciliation {
    pub(crate) events: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) in_doubt: u64,
    pub(crate) not_sent: u64,
    /// Requests that the receiver took, of whatever kind.
    pub(crate) arrived: u64,
    /// Distinct delivery ids.
    pub(crate) unique: u64,
    /// Arrivals with a delivery id that had come before.
    pub(crate) duplicates: u64,
    /// Acknowledged events that did not arrive, counted per connection.
    pub(crate) lost: u64,
    /// Deliveries that nobody acknowledged, or a second delivery of one event to one connection.
    pub(crate) unexpected: u64,
}

impl Reconciliation {
    /// Whether every event was acknowledged and delivered exactly once.
    pub(crate) fn is_clean(&self) -> bool {
        self.accepted == self.events
            && self.lost == 0
            && self.unexpected == 0
            && self.duplicates == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(fates: &[Fate]) -> Ledger {
        let ledger = Ledger::new(fates.len());
        for (sequence, fate) in fates.iter().enumerate() {
            ledger.set(sequence, *fate);
        }
        ledger
    }

    #[test]
    fn every_event_once_on_every_connection_is_clean() {
        let ledger = ledger(&[Fate::Accepted, Fate::Accepted]);
        let mut arrivals = Arrivals::new(2, 2);
        for (id, (connection, sequence)) in [(0, 0), (1, 0), (0, 1), (1, 1)].iter().enumerate() {
            assert!(arrivals.enter(*connection, *sequence, id as u128));
        }
        let result = ledger.reconcile(&arrivals);
        assert!(result.is_clean(), "{result:?}");
        assert_eq!((result.accepted, result.unique), (2, 4));
    }

    #[test]
    fn an_acknowledged_event_that_misses_one_connection_is_lost_once() {
        let ledger = ledger(&[Fate::Accepted]);
        let mut arrivals = Arrivals::new(2, 1);
        arrivals.enter(0, 0, 1);
        assert_eq!(ledger.reconcile(&arrivals).lost, 1);
    }

    #[test]
    fn the_same_delivery_again_is_a_duplicate_and_another_one_is_unexpected() {
        let ledger = ledger(&[Fate::Accepted]);
        let mut arrivals = Arrivals::new(1, 1);
        assert!(arrivals.enter(0, 0, 7));
        assert!(!arrivals.enter(0, 0, 7));
        assert!(arrivals.enter(0, 0, 8));
        let result = ledger.reconcile(&arrivals);
        assert_eq!((result.duplicates, result.unexpected, result.lost), (1, 1, 0));
    }

    #[test]
    fn what_was_refused_or_never_sent_must_not_arrive_and_what_is_in_doubt_may_once() {
        let ledger = ledger(&[Fate::Refused, Fate::NotSent, Fate::InDoubt, Fate::InDoubt]);
        let mut arrivals = Arrivals::new(1, 4);
        for sequence in 0..3 {
            arrivals.enter(0, sequence, sequence as u128);
        }
        let result = ledger.reconcile(&arrivals);
        assert_eq!((result.unexpected, result.lost), (2, 0));
        assert_eq!((result.refused, result.not_sent, result.in_doubt), (1, 1, 2));
        assert!(!result.is_clean());
    }

    #[test]
    fn what_belongs_to_no_event_is_unexpected() {
        let ledger = ledger(&[Fate::Accepted]);
        let mut arrivals = Arrivals::new(1, 1);
        arrivals.enter(0, 0, 1);
        arrivals.enter(0, 1, 2);
        arrivals.enter(1, 0, 3);
        arrivals.stray();
        let result = ledger.reconcile(&arrivals);
        assert_eq!((result.unexpected, result.unique, result.arrived), (3, 1, 4));
    }
}
