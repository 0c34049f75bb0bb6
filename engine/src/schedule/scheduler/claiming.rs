//! How much is claimed for whom: a whole window for each while there is room for all, and a few for
//! each when many have more than that, so that the search comes by everybody soon.

use std::time::Instant;

use super::{Line, Organization, Scheduler};
use crate::{
    ids::ConnectionId,
    outbox::Want,
    schedule::{Key, Limits},
};

/// However many connections share the room, each may have so many here.
const SHARE_MIN: usize = 4;

/// What a connection may have here, by how many have a backlog. A search that needs several claims
/// to come by everybody shows that there is not room for all.
#[derive(Debug)]
pub(super) struct Share {
    capacity: usize,
    window: usize,
    /// What a connection is given of which nothing is known.
    asked: usize,
    /// Whether the present search has taken a full claim already.
    is_crowded: bool,
    /// Connections that the present search found to have more than they were asked for.
    filled: usize,
    /// The same of the last search, if it was crowded.
    filled_before: usize,
}

impl Share {
    pub(super) fn new(limits: &Limits) -> Self {
        let (capacity, window) = (limits.capacity, limits.window());
        Self { capacity, window, asked: window, is_crowded: false, filled: 0, filled_before: 0 }
    }

    /// What an unknown connection was given in the present claim.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// How many of one connection may be here.
    fn each(&self) -> usize {
        let crowd = self.filled_before.max(if self.is_crowded { self.filled } else { 0 });
        (self.capacity / crowd.max(1)).max(SHARE_MIN).min(self.window)
    }

    /// The same, as far as its gate allows.
    pub(super) fn of<T>(&self, line: &Line<T>, now: Instant) -> usize {
        line.gate.window(now).min(self.each())
    }

    fn note(&mut self, filled: usize, is_full: bool) {
        self.filled += filled;
        if is_full {
            self.is_crowded = true;
        } else {
            self.filled_before = if self.is_crowded { self.filled } else { 0 };
            (self.filled, self.is_crowded) = (0, false);
        }
    }
}

impl<T> Scheduler<T> {
    /// How much room a connection has that is not named in [`wants`](Self::wants).
    #[must_use]
    pub fn default_room(&self) -> usize {
        self.share.each()
    }

    /// How much room each connection has that has something here, or may not be called now; to be
    /// asked for before each claim. What needs not be remembered is forgotten on the way.
    pub fn wants(&mut self, now: Instant) -> Vec<Want> {
        self.share.asked = self.share.each();
        let Self { lines, organizations, share, .. } = self;
        let mut wants = Vec::with_capacity(lines.len());
        lines.retain(|id, line| {
            let organization = line.organization_id.and_then(|id| organizations.get(&id));
            let most = organization.map_or(usize::MAX, Organization::room);
            if line.is_idle() && line.gate.is_forgettable(now) && most > 0 {
                return false;
            }
            let room = share.of(line, now).saturating_sub(line.outstanding()).min(most);
            (line.asked, line.brought) = (room, 0);
            if line.outstanding() > 0 || room < share.asked {
                let room = i32::try_from(room).unwrap_or(i32::MAX);
                wants.push(Want { connection_id: *id, room });
            }
            true
        });
        wants
    }

    /// Connections that should be given nothing but by a claim: more of them is waiting in the outbox,
    /// or they may have no more here now.
    #[must_use]
    pub fn busy(&self, now: Instant) -> Vec<ConnectionId> {
        let is_busy = |line: &Line<T>| {
            let organization = line.organization_id.and_then(|id| self.organizations.get(&id));
            line.is_backlogged
                || line.outstanding() >= self.share.of(line, now)
                || organization.is_some_and(|known| known.room() == 0)
        };
        self.lines.iter().filter(|(_, line)| is_busy(line)).map(|(id, _)| *id).collect()
    }

    /// Queues a delivery that no claim brought.
    pub fn push_handed(&mut self, key: &Key, item: T, now: Instant) {
        self.push(key, item, now);
        if let Some(line) = self.lines.get_mut(&key.connection_id) {
            // It says nothing of what is waiting in the outbox.
            line.brought -= 1;
        }
    }

    /// Notes what a claim brought, once all of it was pushed. `is_full`: it took as many as it was
    /// allowed to, so there may be others with something.
    pub fn claimed(&mut self, asked: &[Want], brought: &[ConnectionId], is_full: bool) {
        if !is_full {
            for want in asked.iter().filter(|want| want.room > 0) {
                if let Some(line) = self.lines.get_mut(&want.connection_id) {
                    line.is_backlogged &= line.brought > 0;
                }
            }
        }
        // Where a full claim was cut off, somebody has more.
        let mut filled = usize::from(is_full);
        for id in brought {
            if let Some(line) = self.lines.get_mut(id).filter(|line| line.brought > 0) {
                line.is_backlogged = line.brought >= line.asked;
                filled += usize::from(line.is_backlogged);
                line.brought = 0;
            }
        }
        self.share.note(filled, is_full);
    }
}
