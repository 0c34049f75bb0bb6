//! A modelled outbox under chance: whatever a claim looks at, it takes what a search of everything would
//! have taken. What is committed too late for that, and leases that run out, are found in bounded time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use super::{
    super::{Brought, Cursor, Want},
    AGAIN_MAX, Horizon, Look, SLACK, Search,
};
use crate::{
    clock::Timestamp,
    id_time,
    ids::{ConnectionId, EventId},
    shards::{SHARDS, shard_of},
};

const SEEDS: u64 = 30;
const STEPS: u64 = 600;
/// The most of a connection that is here at a time.
const CAP: usize = 4;
/// The most that a claim takes.
const LIMIT: usize = 12;
const CONNECTIONS: u64 = 12;

#[derive(Clone, Debug)]
struct Row {
    connection_id: ConnectionId,
    event_id: EventId,
    is_in_lane: bool,
    /// All in milliseconds since the beginning.
    due_at: u64,
    is_leased: bool,
    /// Nothing of it is here any more, and that it is over is not recorded yet.
    is_ended: bool,
    /// Whose claim is lost: the lease runs out then.
    leased_until: u64,
}

impl Row {
    fn is_here(&self) -> bool {
        self.is_leased && !self.is_ended && self.leased_until == u64::MAX
    }

    fn place(&self) -> (i16, ConnectionId) {
        let lane = if self.is_in_lane { SHARDS } else { 0 };
        (shard_of(self.connection_id) + lane, self.connection_id)
    }
}

struct Model {
    rng: StdRng,
    began: Instant,
    epoch: Timestamp,
    now: u64,
    rows: Vec<Row>,
    horizon: Horizon,
    cursor: Cursor,
    /// Whether commits come too late and leases run out.
    is_rough: bool,
    /// How much happens during a claim, at most.
    busy: u32,
    short: usize,
}

impl Model {
    fn new(seed: u64, is_rough: bool) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            began: Instant::now(),
            epoch: "2026-02-25T12:00:00Z".parse().expect("a timestamp"),
            now: 100_000,
            rows: Vec::new(),
            horizon: Horizon::default(),
            cursor: Cursor::default(),
            is_rough,
            busy: 3,
            short: 0,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    fn event(&mut self, made_at: u64) -> EventId {
        let ms = TimeDelta::milliseconds(i64::try_from(made_at).expect("it is small"));
        let floor = id_time::floor(self.epoch + ms).as_u128();
        EventId(Uuid::from_u128(floor | u128::from(self.rng.random_range(0..u64::MAX))))
    }

    /// Something happens: a promise, an end, the record of all ends, a retry, a way back.
    fn happen(&mut self) {
        let lag_max = SLACK.as_millis() as u64 - 1;
        match self.rng.random_range(0..10) {
            0..4 => {
                let number = self.rng.random_range(1..=CONNECTIONS);
                let connection_id = ConnectionId(Uuid::from_u128(u128::from(number)));
                let is_late = self.is_rough && self.rng.random_bool(0.1);
                let lag = if is_late { 8_000 } else { self.rng.random_range(0..lag_max) };
                let began_at = self.now - lag;
                let wait = if self.rng.random_bool(0.2) { 3_000 } else { 0 };
                let row = Row {
                    connection_id,
                    event_id: self.event(began_at),
                    is_in_lane: number.is_multiple_of(3),
                    due_at: began_at + wait,
                    is_leased: false,
                    is_ended: false,
                    leased_until: u64::MAX,
                };
                self.rows.push(row);
            }
            4..7 => {
                let Some(index) = self.any_here() else { return };
                self.rows[index].is_ended = true;
            }
            7 => self.rows.retain(|row| !row.is_ended),
            8 => {
                let Some(index) = self.any_here() else { return };
                let lag = self.rng.random_range(0..lag_max);
                let wait = self.rng.random_range(0..6_000);
                self.rows[index].due_at = self.now - lag + wait;
                self.rows[index].is_leased = false;
            }
            _ => {
                let Some(index) = self.any_here() else { return };
                self.rows[index].is_leased = false;
                let id = self.rows[index].connection_id;
                self.horizon.handed_back(&[id], self.at(self.now));
            }
        }
    }

