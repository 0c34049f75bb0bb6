//! Runs a world from event to event, with a pump like the real one.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use super::{
    dice::Dice,
    outbox::{FRESH, Outbox, State},
    scenario::{Kind, Scenario},
    watch::Watch,
};
use crate::{
    ids::ConnectionId,
    outbox::{Class, Want},
    retry::RetrySchedule,
    schedule::{Change, Key, Outcome, Scheduler, shard_of},
};

const CLAIM_MAX: usize = 500;
const BETWEEN: Duration = Duration::from_millis(3);
const BUSY: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_millis(500);
/// No world needs so many steps, unless it turns on the spot.
const STEPS_MAX: usize = 1_000_000;

enum Event {
    Recorded(usize, Class),
    Claimed(Vec<Want>, usize, usize),
    Ended(usize, Outcome),
    TakeOver,
}

struct Due(Duration, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

pub(super) struct Simulation {
    kind: Kind,
    is_traced: bool,
    dice: Dice,
    scenario: Scenario,
    ids: Vec<ConnectionId>,
    retry: RetrySchedule,
    outbox: Outbox,
    scheduler: Scheduler<usize>,
    watch: Watch,
    start: Instant,
    now: Duration,
    events: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    /// New deliveries that wait in the scheduler, by connection.
    new_here: Vec<usize>,
    /// Whether a delivery was new when it was claimed.
    was_new: Vec<bool>,
    is_claiming: bool,
    /// Another process takes over once nothing is under way.
    is_leaving: bool,
    claim_at: Duration,
    claimed_at: Duration,
    more: bool,
    cursor: usize,
    dead: usize,
}

impl Simulation {
    pub(super) fn new(kind: Kind, seed: u64, is_traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let scenario = Scenario::draw(kind, &mut dice);
        let mut outbox = Outbox::default();
        for connection in &scenario.connections {
            outbox.add_connection(connection.in_lane);
        }
        let seconds = [5, 30, 120, 600, 1_800, 3_600, 3_600].map(Duration::from_secs);
        let count = scenario.connections.len();
        let mut simulation = Self {
            kind,
            is_traced,
            ids: scenario.connections.iter().map(|connection| connection.id).collect(),
            retry: RetrySchedule::new(seconds.to_vec()),
            outbox,
            scheduler: Scheduler::new(scenario.limits),
            watch: Watch::new(&scenario),
            start: Instant::now(),
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            sequence: 0,
            new_here: vec![0; count],
            was_new: Vec::new(),
            is_claiming: false,
            is_leaving: false,
            claim_at: Duration::ZERO,
            claimed_at: Duration::ZERO,
            more: false,
            cursor: 0,
            dead: 0,
            dice,
            scenario,
        };
        for (at, n, class) in std::mem::take(&mut simulation.scenario.arrivals) {
            simulation.plan(at, Event::Recorded(n, class));
        }
        for at in std::mem::take(&mut simulation.scenario.take_overs) {
            simulation.plan(at, Event::TakeOver);
        }
        simulation
    }

    fn plan(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse(Due(at, self.sequence, event)));
    }

    fn trace(&self, say: impl FnOnce() -> String) {
        if self.is_traced {
            eprintln!("{:>14.6} {}", self.now.as_secs_f64(), say());
        }
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    pub(super) fn run(mut self) {
        let mut steps = 0;
        while !self.outbox.is_empty() || !self.events.is_empty() {
            steps += 1;
            assert!(steps < STEPS_MAX, "it turns on the spot at {:?}", self.now);
            self.now = self.now.max(self.next_moment());
            while self.events.peek().is_some_and(|Reverse(due)| due.0 <= self.now) {
                if let Some(Reverse(Due(_, _, event))) = self.events.pop() {
                    self.happen(event);
                }
            }
            self.pump();
        }
        self.trace(|| format!("over after {steps} steps, {} dead", self.dead));
        assert_eq!(self.scheduler.outstanding(), 0, "something is left in the scheduler");
        assert!(self.outbox.rows.iter().all(|row| row.state == State::Settled));
        if self.kind == Kind::LongOutage {
            assert_eq!(self.watch.reopened(0), 0, "no second opening");
            assert!(self.dead < 100, "{} died of an hour's outage", self.dead);
        }
    }

    fn next_moment(&self) -> Duration {
        let now = self.instant();
        let event = self.events.peek().map(|Reverse(due)| due.0);
        let timer = self.scheduler.wakes_at(now).filter(|_| !self.is_leaving);
        let timer = timer.map(|at| at.saturating_duration_since(self.start));
        // A look that would find nothing is not simulated.
        let look =
            self.outbox.next_due().filter(|_| self.may_claim()).map(|due| due.max(self.claim_at));
        event
            .into_iter()
            .chain(timer)
            .chain(look)
            .min()
            .expect("something happens until all is settled")
    }

    fn may_claim(&self) -> bool {
        !self.is_claiming && !self.is_leaving && self.scheduler.room() > 0
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Recorded(n, class) => {
                self.outbox.record(n, class, self.now);
                self.was_new.push(false);
                // Heard of at once, or found by a look.
                if self.dice.says(0.7) {
                    self.claim_soon();
                }
            }
            Event::Claimed(wants, default_room, room) => self.claimed(&wants, default_room, room),
            Event::Ended(id, outcome) => self.ended(id, outcome),
            Event::TakeOver => self.is_leaving = true,
        }
    }

    /// As the real one does in each turn.
    fn pump(&mut self) {
        let now = self.instant();
        if self.is_leaving {
            return self.leave(now);
        }
        if self.scheduler.wake(now) {
            self.claim_soon();
        }
        while let Some(id) = self.scheduler.next(now) {
            let is_full = self.watch.under_way() >= self.scenario.places;
            if is_full || self.dice.says(0.01) {
                self.scheduler.put_back(&self.key(id), id);
                if is_full {
                    break;
                }
                continue;
            }
            self.begin(id);
        }
        for id in self.scheduler.recall(now) {
            self.trace(|| {
                format!("delivery {id} of {} goes back", self.outbox.rows[id].connection)
            });
            self.unqueue(id);
            let n = self.outbox.rows[id].connection;
            if self.new_here[n] == 0 {
                self.watch.nothing_new_waits(n);
            }
            self.outbox.release(id);
        }
        let room = self.scheduler.room();
        let plenty = self.scenario.limits.capacity / 4;
        if self.may_claim() && (self.now >= self.claim_at || (self.more && room >= plenty)) {
            (self.more, self.is_claiming, self.claimed_at) = (false, true, self.now);
            let wants = self.scheduler.wants(now);
            let default_room = self.scheduler.default_room();
            let at = self.now + self.dice.millis(1, 6);
            self.plan(at, Event::Claimed(wants, default_room, room.min(CLAIM_MAX)));
        }
    }

    fn claim_soon(&mut self) {
        self.claim_at = self.claim_at.min(self.now.max(self.claimed_at + BETWEEN));
    }

    fn claimed(&mut self, wants: &[Want], default_room: usize, limit: usize) {
        self.is_claiming = false;
        let asked = (wants, default_room, limit);
        let (taken, cursor) = self.outbox.claim(&self.ids, asked, self.cursor, self.now);
        let is_full = taken.len() >= limit;
        self.cursor = cursor.filter(|_| is_full).unwrap_or(0);
        self.trace(|| format!("claimed {} of {limit}, {} asked for", taken.len(), wants.len()));
        let now = self.instant();
        let mut brought = Vec::new();
        for id in taken {
            let row = &self.outbox.rows[id];
            self.was_new[id] = row.class == Class::Live && self.now - row.due <= FRESH;
            if self.is_leaving {
                self.outbox.release(id);
                continue;
            }
            self.new_here[row.connection] += usize::from(self.was_new[id]);
            brought.push(self.ids[row.connection]);
            self.scheduler.push(&self.key(id), id, now);
        }
        self.scheduler.claimed(wants, &brought, is_full);
        self.more = is_full;
        self.claim_at = self.now
            + match (is_full, brought.is_empty()) {
                (true, _) => Duration::ZERO,
                (false, false) => BUSY,
                (false, true) => IDLE.mul_f64(self.dice.share()),
            };
    }

    fn key(&self, id: usize) -> Key {
        let row = &self.outbox.rows[id];
        let connection = &self.scenario.connections[row.connection];
        Key {
            organization_id: connection.organization_id,
            connection_id: connection.id,
            class: row.class,
            is_backlog: row.class == Class::Live && !self.was_new[id],
            rate: connection.rate,
        }
    }

    fn unqueue(&mut self, id: usize) {
        self.new_here[self.outbox.rows[id].connection] -= usize::from(self.was_new[id]);
    }

    fn begin(&mut self, id: usize) {
        let new_waits = self.new_here[self.outbox.rows[id].connection] > 0;
        self.unqueue(id);
        let row = &self.outbox.rows[id];
        let (n, due, is_new) = (row.connection, row.due, self.was_new[id]);
        self.trace(|| format!("delivery {id} of {n} begins, due since {due:?}"));
        let about = (due, is_new, new_waits);
        self.watch.begins(&self.scenario, (n, id), about, self.now);
        let receiver = &mut self.scenario.connections[n].receiver;
        let (took, outcome) = receiver.answer(self.now, &mut self.dice);
        self.plan(self.now + took, Event::Ended(id, outcome));
    }

    fn ended(&mut self, id: usize, outcome: Outcome) {
        let row = &mut self.outbox.rows[id];
        let (n, step) = (row.connection, row.step);
        let draw = self.dice.share();
        let (due, next_step) = match outcome {
            Outcome::Succeeded => (None, step),
            Outcome::Failed => (self.retry.delay(step, None, draw), step + 1),
            Outcome::Throttled(wait) => (self.retry.delay(step, Some(wait), draw), step + 1),
            Outcome::Nothing => (Some(Duration::from_secs(1)), step),
        };
        if row.class == Class::Live && next_step > step {
            row.class = Class::Retry;
        }
        row.step = next_step;
        if due.is_none() && outcome != Outcome::Succeeded {
            let is_healthy = self.scenario.connections[n].receiver.is_healthy();
            assert!(!is_healthy, "delivery {id} of a healthy receiver is dead");
            self.dead += 1;
        }
        self.outbox.settle(id, due.map(|wait| self.now + wait));
        self.trace(|| format!("delivery {id} of {n} ends: {outcome:?}"));
        self.watch.ends(&self.scenario, n, outcome, self.now);
        let finished = self.scheduler.finished(self.ids[n], outcome, self.instant());
        if finished.refill {
            self.claim_at = self.now;
        }
        for change in finished.changes {
            self.trace(|| format!("connection {n}: {change:?}"));
            let since_start = |at: Instant| at - self.start;
            match change {
                Change::Failing => self.watch.failing(n, true, true),
                Change::StillFailing => self.watch.failing(n, true, false),
                Change::Recovered => self.watch.failing(n, false, true),
                Change::Held { until, .. } => self.watch.held(n, since_start(until)),
                Change::BreakerOpened { until, openings } => {
                    self.watch.opened(n, since_start(until), openings);
                }
                Change::BreakerClosed => self.watch.closed(n, self.now),
            }
        }
    }

    /// Gives up what is not under way; once nothing is, a new owner begins with what it is told.
    fn leave(&mut self, now: Instant) {
        let mut shards: Vec<i16> = self.ids.iter().map(|id| shard_of(*id)).collect();
        shards.dedup();
        if self.watch.under_way() > 0 || self.is_claiming {
            return;
        }
        for id in self.scheduler.forget_shards(&shards) {
            self.unqueue(id);
            self.outbox.release(id);
        }
        assert_eq!(self.scheduler.outstanding(), 0, "the former owner keeps something");
        self.trace(|| "another process takes over".to_owned());
        self.scheduler = Scheduler::new(self.scenario.limits);
        self.scheduler.gained_shards(&shards, now);
        self.watch.taken_over(self.now);
        for (n, id) in self.ids.iter().enumerate() {
            if let Some(trouble) = self.watch.trouble(n, self.now) {
                self.scheduler.restore(*id, &trouble, now);
            }
        }
        (self.is_leaving, self.claim_at, self.cursor, self.more) = (false, self.now, 0, false);
    }
}
