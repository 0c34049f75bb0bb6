//! How far back the next claim looks.
//!
//! A row that was settled stays in the indexes for as long as somebody holds an older snapshot, and a
//! search through everything that is queued walks past all of those. So once such searches turn out to
//! be dear they are made seldom, and the claims between them look only at what became due since the last
//! one, and at connections of which more was left. What that cannot see waits for the next search of
//! everything: a row that was committed long after it was due, or that somebody else handed back, or
//! whose lease ran out.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use chrono::TimeDelta;

use super::{Brought, Cursor, Want};
use crate::{
    id_time,
    ids::{ConnectionId, EventId},
};

/// A search that took no longer, beside what its deliveries take, may as well be made each time.
const CHEAP: Duration = Duration::from_millis(3);
const EACH: Duration = Duration::from_micros(100);
/// So many dear ones in a row are no accident.
const DEAR_MIN: u32 = 3;
/// Dear ones take up one part in so many of the time, between those bounds.
const SHARE: u32 = 50;
const AGAIN_MIN: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_secs(15);
/// After so many others in a row that cost more than the last of them, one of them is made to compare, since
/// it may be the machine that is slow now; and for how long nothing else is tried where it costs less.
const DEARER_MIN: u32 = 10;
const SHY: Duration = Duration::from_secs(10);
/// How much later than it became due a row may be committed, and be found at once.
pub(super) const SLACK: Duration = Duration::from_secs(2);
/// Connections that are looked up one by one.
const LEFT_MAX: usize = 1_000;
/// For how long what goes one at a time is looked for, after the last of it was here.
const IN_TURN: Duration = Duration::from_secs(30);
/// After so long of taking less than there is, everything is looked at.
const BEHIND_MAX: Duration = Duration::from_secs(5);

/// What a claim searches for connections with something due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// All that is queued.
    Everything,
    /// What became due within the span, and connections of which more was left.
    Since {
        /// Back from now.
        within: Duration,
        /// By their ids.
        left: Vec<Left>,
    },
}

/// A connection of which a claim left something behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub connection_id: ConnectionId,
    /// How long ago the oldest of it became due at most, but for what goes one at a time; `None`: any
    /// time.
    pub within: Option<Duration>,
    /// The earliest event of what goes one at a time; `None`: any.
    pub from_event: Option<EventId>,
}

/// One claim, when it is over.
#[derive(Debug)]
pub struct Search<'a> {
    /// What it searched.
    pub is_of_everything: bool,
    /// Whether it began with the first connection.
    pub is_from_start: bool,
    /// Whether it took as many as it was allowed to.
    pub is_full: bool,
    /// Just before it was sent.
    pub asked_at: Instant,
    /// Until its answer was there.
    pub took: Duration,
    /// What it was asked for.
    pub wants: &'a [Want],
    /// The same of every other connection.
    pub default_room: usize,
    /// What it took.
    pub brought: &'a [Brought],
}

/// What is known of what earlier claims left, and what the next one is to search.
#[derive(Debug, Default)]
pub struct Horizon {
    /// Whatever became due before is taken, or belongs to a connection that is `left`. `None`: nobody
    /// knows.
    since: Option<Instant>,
    left: HashMap<ConnectionId, Remainder>,
    /// How many searches of everything were dear in a row.
    dear: u32,
    /// What the last of them cost.
    cost: Duration,
    /// When everything is searched again, whatever it costs.
    again_at: Option<Instant>,
    /// When the last lease has run out of those who had our shards before.
    taken_over_at: Option<Instant>,
    /// How many others in a row cost more than that, and the least that one of them did.
    dearer: u32,
    least: Duration,
    /// Until when nothing else is tried.
    shy_until: Option<Instant>,
    /// What the round of claims searches that is not over.
    is_of_everything: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Remainder {
    /// Nothing of it that was due before is left; `None`: nobody knows.
    since: Option<Instant>,
    /// The last that was taken of those that go one at a time, if that is how they go.
    last_in_lane: Option<EventId>,
    /// When some of it went back: a claim that was sent before may not have seen it.
    back_at: Option<Instant>,
    /// When something of it was last here, or came.
    here_at: Option<Instant>,
}

/// What a claim took of one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Portion {
    deliveries: usize,
    oldest: Duration,
    last_in_lane: Option<EventId>,
}

