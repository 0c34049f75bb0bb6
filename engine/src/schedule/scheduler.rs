//! Claimed deliveries of one process, queued by organization, connection and class, and whose turn
//! it is. Each call costs the same whatever is queued, but for those that look at every connection
//! here and are made once a claim.

mod claiming;
mod recall;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{BuildHasherDefault, DefaultHasher},
    time::Instant,
};

use self::claiming::Share;
use super::{
    Change, Key, Limits, Outcome, Trouble,
    classes::Classes,
    fair::Round,
    gate::{Admission, Gate},
    shard_of,
};
use crate::{
    connection::limits::RateLimit,
    ids::{ConnectionId, OrganizationId},
    shards::SHARDS,
};

/// Organizations with nothing here that are remembered until they are swept away together.
const IDLE_ORGANIZATIONS_MAX: usize = 2_000;

/// The same order in every process: a simulation can be repeated.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// See the [module](super). `T` is whatever a claimed delivery is to the caller.
#[derive(Debug)]
pub struct Scheduler<T> {
    limits: Limits,
    organizations: Map<OrganizationId, Organization>,
    lines: Map<ConnectionId, Line<T>>,
    /// Organizations that may send something.
    round: Round<OrganizationId>,
    outstanding: usize,
    share: Share,
    /// When to look again at connections that may not be called now.
    timers: BinaryHeap<Reverse<(Instant, ConnectionId)>>,
    /// Connections that have more here than they should.
    recalls: Vec<ConnectionId>,
    /// When each shard became this process's.
    gained_at: [Option<Instant>; SHARDS as usize],
    /// When it was last looked for organizations that take up the room and do not move.
    looked_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Organization {
    /// Its connections that may send something.
    round: Round<ConnectionId>,
    in_round: bool,
    outstanding: usize,
    under_way: usize,
    /// Requests that began since it was last looked.
    began: usize,
    /// How many may wait here, if it took up too much room, and since when that was last seen.
    allowance: Option<(usize, Instant)>,
}

#[derive(Debug)]
struct Line<T> {
    /// Not known yet of one that a former owner told of.
    organization_id: Option<OrganizationId>,
    classes: Classes<T>,
    gate: Gate,
    in_round: bool,
    /// Whether the last claim brought as much as it was asked for: there is probably more.
    is_backlogged: bool,
    /// What the present claim was asked for, and what it brought.
    asked: usize,
    brought: usize,
    wakes_at: Option<Instant>,
    is_recalled: bool,
}

/// What the end of a request means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Whether the backlog of its connection should be looked at again: half of its window is free.
    pub refill: bool,
    /// Whose connection it is.
    pub organization_id: Option<OrganizationId>,
    /// What became of the connection.
    pub changes: Vec<Change>,
}

impl<T> Line<T> {
    fn new(limits: &Limits, id: ConnectionId, asked: usize, now: Instant) -> Self {
        Self {
            organization_id: None,
            classes: Classes::default(),
            gate: Gate::new(limits, id.0.as_u64_pair().1, now),
            in_round: false,
            is_backlogged: false,
            asked,
            brought: 0,
            wakes_at: None,
            is_recalled: false,
        }
    }

    fn outstanding(&self) -> usize {
        self.classes.len() + self.gate.under_way()
    }

    /// Whether nothing of it is here, nor stands anywhere.
    fn is_idle(&self) -> bool {
        self.outstanding() == 0 && !self.in_round && !self.is_recalled
    }
}