    fn any_here(&mut self) -> Option<usize> {
        let here: Vec<usize> = (0..self.rows.len()).filter(|i| self.rows[*i].is_here()).collect();
        (!here.is_empty()).then(|| here[self.rng.random_range(0..here.len())])
    }

    fn expire(&mut self) {
        for row in &mut self.rows {
            if row.leased_until <= self.now {
                (row.is_leased, row.leased_until) = (false, u64::MAX);
            }
        }
    }

    fn wants(&mut self) -> Vec<Want> {
        let mut here: BTreeMap<ConnectionId, usize> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.is_here()) {
            *here.entry(row.connection_id).or_default() += 1;
        }
        if self.rng.random_bool(0.2) {
            let held = self.rng.random_range(1..=CONNECTIONS);
            here.insert(ConnectionId(Uuid::from_u128(u128::from(held))), CAP);
        }
        let want = |(id, count): (ConnectionId, usize)| Want {
            connection_id: id,
            room: i32::try_from(CAP.saturating_sub(count)).unwrap_or(0),
        };
        here.into_iter().map(want).collect()
    }

    /// What the statement takes: see claim.rs.
    fn take(&self, look: &Look, wants: &[Want]) -> Vec<(usize, u64)> {
        let due = |index: &usize| self.rows[*index].due_at <= self.now;
        let mut found: BTreeMap<(i16, ConnectionId), u64> = BTreeMap::new();
        let mut find = |row: &Row| {
            let first = found.entry(row.place()).or_insert(row.due_at);
            *first = row.due_at.min(*first);
        };
        let back = |span: Option<Duration>| {
            span.map_or(0, |span| self.now.saturating_sub(span.as_millis() as u64))
        };
        match look {
            Look::Everything => self.rows.iter().for_each(find),
            Look::Since { within, left } => {
                let from = back(Some(*within));
                let is_near =
                    |row: &&Row| !row.is_leased && (from..=self.now).contains(&row.due_at);
                self.rows.iter().filter(is_near).for_each(&mut find);
                for one in left {
                    let of_it =
                        self.rows.iter().filter(|row| row.connection_id == one.connection_id);
                    let plain =
                        of_it.clone().filter(|r| !r.is_in_lane && r.due_at >= back(one.within));
                    plain.min_by_key(|row| row.due_at).into_iter().for_each(&mut find);
                    let lane = of_it.filter(|r| r.is_in_lane && Some(r.event_id) >= one.from_event);
                    lane.min_by_key(|row| row.event_id).into_iter().for_each(&mut find);
                }
            }
        }
        let mut taken = Vec::new();
        for ((shard, id), first) in found {
            if Cursor::behind(shard, id.0) <= self.cursor || first > self.now {
                continue;
            }
            let room = wants.iter().find(|want| want.connection_id == id);
            let room = room.map_or(CAP, |want| usize::try_from(want.room).unwrap_or(0));
            let of_it = (0..self.rows.len()).filter(|i| self.rows[*i].place() == (shard, id));
            if shard < SHARDS {
                let mut free: Vec<usize> = of_it
                    .filter(|i| !self.rows[*i].is_leased && self.rows[*i].due_at >= first)
                    .filter(due)
                    .collect();
                free.sort_by_key(|i| (self.rows[*i].due_at, self.rows[*i].event_id));
                taken.extend(free.into_iter().take(room).map(|index| (index, first)));
            } else if room > 0 {
                let from = match look {
                    Look::Since { left, .. } => left
                        .iter()
                        .find(|one| one.connection_id == id)
                        .and_then(|one| one.from_event),
                    Look::Everything => None,
                };
                let lane: Vec<usize> =
                    of_it.filter(|i| Some(self.rows[*i].event_id) >= from).collect();
                let is_busy = lane.iter().any(|i| self.rows[*i].is_leased);
                let head = lane.into_iter().min_by_key(|i| self.rows[*i].event_id);
                let head = head.filter(due).filter(|_| !is_busy);
                taken.extend(head.map(|index| (index, first)));
            }
        }
        taken.truncate(LIMIT);
        taken
    }

    /// One claim, while other things happen.
    fn claim(&mut self) {
        let wants = self.wants();
        let look = self.horizon.look(&self.cursor, &wants, self.at(self.now));
        let taken = self.take(&look, &wants);
        self.short += usize::from(look != Look::Everything);
        if !self.is_rough {
            let ids = |taken: &[(usize, u64)]| -> Vec<EventId> {
                taken.iter().map(|(index, _)| self.rows[*index].event_id).collect()
            };
            let all = self.take(&Look::Everything, &wants);
            let missed: Vec<&Row> = all
                .iter()
                .filter(|one| !taken.contains(one))
                .map(|(i, _)| &self.rows[*i])
                .collect();
            assert_eq!(ids(&taken), ids(&all), "at {}: {missed:?} by {look:?}", self.now);
        }
        let brought: Vec<Brought> = taken
            .iter()
            .map(|(index, first)| {
                let row = &self.rows[*index];
                Brought {
                    connection_id: row.connection_id,
                    in_lane: row.is_in_lane.then_some(row.event_id),
                    oldest: Duration::from_millis(self.now - first),
                }
            })
            .collect();
        let last = taken.iter().map(|(index, _)| self.rows[*index].place()).max();
        for (index, _) in &taken {
            self.rows[*index].is_leased = true;
            if self.is_rough && self.rng.random_bool(0.05) {
                self.rows[*index].leased_until = self.now + 3_000;
            }
        }
        let (asked_at, is_full) = (self.at(self.now), taken.len() == LIMIT);
        let is_from_start = self.cursor.is_start();
        self.cursor = last
            .filter(|_| is_full)
            .map_or_else(Cursor::default, |(shard, id)| Cursor::behind(shard, id.0));
        for _ in 1..self.rng.random_range(1..=self.busy) {
            self.now += self.rng.random_range(0..3);
            self.happen();
        }
        let is_of_everything = look == Look::Everything;
        self.horizon.note(&Search {
            is_of_everything,
            is_from_start,
            is_full,
            asked_at,
            took: Duration::from_millis(if is_of_everything { 150 } else { 1 }),
            wants: &wants,
            default_room: CAP,
            brought: &brought,
        });
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            self.now += self.rng.random_range(1..40);
            self.expire();
            for _ in 0..self.rng.random_range(0..4) {
                self.happen();
            }
            self.claim();
        }
    }

    /// Nothing more is promised, and all that is taken ends.
    fn drain(&mut self) -> u64 {
        let from = self.now;
        self.busy = 1;
        while !self.rows.is_empty() && self.now < from + 200_000 {
            self.now += 100;
            self.expire();
            self.rows.retain(|row| !row.is_leased || row.leased_until != u64::MAX);
            self.claim();
        }
        self.now - from
    }
}

#[test]
fn f14_a_claim_that_looks_back_a_little_takes_what_a_search_of_everything_would() {
    let mut short = 0;
    for seed in 0..SEEDS {
        let mut model = Model::new(seed, false);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.run()));
        assert!(done.is_ok(), "seed {seed}");
        short += model.short;
    }
    let all = (SEEDS * STEPS) as usize;
    assert!(short > all / 2, "{short} of {all} claims looked back a little");
}

#[test]
fn f14_what_looking_back_a_little_cannot_see_is_found_by_the_next_search_of_everything() {
    for seed in 0..SEEDS {
        let mut model = Model::new(seed, true);
        model.run();
        let took = model.drain();
        assert!(model.rows.is_empty(), "seed {seed}: {:?}", model.rows);
        // A wait of a retry, an expired lease, and each time a search of everything.
        assert!(took < 8 * AGAIN_MAX.as_millis() as u64, "seed {seed}: {took} ms");
    }
}