impl Horizon {
    /// What to search now.
    #[must_use]
    pub fn look(&self, cursor: &Cursor, wants: &[Want], now: Instant) -> Look {
        let is_over = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        let is_taken_over = self.taken_over_at.is_some_and(|at| at <= now);
        let everything = match cursor.is_start() {
            true => is_over(self.again_at) || is_taken_over || self.dearer >= DEARER_MIN,
            false => self.is_of_everything,
        };
        let may_be_left_out = !everything
            && self.dear >= DEAR_MIN
            && is_over(self.shy_until)
            && self.left.len() <= LEFT_MAX;
        match self.since {
            Some(since) if may_be_left_out => {
                Look::Since { within: span(since, now), left: self.left(wants, now) }
            }
            _ => Look::Everything,
        }
    }

    /// Takes note of a claim.
    pub fn note(&mut self, search: &Search<'_>) {
        self.is_of_everything = search.is_of_everything;
        if search.is_of_everything && search.is_from_start {
            self.taken_over_at = self.taken_over_at.filter(|at| *at > search.asked_at);
        }
        self.weigh(search);
        let is_behind = |since: Instant| search.asked_at.duration_since(since) > BEHIND_MAX;
        if search.is_from_start && !search.is_full && search.default_room > 0 {
            self.left = self.remainders(search);
            self.since = Some(search.asked_at);
            return;
        }
        // The next looks back as far as this one did, unless that becomes long.
        if search.is_of_everything || search.is_full && self.since.is_some_and(is_behind) {
            self.forget();
        }
        for (id, portion) in portions(search.brought) {
            if portion.last_in_lane.is_some() {
                let remainder = self.remainder(search, self.known(id), portion);
                self.left.insert(id, remainder);
            }
        }
    }

    /// Takes note of deliveries that have gone back and are due still.
    pub fn handed_back(&mut self, connections: &[ConnectionId], now: Instant) {
        for id in connections {
            let known = self.left.entry(*id).or_default();
            (known.since, known.back_at) = (None, Some(now));
        }
    }

    /// Shards have come: everything is searched now, and once more when the last lease has run out that
    /// somebody had who is no more.
    pub fn took_over(&mut self, lease: Duration, now: Instant) {
        self.forget();
        self.taken_over_at = Some(now + lease);
    }

    /// The next claim searches everything: nobody knows what has become due. Of what
    /// goes one at a time the first may be here, and hide the others from that claim.
    pub fn forget(&mut self) {
        self.since = None;
        self.left.retain(|_, known| known.last_in_lane.is_some());
    }

    /// Weighs what a search cost.
    fn weigh(&mut self, search: &Search<'_>) {
        let brought = u32::try_from(search.brought.len()).unwrap_or(u32::MAX);
        let cost = search.took.saturating_sub(EACH.saturating_mul(brought));
        let over = search.asked_at + search.took;
        if search.is_of_everything {
            self.dear = if cost > CHEAP { self.dear.saturating_add(1) } else { 0 };
            self.cost = cost;
            self.again_at = Some(over + cost.saturating_mul(SHARE).clamp(AGAIN_MIN, AGAIN_MAX));
            if std::mem::take(&mut self.dearer) >= DEARER_MIN && cost < self.least {
                self.shy_until = Some(over + SHY);
            }
        } else if cost > self.cost {
            self.least = if self.dearer == 0 { cost } else { self.least.min(cost) };
            self.dearer = self.dearer.saturating_add(1);
        } else {
            self.dearer = 0;
        }
    }