impl<T> Scheduler<T> {
    /// Empty.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            organizations: Map::default(),
            lines: Map::default(),
            round: Round::default(),
            outstanding: 0,
            share: Share::new(&limits),
            timers: BinaryHeap::new(),
            recalls: Vec::new(),
            gained_at: [None; SHARDS as usize],
            looked_at: None,
            limits,
        }
    }

    /// All claimed deliveries here, waiting or under way.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How many more there may be.
    #[must_use]
    pub fn room(&self) -> usize {
        self.limits.capacity.saturating_sub(self.outstanding)
    }

    /// Connections of which something is remembered.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.lines.len()
    }

    /// Queues a claimed delivery behind those of its class.
    pub fn push(&mut self, key: &Key, item: T, now: Instant) {
        let id = key.connection_id;
        let new = || Line::new(&self.limits, id, self.share.asked(), now);
        let line = self.lines.entry(id).or_insert_with(new);
        line.organization_id = Some(key.organization_id);
        line.gate.limit_rate(key.rate, self.gained_at[shard_of(id) as usize], now);
        line.classes.push(key, item);
        line.brought += 1;
        self.outstanding += 1;
        if self.organizations.len() > IDLE_ORGANIZATIONS_MAX + self.lines.len() {
            self.organizations.retain(|_, known| {
                known.outstanding > 0 || known.in_round || !known.round.is_empty()
            });
        }
        let organization = self.organizations.entry(key.organization_id).or_default();
        organization.outstanding += 1;
        self.arrange(id, now);
    }

    /// The next delivery to send, by turns.
    pub fn next(&mut self, now: Instant) -> Option<T> {
        loop {
            let organization_id = self.round.next()?;
            let Some(organization) = self.organizations.get_mut(&organization_id) else { continue };
            organization.in_round = false;
            let Some(id) = organization.round.next() else { continue };
            let Some(line) = self.lines.get_mut(&id) else {
                self.line_up(organization_id);
                continue;
            };
            line.in_round = false;
            let goes = line.gate.admission(now) == Admission::Go;
            let item = if goes { line.classes.next() } else { None };
            if item.is_some() {
                line.gate.begin(now);
                organization.under_way += 1;
                organization.began += 1;
            }
            self.arrange(id, now);
            if item.is_some() {
                return item;
            }
        }
    }

    /// Whether `next` may give something.
    #[must_use]
    pub fn has_next(&self) -> bool {
        !self.round.is_empty()
    }

    /// Puts back what `next` gave last and nobody took.
    pub fn put_back(&mut self, key: &Key, item: T) {
        let (id, organization_id) = (key.connection_id, key.organization_id);
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.gate.give_back();
        line.classes.give_back(key, item);
        let organization = self.organizations.entry(organization_id).or_default();
        organization.under_way = organization.under_way.saturating_sub(1);
        organization.began = organization.began.saturating_sub(1);
        organization.round.give_back(id, line.in_round);
        self.round.give_back(organization_id, organization.in_round);
        (line.in_round, organization.in_round) = (true, true);
    }

    /// A request to this connection has ended.
    pub fn finished(&mut self, id: ConnectionId, outcome: Outcome, now: Instant) -> Finished {
        let Some(line) = self.lines.get_mut(&id) else { return Finished::default() };
        if line.gate.under_way() == 0 {
            // It began before its shard went to somebody else and came back.
            return Finished::default();
        }
        let changes = line.gate.ended(outcome, &self.limits, now);
        self.outstanding = self.outstanding.saturating_sub(1);
        let organization_id = line.organization_id;
        if let Some(organization) = organization_id.and_then(|id| self.organizations.get_mut(&id)) {
            organization.under_way = organization.under_way.saturating_sub(1);
            organization.outstanding = organization.outstanding.saturating_sub(1);
        }
        let refill = line.is_backlogged && {
            let window = self.share.of(line, now);
            let outstanding = line.outstanding();
            window > outstanding && outstanding <= window / 2
        };
        if line.is_idle() && line.gate.is_forgettable(now) {
            self.lines.remove(&id);
            // It was at its cap, perhaps, and others of it wait.
            organization_id.into_iter().for_each(|id| self.line_up(id));
        } else {
            self.arrange(id, now);
        }
        Finished { refill, organization_id, changes }
    }

    /// Takes over what a former owner knew.
    pub fn restore(&mut self, id: ConnectionId, trouble: &Trouble, now: Instant) {
        let new = || Line::new(&self.limits, id, self.share.asked(), now);
        self.lines.entry(id).or_insert_with(new).gate.restore(trouble, now);
        self.arrange(id, now);
    }

    /// Connections that may not be called now, whatever waits for them: nothing of them is claimed, so
    /// nothing tells when their settings change.
    #[must_use]
    pub fn closed(&self, now: Instant) -> Vec<ConnectionId> {
        let is_closed =
            |line: &Line<T>| matches!(line.gate.admission(now), Admission::NotBefore(_));
        self.lines.iter().filter(|(_, line)| is_closed(line)).map(|(id, _)| *id).collect()
    }

    /// The settings of a connection changed. `is_set_right`: its receiver may be another one.
    pub fn changed(
        &mut self,
        id: ConnectionId,
        rate: Option<RateLimit>,
        is_set_right: bool,
        now: Instant,
    ) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.gate.limit_rate(rate, self.gained_at[shard_of(id) as usize], now);
        if is_set_right {
            line.gate.set_right(now);
        }
        self.arrange(id, now);
    }

    /// Lets a connection stand where it should: in the round, before a timer, among those of which
    /// something is handed back.
    fn arrange(&mut self, id: ConnectionId, now: Instant) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let is_admitted = match line.gate.admission(now) {
            Admission::Go => true,
            Admission::Full => false,
            Admission::NotBefore(at) => {
                if line.wakes_at.is_none_or(|known| at < known) {
                    line.wakes_at = Some(at);
                    self.timers.push(Reverse((at, id)));
                }
                false
            }
        };
        let Some(organization_id) = line.organization_id else { return };
        let Some(organization) = self.organizations.get_mut(&organization_id) else { return };
        let waiting = line.classes.len();
        if is_admitted && waiting > 0 && !line.in_round {
            organization.round.join(id);
            line.in_round = true;
        }
        if !line.is_recalled && (line.gate.keeps(now) < waiting || organization.surplus() > 0) {
            line.is_recalled = true;
            self.recalls.push(id);
        }
        self.line_up(organization_id);
    }

    /// Lets an organization stand in the round, if it may send something. At its cap it lines up again
    /// when one of its requests has ended.
    fn line_up(&mut self, id: OrganizationId) {
        let Some(organization) = self.organizations.get_mut(&id) else { return };
        let may_send = organization.under_way < self.limits.organization_concurrency;
        if may_send && !organization.in_round && !organization.round.is_empty() {
            organization.in_round = true;
            self.round.join(id);
        }
    }
}
