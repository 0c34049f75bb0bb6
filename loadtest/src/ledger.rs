//! What was promised against what came: the proof that nothing was lost, invented or repeated.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use serde::Serialize;

use crate::arrivals::Arrivals;

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
            unique: arrivals.unique() as u64,
            duplicates: arrivals.duplicates,
            unexpected: arrivals.strays,
            reordered: arrivals.reordered,
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
            for came in arrivals.of(sequence) {
                let allowed = u64::from(matches!(fate, Fate::Accepted | Fate::InDoubt));
                result.unexpected += came.saturating_sub(allowed);
                result.lost += u64::from(fate == Fate::Accepted && came == 0);
            }
        }
        result
    }
}

/// The books of one lot, or of all lots of a round, compared.
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
    /// Deliveries that came after one of a later event, on the same connection. Retries and parallel
    /// requests make some; without them there should be none.
    pub(crate) reordered: u64,
}

impl Reconciliation {
    /// Takes in the books of another lot.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.events, other.events),
            (&mut self.accepted, other.accepted),
            (&mut self.refused, other.refused),
            (&mut self.in_doubt, other.in_doubt),
            (&mut self.not_sent, other.not_sent),
            (&mut self.arrived, other.arrived),
            (&mut self.unique, other.unique),
            (&mut self.duplicates, other.duplicates),
            (&mut self.lost, other.lost),
            (&mut self.unexpected, other.unexpected),
            (&mut self.reordered, other.reordered),
        ] {
            *sum += more;
        }
    }

    /// For a lot that was to end early: what was not sent was not asked for either.
    pub(crate) fn without_unsent(mut self) -> Self {
        self.events -= self.not_sent;
        self.not_sent = 0;
        self
    }

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
    use crate::arrivals::Audience;

    fn arrivals(connections: usize, events: usize) -> Arrivals {
        Arrivals::new(Audience::All(connections), events)
    }

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
        let mut arrivals = arrivals(2, 2);
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
        let mut arrivals = arrivals(2, 1);
        arrivals.enter(0, 0, 1);
        assert_eq!(ledger.reconcile(&arrivals).lost, 1);
    }

    #[test]
    fn the_same_delivery_again_is_a_duplicate_and_another_one_is_unexpected() {
        let ledger = ledger(&[Fate::Accepted]);
        let mut arrivals = arrivals(1, 1);
        assert!(arrivals.enter(0, 0, 7));
        assert!(!arrivals.enter(0, 0, 7));
        assert!(arrivals.enter(0, 0, 8));
        let result = ledger.reconcile(&arrivals);
        assert_eq!((result.duplicates, result.unexpected, result.lost), (1, 1, 0));
    }

    #[test]
    fn what_was_refused_or_never_sent_must_not_arrive_and_what_is_in_doubt_may_once() {
        let ledger = ledger(&[Fate::Refused, Fate::NotSent, Fate::InDoubt, Fate::InDoubt]);
        let mut arrivals = arrivals(1, 4);
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
        let mut arrivals = arrivals(1, 1);
        arrivals.enter(0, 0, 1);
        arrivals.enter(0, 1, 2);
        arrivals.enter(1, 0, 3);
        let result = ledger.reconcile(&arrivals);
        assert_eq!((result.unexpected, result.unique, result.arrived), (2, 1, 3));
    }

    #[test]
    fn what_was_called_off_is_missed_by_nobody() {
        let ledger = ledger(&[Fate::Accepted, Fate::NotSent]);
        let mut arrivals = arrivals(1, 2);
        arrivals.enter(0, 0, 1);
        let result = ledger.reconcile(&arrivals);
        assert!(!result.is_clean());
        assert!(result.without_unsent().is_clean());
    }

    #[test]
    fn lots_are_counted_together() {
        let ledger = ledger(&[Fate::Accepted, Fate::Accepted]);
        let mut arrivals = arrivals(1, 2);
        arrivals.enter(0, 1, 1);
        arrivals.enter(0, 0, 2);
        let mut sum = ledger.reconcile(&arrivals);
        sum.add(&sum.clone());
        assert_eq!((sum.events, sum.unique, sum.reordered), (4, 4, 2));
    }
}
