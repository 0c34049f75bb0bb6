//! What waits for one connection, by class: what is new goes first, and nothing waits for ever.

use std::collections::VecDeque;

use super::{Key, fair::Weighted};
use crate::outbox::Class;

/// Live 8 : retries and backlog 2 : replays 1.
const WEIGHTS: [u32; 3] = [8, 2, 1];

#[derive(Debug)]
pub(super) struct Classes<T> {
    queues: [VecDeque<T>; 3],
    turns: Weighted<3>,
    waiting: usize,
}

impl<T> Default for Classes<T> {
    fn default() -> Self {
        Self { queues: Default::default(), turns: Weighted::new(WEIGHTS), waiting: 0 }
    }
}

impl<T> Classes<T> {
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn push(&mut self, key: &Key, item: T) {
        self.queues[place(key)].push_back(item);
        self.waiting += 1;
    }

    pub(super) fn next(&mut self) -> Option<T> {
        let Self { queues, turns, .. } = self;
        let item = queues[turns.next(|one| !queues[one].is_empty())?].pop_front();
        self.waiting -= usize::from(item.is_some());
        item
    }

    /// Puts back what `next` gave last.
    pub(super) fn give_back(&mut self, key: &Key, item: T) {
        self.queues[place(key)].push_front(item);
        self.turns.give_back(place(key));
        self.waiting += 1;
    }

    /// Takes out one that can wait longest.
    pub(super) fn last(&mut self) -> Option<T> {
        let item = self.queues.iter_mut().rev().find_map(VecDeque::pop_back);
        self.waiting -= usize::from(item.is_some());
        item
    }
}

fn place(key: &Key) -> usize {
    match key.class {
        Class::Live if !key.is_backlog => 0,
        Class::Live | Class::Retry => 1,
        Class::Replay => 2,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(class: Class, is_backlog: bool) -> Key {
        let id = Uuid::from_u128(1);
        Key { organization_id: id.into(), connection_id: id.into(), class, is_backlog, rate: None }
    }

    #[test]
    fn f19_live_goes_ahead_of_backlog_and_neither_waits_for_ever() {
        let mut classes = Classes::default();
        for n in 0..100 {
            classes.push(&key(Class::Live, true), ("backlog", n));
            classes.push(&key(Class::Live, false), ("live", n));
            classes.push(&key(Class::Replay, false), ("replay", n));
        }
        let first: Vec<_> = (0..22).filter_map(|_| classes.next()).collect();
        let of = |name| first.iter().filter(|(class, _)| *class == name).count();
        assert_eq!([of("live"), of("backlog"), of("replay")], [16, 4, 2]);
        let places: Vec<_> =
            first.iter().filter(|(class, _)| *class == "live").map(|(_, n)| *n).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(classes.len(), 278);
    }

    #[test]
    fn what_is_put_back_comes_again_and_what_can_wait_is_taken_out_first() {
        let mut classes = Classes::default();
        classes.push(&key(Class::Live, false), 1);
        classes.push(&key(Class::Live, false), 2);
        classes.push(&key(Class::Retry, false), 3);
        let taken = classes.next().expect("three wait");
        classes.give_back(&key(Class::Live, false), taken);
        assert_eq!((classes.next(), classes.last(), classes.last()), (Some(1), Some(3), Some(2)));
        assert_eq!((classes.len(), classes.last()), (0, None));
    }
}
