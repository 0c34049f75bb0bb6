//! What the receiver saw of one lot of events: which deliveries, how often, and in which order.

use std::collections::HashSet;

use serde::Serialize;

/// Which of a receiver's connections an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audience {
    /// Every one of so many.
    All(usize),
    /// One of so many, in turn.
    OneOf(usize),
    /// The one of this number.
    Only(usize),
}

impl Audience {
    /// How many connections get each event.
    pub(crate) fn per_event(self) -> usize {
        match self {
            Self::All(connections) => connections,
            Self::OneOf(connections) => connections.min(1),
            Self::Only(_) => 1,
        }
    }

    /// Which of an event's deliveries this connection gets; none if it gets no such event.
    fn place(self, connection: usize, sequence: usize) -> Option<usize> {
        match self {
            Self::All(connections) => (connection < connections).then_some(connection),
            Self::OneOf(connections) => {
                (connections > 0 && sequence % connections == connection).then_some(0)
            }
            Self::Only(one) => (connection == one).then_some(0),
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::All(connections) | Self::OneOf(connections) => connections,
            Self::Only(one) => one + 1,
        }
    }
}

/// The book of one lot.
#[derive(Debug)]
pub(crate) struct Arrivals {
    audience: Audience,
    events: usize,
    /// Distinct deliveries, by place and then sequence.
    deliveries: Vec<u8>,
    ids: HashSet<u128>,
    /// By connection: one more than the highest sequence that has come.
    next: Vec<usize>,
    pub(crate) arrived: u64,
    pub(crate) duplicates: u64,
    pub(crate) strays: u64,
    pub(crate) reordered: u64,
}

impl Arrivals {
    pub(crate) fn new(audience: Audience, events: usize) -> Self {
        Self {
            audience,
            events,
            deliveries: vec![0; audience.per_event() * events],
            ids: HashSet::new(),
            next: vec![0; audience.connections()],
            arrived: 0,
            duplicates: 0,
            strays: 0,
            reordered: 0,
        }
    }

    /// Enters a delivery; answers whether it is the first with its id and belongs to this lot.
    pub(crate) fn enter(&mut self, connection: usize, sequence: usize, id: u128) -> bool {
        self.arrived += 1;
        let place = self.audience.place(connection, sequence);
        let Some(place) = place.filter(|_| sequence < self.events) else {
            self.strays += 1;
            return false;
        };
        if !self.ids.insert(id) {
            self.duplicates += 1;
            return false;
        }
        let seen = &mut self.deliveries[place * self.events + sequence];
        *seen = seen.saturating_add(1);
        let next = &mut self.next[connection];
        self.reordered += u64::from(sequence < *next);
        *next = (*next).max(sequence + 1);
        true
    }

    /// Distinct deliveries so far.
    pub(crate) fn unique(&self) -> usize {
        self.ids.len()
    }

    /// How often each of the event's deliveries came.
    pub(crate) fn of(&self, sequence: usize) -> impl Iterator<Item = u64> {
        let places = 0..self.audience.per_event();
        places.map(move |place| u64::from(self.deliveries[place * self.events + sequence]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reordered(arrivals: &[(usize, usize)]) -> u64 {
        let mut book = Arrivals::new(Audience::All(2), 10);
        for (id, (connection, sequence)) in arrivals.iter().enumerate() {
            book.enter(*connection, *sequence, id as u128);
        }
        book.reordered
    }

    #[test]
    fn what_comes_after_a_later_one_of_its_connection_is_reordered() {
        assert_eq!(reordered(&[(0, 0), (0, 1), (0, 2)]), 0);
        assert_eq!(reordered(&[(0, 0), (0, 2), (0, 1)]), 1);
        assert_eq!(reordered(&[(0, 3), (0, 0), (0, 1), (0, 2), (0, 4)]), 3, "one, late or early");
        assert_eq!(reordered(&[(0, 5), (1, 0), (0, 6), (1, 1)]), 0, "connections have no order");
    }

    #[test]
    fn a_repeated_delivery_is_no_matter_of_order() {
        let mut book = Arrivals::new(Audience::All(1), 3);
        for (sequence, id) in [(0, 1), (1, 2), (0, 1)] {
            book.enter(0, sequence, id);
        }
        assert_eq!((book.reordered, book.duplicates), (0, 1));
    }

    #[test]
    fn another_lots_connection_is_not_this_lots() {
        let mut book = Arrivals::new(Audience::Only(1), 2);
        assert!(!book.enter(0, 0, 1));
        assert!(book.enter(1, 0, 2));
        assert_eq!((book.unique(), book.strays), (1, 1));
    }

    #[test]
    fn an_event_for_one_of_many_belongs_to_its_own_connection_only() {
        let mut book = Arrivals::new(Audience::OneOf(3), 6);
        assert!(book.enter(1, 4, 1));
        assert!(!book.enter(2, 4, 2), "the fifth event is the second connection's");
        assert!(!book.enter(0, 6, 3), "there are six");
        assert_eq!((book.unique(), book.strays, book.arrived), (1, 2, 3));
        assert_eq!(book.of(4).collect::<Vec<_>>(), [1]);
        assert_eq!(book.of(5).collect::<Vec<_>>(), [0]);
    }
}
