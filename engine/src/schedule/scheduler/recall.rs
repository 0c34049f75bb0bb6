//! What should not wait here goes back to the outbox: whatever may not be sent for a while, and what
//! is too much of an organization whose receivers hang.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use super::{Organization, Scheduler};
use crate::{
    ids::OrganizationId,
    schedule::{Limits, shard_of},
};

/// How often it is looked whether there is room for everybody.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long an organization keeps to less room after it last took up too much.
const KEEPS_TO_LESS: Duration = Duration::from_secs(10);

impl Organization {
    fn waiting(&self) -> usize {
        self.outstanding.saturating_sub(self.under_way)
    }

    /// How many of those that wait are too many.
    pub(super) fn surplus(&self) -> usize {
        self.allowance.map_or(0, |(most, _)| self.waiting().saturating_sub(most))
    }

    /// How many more may be claimed: nothing, where there is an allowance, until half of it is gone.
    pub(super) fn room(&self) -> usize {
        let Some((most, _)) = self.allowance else { return usize::MAX };
        let room = most.saturating_sub(self.waiting());
        if room * 2 >= most { room } else { 0 }
    }

    /// Sees how fast its deliveries begin. Where more wait here than begin in a second, room is taken
    /// up that others could use.
    fn look(&mut self, limits: &Limits, since: Duration, now: Instant) {
        let began = std::mem::take(&mut self.began);
        let in_a_second = (began as f64 / since.as_secs_f64()) as usize;
        let most = in_a_second.max(limits.kept_when_stuck());
        let known = self.allowance.map(|(_, seen_at)| seen_at);
        let seen_at = if self.waiting() > most { Some(now) } else { known };
        self.allowance =
            seen_at.filter(|at| now < *at + KEEPS_TO_LESS).map(|seen_at| (most, seen_at));
    }
}

impl<T> Scheduler<T> {
    /// When to call [`wake`](Self::wake) at the latest.
    #[must_use]
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let look = self.is_crowded().then(|| self.looked_at.map_or(now, |at| at + LOOK_EVERY));
        timer.into_iter().chain(look).min()
    }

    /// Lets connections go on whose time has come. Says whether to claim for them.
    pub fn wake(&mut self, now: Instant) -> bool {
        let mut claim = false;
        while let Some(Reverse((at, id))) =
            self.timers.peek().copied().filter(|Reverse((at, _))| *at <= now)
        {
            self.timers.pop();
            let Some(line) = self.lines.get_mut(&id).filter(|line| line.wakes_at == Some(at))
            else {
                continue;
            };
            line.wakes_at = None;
            let is_empty = line.classes.len() == 0 && line.gate.window(now) > line.gate.under_way();
            claim |= is_empty && (line.is_backlogged || !line.gate.is_forgettable(now));
            self.arrange(id, now);
        }
        if self.is_crowded() && self.looked_at.is_none_or(|at| now >= at + LOOK_EVERY) {
            self.look(now);
        } else if !self.is_crowded() && self.looked_at.is_some_and(|at| now >= at + KEEPS_TO_LESS) {
            // There is plenty of room again, for everybody.
            self.looked_at = None;
            self.organizations.values_mut().for_each(|known| known.allowance = None);
        }
        claim
    }

    /// Takes out what should be handed back: it is due at once, and no attempt is counted.
    pub fn recall(&mut self, now: Instant) -> Vec<T> {
        let mut recalled = Vec::new();
        for id in std::mem::take(&mut self.recalls) {
            let Some(line) = self.lines.get_mut(&id) else { continue };
            line.is_recalled = false;
            let organization = line.organization_id.and_then(|id| self.organizations.get_mut(&id));
            let Some(organization) = organization else { continue };
            let surplus = line.classes.len().saturating_sub(line.gate.keeps(now));
            let surplus = surplus.max(organization.surplus());
            let taken = std::iter::from_fn(|| line.classes.last()).take(surplus);
            let before = recalled.len();
            recalled.extend(taken);
            let count = recalled.len() - before;
            // There is more of it now, in the outbox.
            line.is_backlogged |= count > 0;
            organization.outstanding = organization.outstanding.saturating_sub(count);
            self.outstanding = self.outstanding.saturating_sub(count);
        }
        recalled
    }

    /// Forgets all connections of some shards, and takes out what waits for them.
    pub fn forget_shards(&mut self, shards: &[i16]) -> Vec<T> {
        let is_lost = |id| shards.contains(&shard_of(id));
        let mut taken = Vec::new();
        let Self { lines, organizations, outstanding, .. } = self;
        lines.retain(|id, line| {
            if !is_lost(*id) {
                return true;
            }
            *outstanding = outstanding.saturating_sub(line.outstanding());
            if let Some(known) = line.organization_id.and_then(|id| organizations.get_mut(&id)) {
                known.outstanding = known.outstanding.saturating_sub(line.outstanding());
                known.under_way = known.under_way.saturating_sub(line.gate.under_way());
            }
            taken.extend(std::iter::from_fn(|| line.classes.last()));
            false
        });
        // Those that are left of an organization have room now, and nobody who is gone before them.
        let mut touched: Vec<OrganizationId> = Vec::new();
        for (id, organization) in &mut self.organizations {
            organization.round.keep(|connection| !is_lost(*connection));
            touched.push(*id);
        }
        touched.into_iter().for_each(|id| self.line_up(id));
        taken
    }

    /// Some shards are this process's from now on: limits of their connections begin empty, since the
    /// former owner may just have used them up.
    pub fn gained_shards(&mut self, shards: &[i16], now: Instant) {
        for shard in shards {
            if let Some(at) = usize::try_from(*shard).ok().and_then(|s| self.gained_at.get_mut(s)) {
                *at = Some(now);
            }
        }
    }

    /// Whether it is time to see who takes up the room.
    fn is_crowded(&self) -> bool {
        self.outstanding * 2 > self.limits.capacity
    }

    /// Has organizations give back what takes up room and does not move.
    fn look(&mut self, now: Instant) {
        let since = self.looked_at.replace(now).map(|at| now - at);
        let Some(since) = since.filter(|since| *since < LOOK_EVERY * 4) else {
            // There was plenty of room meanwhile: it is counted from now.
            self.organizations.values_mut().for_each(|known| known.began = 0);
            return;
        };
        let is_scarce = self.outstanding * 4 > self.limits.capacity * 3;
        let mut has_surplus = false;
        for organization in self.organizations.values_mut() {
            if is_scarce || organization.allowance.is_some() {
                organization.look(&self.limits, since, now);
                has_surplus |= organization.surplus() > 0;
            } else {
                organization.began = 0;
            }
        }
        if !has_surplus {
            return;
        }
        for (id, line) in &mut self.lines {
            let organization = line.organization_id.and_then(|id| self.organizations.get(&id));
            let is_too_much = organization.is_some_and(|known| known.surplus() > 0);
            if is_too_much && !line.is_recalled && line.classes.len() > 0 {
                line.is_recalled = true;
                self.recalls.push(*id);
            }
        }
    }
}
