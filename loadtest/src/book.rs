//! What the receiver writes down of one round: each lot's arrivals, with their latencies over time.

use crate::arrivals::{Arrivals, Audience};
use crate::event::Mark;
use crate::latency::Latencies;
use crate::timeline::{self, Arriving, Point};

/// What there is to know of a lot before it comes.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// By which its events are recognised.
    pub(crate) run: u32,
    pub(crate) audience: Audience,
    pub(crate) events: usize,
    /// How many events there are before the end of each of its parts.
    pub(crate) part_ends: Vec<usize>,
}

/// One lot, as the receiver saw it.
#[derive(Debug)]
pub(crate) struct LotBook {
    run: u32,
    pub(crate) arrivals: Arrivals,
    part_ends: Vec<usize>,
    /// Of each part: the latencies, and when its last event came.
    pub(crate) parts: Vec<(Latencies, u64)>,
    arriving: Arriving,
}

impl LotBook {
    fn new(expected: Expected, began_ns: u64) -> Self {
        let Expected { run, audience, events, part_ends } = expected;
        Self {
            run,
            arrivals: Arrivals::new(audience, events),
            parts: part_ends.iter().map(|_| (Latencies::new(), 0)).collect(),
            part_ends,
            arriving: Arriving::new(began_ns),
        }
    }

    /// What arrived in each step.
    pub(crate) fn points(self) -> Vec<Point> {
        self.arriving.finish()
    }

    fn enter(&mut self, mark: Mark, connection: usize, id: u128, now_ns: u64) {
        if !self.arrivals.enter(connection, mark.sequence, id) {
            return;
        }
        let latency_ns = now_ns.saturating_sub(mark.emitted_ns);
        let part = self.part_ends.partition_point(|end| *end <= mark.sequence);
        if let Some((latencies, last_ns)) = self.parts.get_mut(part) {
            latencies.record_ns(latency_ns);
            *last_ns = now_ns;
        }
        self.arriving.enter(now_ns, latency_ns);
    }
}

/// One round, as the receiver saw it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) began_ns: u64,
    pub(crate) lots: Vec<LotBook>,
    /// Requests that belong to no lot of this round.
    pub(crate) strays: u64,
    /// Requests of which both signatures were checked and found right.
    pub(crate) verified: u64,
    /// Requests whose signature was wrong, and what was wrong with the first one.
    pub(crate) rejected: u64,
    pub(crate) first_rejection: Option<String>,
    /// Requests that were refused on purpose, by step, and requests held at once, at most, by step.
    pub(crate) refused: Vec<u64>,
    pub(crate) in_flight: Vec<u32>,
    /// The first and the last arrival.
    pub(crate) first_ns: Option<u64>,
    pub(crate) last_ns: u64,
}

impl Book {
    pub(crate) fn new(lots: Vec<Expected>, began_ns: u64) -> Self {
        let lots = lots.into_iter().map(|expected| LotBook::new(expected, began_ns)).collect();
        Self { began_ns, lots, ..Self::default() }
    }

    /// Enters a request that was taken.
    pub(crate) fn enter(
        &mut self,
        mark: Option<Mark>,
        connection: Option<usize>,
        id: Option<u128>,
        now_ns: u64,
    ) {
        self.first_ns.get_or_insert(now_ns);
        self.last_ns = now_ns;
        let lot = mark.and_then(|mark| self.lots.iter_mut().find(|lot| lot.run == mark.run));
        match (lot, mark, connection, id) {
            (Some(lot), Some(mark), Some(connection), Some(id)) => {
                lot.enter(mark, connection, id, now_ns);
            }
            _ => self.strays += 1,
        }
    }

    pub(crate) fn refuse(&mut self, now_ns: u64) {
        *timeline::slot(&mut self.refused, timeline::step(self.began_ns, now_ns)) += 1;
    }

    pub(crate) fn hold(&mut self, now_ns: u64, in_flight: u32) {
        let step = timeline::step(self.began_ns, now_ns);
        let most = timeline::slot(&mut self.in_flight, step);
        *most = (*most).max(in_flight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(run: u32, part_ends: &[usize]) -> Expected {
        let events = part_ends.last().copied().unwrap_or_default();
        Expected { run, audience: Audience::All(1), events, part_ends: part_ends.to_vec() }
    }

    #[test]
    fn each_lot_gets_its_own_and_each_part_too() {
        let mut book = Book::new(vec![expected(1, &[2, 4]), expected(2, &[3])], 0);
        for (at, (run, sequence)) in [(1, 0), (1, 1), (1, 2), (2, 0), (9, 0)].iter().enumerate() {
            let mark = Mark { run: *run, sequence: *sequence, emitted_ns: 0 };
            book.enter(Some(mark), Some(0), Some(at as u128), 1_000_000 * (at as u64 + 1));
        }
        book.enter(None, Some(0), Some(99), 1_000_000);
        let unique: Vec<usize> = book.lots.iter().map(|lot| lot.arrivals.unique()).collect();
        assert_eq!((unique, book.strays), (vec![3, 1], 2));
        let lasts: Vec<u64> = book.lots[0].parts.iter().map(|(_, last_ns)| *last_ns).collect();
        assert_eq!(lasts, [2_000_000, 3_000_000]);
    }
}
