//! The outbox as a claim sees it: what is due by connection, new things before old ones at 8 to 2, and
//! of a lane the first only.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crate::{
    ids::ConnectionId,
    outbox::{Class, Want},
};

pub(super) use crate::outbox::FRESH;

/// A delivery.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) connection: usize,
    pub(super) class: Class,
    pub(super) due: Duration,
    pub(super) step: u16,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Leased,
    Settled,
}

#[derive(Default)]
struct Queue {
    in_lane: bool,
    /// What has no lease, by when it is due.
    waiting: BTreeSet<(Duration, usize)>,
    /// What is not settled, in the order of recording.
    all: BTreeSet<usize>,
}

#[derive(Default)]
pub(super) struct Outbox {
    pub(super) rows: Vec<Row>,
    queues: Vec<Queue>,
    unsettled: usize,
}

impl Outbox {
    pub(super) fn add_connection(&mut self, in_lane: bool) {
        self.queues.push(Queue { in_lane, ..Queue::default() });
    }

    pub(super) fn record(&mut self, connection: usize, class: Class, now: Duration) {
        let id = self.rows.len();
        self.rows.push(Row { connection, class, due: now, step: 0, state: State::Waiting });
        self.queues[connection].waiting.insert((now, id));
        self.queues[connection].all.insert(id);
        self.unsettled += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsettled == 0
    }

    /// When something is due that nobody has.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.queues.iter().filter_map(Queue::next_due).min()
    }

    /// Takes what is due, beginning behind the cursor. `None`: the search came to the end.
    pub(super) fn claim(
        &mut self,
        ids: &[ConnectionId],
        asked: (&[Want], usize, usize),
        cursor: usize,
        now: Duration,
    ) -> (Vec<usize>, Option<usize>) {
        let (wants, default_room, limit) = asked;
        let rooms: HashMap<_, _> =
            wants.iter().map(|want| (want.connection_id, want.room)).collect();
        let mut taken = Vec::new();
        for (connection, id) in ids.iter().enumerate().skip(cursor) {
            if self.queues[connection].waiting.first().is_none_or(|(due, _)| now < *due) {
                continue;
            }
            let room = rooms.get(id).map_or(default_room, |room| *room as usize);
            let room = room.min(limit - taken.len());
            for id in self.queues[connection].due(room, now) {
                let row = &mut self.rows[id];
                assert_eq!(row.state, State::Waiting, "two hold a lease on delivery {id}");
                row.state = State::Leased;
                self.queues[connection].waiting.remove(&(row.due, id));
                taken.push(id);
            }
            if taken.len() == limit {
                return (taken, Some(connection + 1));
            }
        }
        (taken, None)
    }

    /// A lease ends; due again at a moment, or settled.
    pub(super) fn settle(&mut self, id: usize, due: Option<Duration>) {
        let row = &mut self.rows[id];
        assert_eq!(row.state, State::Leased, "delivery {id} was settled by who does not hold it");
        let queue = &mut self.queues[row.connection];
        if let Some(due) = due {
            (row.state, row.due) = (State::Waiting, due);
            queue.waiting.insert((due, id));
        } else {
            row.state = State::Settled;
            queue.all.remove(&id);
            self.unsettled -= 1;
        }
    }

    /// A lease ends unused.
    pub(super) fn release(&mut self, id: usize) {
        let due = self.rows[id].due;
        self.settle(id, Some(due));
    }
}

impl Queue {
    fn next_due(&self) -> Option<Duration> {
        if !self.in_lane {
            return self.waiting.first().map(|(due, _)| *due);
        }
        let head = self.all.first()?;
        self.waiting.iter().find(|(_, id)| id == head).map(|(due, _)| *due)
    }

    fn due(&self, room: usize, now: Duration) -> Vec<usize> {
        if self.in_lane {
            let head = self.all.first().copied();
            let is_due =
                |head: &usize| self.waiting.iter().any(|(due, id)| id == head && *due <= now);
            return head.filter(is_due).into_iter().take(room).collect();
        }
        let fresh_from = (now.saturating_sub(FRESH), 0);
        let ids = |rows: std::collections::btree_set::Range<'_, (Duration, usize)>, most: usize| {
            rows.take(most).map(|(_, id)| *id).collect::<Vec<_>>()
        };
        let due = (now, usize::MAX);
        let fresh = ids(self.waiting.range(fresh_from..=due), room);
        let old = ids(self.waiting.range(..fresh_from), room);
        let for_old = (room.div_ceil(5)).max(room.saturating_sub(fresh.len())).min(old.len());
        let for_fresh = (room - for_old).min(fresh.len());
        fresh.into_iter().take(for_fresh).chain(old.into_iter().take(for_old)).collect()
    }
}
