//! Whose turn it is to call a provider: everybody who shares a budget gets a moment of their own.
//!
//! Whoever must wait is given a turn instead of being told to ask again: a backlog is then put in
//! order once, and each delivery comes back when it may really go. One process knows only of itself:
//! a budget that connections of others may draw on is paced at a share of it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::{
    connection::Connection,
    ids::{ConnectionId, DeliveryId},
    provider::{Connect, Destination, Pace, Provider, SharedBy},
};

/// How far ahead turns are kept.
const HORIZON: Duration = Duration::from_secs(30);
/// How late a delivery without a turn asks again at most.
const BEYOND_MAX: Duration = Duration::from_secs(10 * 60);
/// A wait that is not worth giving a delivery back for.
pub const INLINE_MAX: Duration = Duration::from_millis(250);
/// How late a delivery may come to its turn; later it takes another one, so that after an outage
/// not all come at once.
const GRACE: Duration = Duration::from_secs(5);
/// The longest hold, whatever a provider asks for.
pub const HOLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Entries remembered before those of the past are forgotten.
const SWEPT_AT: usize = 10_000;

/// Whose calls count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    provider: &'static str,
    shared_by: SharedBy,
    id: String,
}

/// Who wants to call, with every budget that it draws on.
#[derive(Clone, Debug)]
pub struct Payer {
    connection_id: ConnectionId,
    pace: Pace,
    budgets: [Budget; 3],
    /// Whether other connections may draw on the paced budget, perhaps from another process.
    is_shared: bool,
}

impl Payer {
    /// A connection on its way to where it sends.
    #[must_use]
    pub fn new(
        provider: &Provider,
        connection: &Connection,
        destination: Option<&Destination>,
    ) -> Self {
        let budget = |shared_by, id| Budget { provider: provider.id, shared_by, id };
        // A server of a customer's own counts by its users: who else names its address is no matter.
        let (installation, is_its_own) = match provider.connect {
            Connect::AccessToken(_) | Connect::Webhook => (connection.id.to_string(), true),
            Connect::OAuth2(_) | Connect::GitHubApp(_) => {
                (connection.installation_id.clone(), false)
            }
        };
        let place = destination.map_or("", |destination| destination.id.as_str());
        Self {
            connection_id: connection.id,
            pace: provider.pace,
            budgets: [
                budget(SharedBy::Destination, format!("{}|{place}", connection.id)),
                budget(SharedBy::Installation, installation),
                budget(SharedBy::Provider, String::new()),
            ],
            is_shared: match provider.pace.shared_by {
                SharedBy::Destination => false,
                SharedBy::Installation => !is_its_own,
                SharedBy::Provider => true,
            },
        }
    }

    fn budget(&self, shared_by: SharedBy) -> &Budget {
        let known = self.budgets.iter().find(|budget| budget.shared_by == shared_by);
        known.expect("there is one of each kind")
    }
}

/// What [`Paces::turn`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Go, after so short a wait.
    Go(Duration),
    /// Come back after this wait: nobody else will have the turn then.
    Later {
        /// How long.
        wait: Duration,
        /// Whether the provider asked for it.
        is_held: bool,
    },
}

/// The turns of one process. Time comes in.
#[derive(Debug, Default)]
pub struct Paces(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    meters: HashMap<Budget, Meter>,
    given: HashMap<DeliveryId, Instant>,
    /// Connections whose calls are held, and until when.
    held: HashMap<ConnectionId, Instant>,
    /// When the next delivery that is too late for a turn asks again, by connection.
    beyond: HashMap<ConnectionId, Instant>,
    /// How many processes draw on shared budgets; not known yet at 0.
    workers: u32,
    swept: usize,
}

#[derive(Debug)]
struct Meter {
    /// When a call would come without any burst.
    next: Instant,
    held_until: Option<Instant>,
    /// How many calls a delivery has been making lately.
    calls: f64,
}

impl Paces {
    /// How many processes call: a budget that connections of all of them may draw on is paced at an
    /// equal part in each. What is one connection's own is whole, since one process has it.
    pub fn share_among(&self, workers: usize) {
        self.state().workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
    }