    /// What there is left after a claim that has seen all it was to see.
    fn remainders(&self, search: &Search<'_>) -> HashMap<ConnectionId, Remainder> {
        let mut portions = portions(search.brought);
        let mut left = HashMap::new();
        for want in search.wants {
            let (id, room) = (want.connection_id, usize::try_from(want.room).unwrap_or(0));
            let (known, portion) = (self.known(id), portions.remove(&id).unwrap_or_default());
            // Of what goes one at a time something is here, or has just come.
            let goes_in_turn = known.and_then(|known| known.last_in_lane).is_some();
            if goes_in_turn || portion.has_more(room) {
                left.insert(id, self.remainder(search, known, portion));
            }
        }
        for (id, portion) in portions {
            if portion.has_more(search.default_room) {
                left.insert(id, self.remainder(search, self.known(id), portion));
            }
        }
        for (id, known) in &self.left {
            // What was here has ended, and is not recorded yet: until then the next waits behind it.
            let is_near = |here_at| search.asked_at.saturating_duration_since(here_at) < IN_TURN;
            if known.last_in_lane.is_some() && known.here_at.is_some_and(is_near) {
                left.entry(*id).or_insert(*known);
            }
            if known.back_at.is_some_and(|back_at| back_at >= search.asked_at) {
                let unseen = left.entry(*id).or_insert(*known);
                (unseen.since, unseen.back_at) = (None, known.back_at);
            }
        }
        left
    }

    fn known(&self, id: ConnectionId) -> Option<Remainder> {
        self.left.get(&id).copied()
    }

    fn remainder(
        &self,
        search: &Search<'_>,
        known: Option<Remainder>,
        portion: Portion,
    ) -> Remainder {
        let before = known.map_or(self.since, |known| known.since);
        let since = match portion {
            // The others wait for the first, however long they have been due.
            Portion { last_in_lane: Some(_), .. } => None,
            Portion { deliveries: 0, .. } => before,
            Portion { oldest, .. } => search.asked_at.checked_sub(oldest).max(before),
        };
        let last_in_lane = portion.last_in_lane.or(known.and_then(|known| known.last_in_lane));
        Remainder { since, last_in_lane, back_at: None, here_at: Some(search.asked_at) }
    }

    /// Those that are left and that are asked for.
    fn left(&self, wants: &[Want], now: Instant) -> Vec<Left> {
        let full = wants.iter().filter(|want| want.room <= 0).map(|want| want.connection_id);
        let full: HashSet<ConnectionId> = full.collect();
        let asked = self.left.iter().filter(|(id, _)| !full.contains(id));
        let mut left: Vec<Left> = asked
            .map(|(id, remainder)| Left {
                connection_id: *id,
                within: remainder.since.map(|since| span(since, now)),
                from_event: remainder.last_in_lane.map(before),
            })
            .collect();
        left.sort_unstable_by_key(|one| one.connection_id);
        left
    }
}

impl Portion {
    /// Whether more of its connection may be left.
    fn has_more(&self, room: usize) -> bool {
        self.last_in_lane.is_some() || self.deliveries >= room
    }
}

/// How far back to look for what became due since then.
fn span(since: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(since) + SLACK
}

/// The earliest event that may be committed after this one was taken.
fn before(event: EventId) -> EventId {
    let slack = TimeDelta::from_std(SLACK).expect("a few seconds fit");
    EventId(id_time::floor(id_time::made_at(event.0) - slack))
}

fn portions(brought: &[Brought]) -> HashMap<ConnectionId, Portion> {
    let mut portions: HashMap<ConnectionId, Portion> = HashMap::new();
    for one in brought {
        let portion = portions.entry(one.connection_id).or_default();
        portion.deliveries += 1;
        portion.oldest = portion.oldest.max(one.oldest);
        portion.last_in_lane = portion.last_in_lane.max(one.in_lane);
    }
    portions
}