    /// Takes a turn for a delivery, or the one that it was given before.
    pub fn turn(&self, payer: &Payer, id: DeliveryId, now: Instant) -> Turn {
        let mut state = self.state();
        state.sweep(now);
        let held_until = state.held_until(payer, now);
        if let Some(at) = state.given.remove(&id) {
            let in_time = now <= at + GRACE && held_until.is_none();
            if in_time && at <= now + INLINE_MAX {
                return Turn::Go(at.saturating_duration_since(now));
            }
            if in_time {
                state.given.insert(id, at);
                return Turn::Later { wait: at - now, is_held: false };
            }
        }
        if let Some(until) = held_until {
            state.held.insert(payer.connection_id, until);
        }
        let parts = if payer.is_shared { state.workers.max(1) } else { 1 };
        let base = (payer.pace.per / payer.pace.count.max(1)).saturating_mul(parts);
        let burst = base.saturating_mul((payer.pace.burst / parts).max(1) - 1);
        let meter = state.meter(payer.budget(payer.pace.shared_by), now);
        // After a hold there is no burst: whoever waited comes one by one.
        let start = held_until.unwrap_or(now);
        let floor = if held_until.is_some() { start + burst } else { start };
        let next = meter.next.max(floor);
        let at = next.checked_sub(burst).unwrap_or(now).max(start);
        if at > start + HORIZON {
            // Nothing is kept for so late: one backlog would take everybody's turns, and keep them
            // when it is gone. Its deliveries ask again, one after the other, beside all others.
            let step = base.mul_f64(meter.calls);
            let earliest = start + HORIZON;
            let back = state.beyond.entry(payer.connection_id).or_insert(earliest);
            let at = (*back).clamp(earliest, start + BEYOND_MAX);
            *back = at + step;
            return Turn::Later { wait: at - now, is_held: held_until.is_some() };
        }
        meter.next = next + base.mul_f64(meter.calls);
        let wait = at.saturating_duration_since(now);
        if wait <= INLINE_MAX {
            return Turn::Go(wait);
        }
        state.given.insert(id, at);
        Turn::Later { wait, is_held: held_until.is_some() }
    }

    /// Gives a turn back that was not used, to be had again after `wait`.
    pub fn give_back(&self, id: DeliveryId, now: Instant, wait: Duration) {
        self.state().given.insert(id, now + wait);
    }

    /// How long the provider still wants to be left alone.
    pub fn held_for(&self, payer: &Payer, now: Instant) -> Option<Duration> {
        self.state().held_until(payer, now).map(|until| until - now)
    }

    /// The provider asked for peace from all who share a budget. A later end goes first.
    pub fn hold(&self, payer: &Payer, shared_by: SharedBy, wait: Duration, now: Instant) {
        let until = now + wait.min(HOLD_MAX);
        let mut state = self.state();
        let meter = state.meter(payer.budget(shared_by), now);
        meter.held_until = meter.held_until.max(Some(until));
        let held = state.held.entry(payer.connection_id).or_insert(until);
        *held = until.max(*held);
    }

    /// Notes how many calls a delivery made: its kind of turn costs as much.
    pub fn spent(&self, payer: &Payer, calls: usize, now: Instant) {
        let mut state = self.state();
        let meter = state.meter(payer.budget(payer.pace.shared_by), now);
        let calls = u32::try_from(calls).map_or(1.0, f64::from).max(1.0);
        meter.calls += (calls - meter.calls) / 8.0;
    }

    /// Connections for which nothing should be claimed now.
    pub fn held(&self, now: Instant) -> Vec<ConnectionId> {
        let mut state = self.state();
        state.held.retain(|_, until| *until > now);
        state.held.keys().copied().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl State {
    fn meter(&mut self, budget: &Budget, now: Instant) -> &mut Meter {
        if !self.meters.contains_key(budget) {
            let meter = Meter { next: now, held_until: None, calls: 1.0 };
            self.meters.insert(budget.clone(), meter);
        }
        self.meters.get_mut(budget).expect("it was just put there")
    }

    fn held_until(&self, payer: &Payer, now: Instant) -> Option<Instant> {
        let of = |budget| self.meters.get(budget)?.held_until;
        payer.budgets.iter().filter_map(of).max().filter(|until| *until > now)
    }

    /// Forgets what lies in the past, once there is twice as much as there was after the last time.
    fn sweep(&mut self, now: Instant) {
        let entries = self.meters.len() + self.given.len() + self.beyond.len();
        if entries < SWEPT_AT.max(self.swept * 2) {
            return;
        }
        self.given.retain(|_, at| now <= *at + GRACE);
        self.beyond.retain(|_, at| *at > now);
        self.meters.retain(|_, m| m.next > now || m.held_until.is_some_and(|until| until > now));
        self.swept = self.meters.len() + self.given.len() + self.beyond.len();
    }
}

#[cfg(test)]
mod tests;
