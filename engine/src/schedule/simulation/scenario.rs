//! Worlds to simulate, drawn by a seed.

use std::time::Duration;

use uuid::Uuid;

use super::{dice::Dice, receiver::Receiver};
use crate::{
    connection::limits::RateLimit,
    ids::{ConnectionId, OrganizationId},
    outbox::Class,
    schedule::Limits,
};

/// What a world is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A few connections of all kinds, and take-overs.
    Mixed,
    /// Some are down for minutes.
    Outage,
    /// Some ask for peace again and again.
    Throttled,
    /// One organization floods.
    Noisy,
    /// Many connections of one organization hang.
    Hanging,
    /// One organization has a thousand connections with a backlog.
    Crowd,
    /// One receiver is down for an hour with ten thousand waiting.
    LongOutage,
}

impl Kind {
    pub(super) fn of(seed: u64) -> Self {
        match seed % 20 {
            0..=6 => Self::Mixed,
            7..=10 => Self::Outage,
            11..=14 => Self::Throttled,
            15..=17 => Self::Noisy,
            18 if seed % 100 == 18 => Self::Hanging,
            19 if seed % 500 == 19 => Self::Crowd,
            _ => Self::Outage,
        }
    }
}

pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) organization_id: OrganizationId,
    pub(super) rate: Option<RateLimit>,
    pub(super) in_lane: bool,
    pub(super) receiver: Receiver,
    /// Whoever must never wait longer than this.
    pub(super) waits_max: Option<Duration>,
}

pub(super) struct Scenario {
    pub(super) places: usize,
    pub(super) limits: Limits,
    pub(super) connections: Vec<Connection>,
    /// What is recorded when, in order.
    pub(super) arrivals: Vec<(Duration, usize, Class)>,
    /// When another process takes everything over.
    pub(super) take_overs: Vec<Duration>,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Scenario {
    pub(super) fn draw(kind: Kind, dice: &mut Dice) -> Self {
        let places = [16, 32, 64][dice.below(3) as usize];
        let concurrency = [2, 8, 16][dice.below(3) as usize];
        let (places, concurrency) = match kind {
            Kind::Crowd => (256, 64),
            Kind::LongOutage | Kind::Hanging => (64, 16),
            _ => (places, concurrency),
        };
        let limits = Limits::new(places, concurrency, seconds(5));
        let mut scenario = Self {
            places,
            limits,
            connections: Vec::new(),
            arrivals: Vec::new(),
            take_overs: Vec::new(),
        };
        match kind {
            Kind::Mixed => scenario.mixed(dice),
            Kind::Outage => scenario.outage(dice),
            Kind::Throttled => scenario.throttled(dice),
            Kind::Noisy => scenario.noisy(dice),
            Kind::Hanging => scenario.hanging(dice),
            Kind::Crowd => scenario.crowd(dice),
            Kind::LongOutage => scenario.long_outage(dice),
        }
        scenario.arrivals.sort_by_key(|(at, ..)| *at);
        scenario
    }

    fn connect(&mut self, organization: u64, receiver: Receiver, dice: &mut Dice) -> usize {
        let id = u128::from(dice.below(u64::MAX)) << 64 | u128::from(dice.below(u64::MAX));
        self.connections.push(Connection {
            id: ConnectionId(Uuid::from_u128(id)),
            organization_id: OrganizationId(Uuid::from_u128(organization.into())),
            rate: None,
            in_lane: false,
            receiver,
            waits_max: None,
        });
        self.connections.len() - 1
    }

    /// Events at random moments of a span.
    fn send(
        &mut self,
        to: usize,
        count: u64,
        span: (Duration, Duration),
        class: Class,
        dice: &mut Dice,
    ) {
        for _ in 0..count {
            let at = span.0 + (span.1 - span.0).mul_f64(dice.share());
            self.arrivals.push((at, to, class));
        }
    }

    /// A connection of an organization of its own that must never wait long.
    fn victim(&mut self, organization: u64, most: Duration, until: Duration, dice: &mut Dice) {
        let victim = self.connect(organization, Receiver::healthy((5, 40)), dice);
        self.connections[victim].waits_max = Some(most);
        self.send(victim, until.as_secs(), (seconds(0), until), Class::Live, dice);
    }

    fn mixed(&mut self, dice: &mut Dice) {
        for _ in 0..dice.between(2, 12) {
            let fast = dice.between(1, 20);
            let mut receiver = Receiver::healthy((fast, fast + dice.between(1, 400)));
            match dice.below(6) {
                0 => receiver.fails = dice.share() * 0.4,
                1 => receiver.hangs = Some((seconds(5), seconds(25))),
                2 => {
                    receiver.takes =
                        Some((dice.between(1, 20) as usize, seconds(dice.between(1, 5))))
                }
                3 => receiver.nothing = dice.share() * 0.3,
                _ => {}
            }
            let organization = dice.between(1, 4);
            let to = self.connect(organization, receiver, dice);
            self.connections[to].in_lane = dice.says(0.2);
            if dice.says(0.25) {
                let (count, seconds) = (dice.between(1, 60) as u32, dice.between(1, 10) as u32);
                self.connections[to].rate = Some(RateLimit { count, seconds });
            }
            let count = dice.between(5, 60);
            self.send(to, count, (seconds(0), seconds(30)), Class::Live, dice);
            if dice.says(0.5) {
                self.send(to, 40, (seconds(10), seconds(10)), Class::Live, dice);
                self.send(to, 20, (seconds(10), seconds(10)), Class::Replay, dice);
            }
        }
        for _ in 0..dice.below(3) {
            self.take_overs.push(dice.millis(1_000, 40_000));
        }
        self.take_overs.sort_unstable();
    }

    fn outage(&mut self, dice: &mut Dice) {
        let until = seconds(dice.between(60, 300));
        for organization in 1..=dice.between(1, 3) {
            let fast = dice.between(5, 50);
            let mut receiver = Receiver::healthy((fast, fast * 3));
            receiver.away = Some((seconds(10), until));
            let to = self.connect(organization, receiver, dice);
            let count = dice.between(50, 300);
            self.send(to, count, (seconds(0), until), Class::Live, dice);
            self.send(to, 60, (until, until + seconds(30)), Class::Live, dice);
        }
        self.victim(9, seconds(2), seconds(60), dice);
        if dice.says(0.5) {
            self.take_overs.push(dice.millis(20_000, 90_000));
        }
    }

    fn throttled(&mut self, dice: &mut Dice) {
        for organization in 1..=dice.between(1, 4) {
            let mut receiver = Receiver::healthy((10, 60));
            receiver.takes = Some((dice.between(1, 30) as usize, seconds(dice.between(1, 8))));
            receiver.fails = if dice.says(0.3) { 0.1 } else { 0.0 };
            let to = self.connect(organization, receiver, dice);
            let count = dice.between(50, 300);
            self.send(to, count, (seconds(0), seconds(20)), Class::Live, dice);
            self.connections[to].in_lane = dice.says(0.2);
        }
        self.victim(9, seconds(2), seconds(60), dice);
    }

    fn noisy(&mut self, dice: &mut Dice) {
        for _ in 0..dice.between(1, 20) {
            let to = self.connect(1, Receiver::healthy((5, 60)), dice);
            self.send(to, 100, (seconds(0), seconds(0)), Class::Live, dice);
            self.send(to, 20, (seconds(0), seconds(10)), Class::Replay, dice);
        }
        // And many with one delivery each, more than the organization may have under way.
        for _ in 0..dice.below(80) {
            let to = self.connect(2, Receiver::healthy((5, 60)), dice);
            self.send(to, 1, (seconds(3), seconds(3)), Class::Live, dice);
        }
        self.victim(9, seconds(1), seconds(20), dice);
        self.victim(8, seconds(1), seconds(20), dice);
    }

    fn hanging(&mut self, dice: &mut Dice) {
        for _ in 0..100 {
            let mut receiver = Receiver::healthy((5, 60));
            receiver.hangs = Some((seconds(0), seconds(120)));
            let to = self.connect(1, receiver, dice);
            self.send(to, 8, (seconds(0), seconds(60)), Class::Live, dice);
        }
        self.victim(9, seconds(2), seconds(120), dice);
        self.victim(8, seconds(2), seconds(120), dice);
    }

    fn crowd(&mut self, dice: &mut Dice) {
        for _ in 0..1_000 {
            let to = self.connect(1, Receiver::healthy((20, 60)), dice);
            self.send(to, 15, (seconds(0), seconds(0)), Class::Live, dice);
        }
        self.victim(9, Duration::from_millis(1_700), seconds(10), dice);
    }

    fn long_outage(&mut self, dice: &mut Dice) {
        let mut receiver = Receiver::healthy((20, 60));
        receiver.away = Some((seconds(5), seconds(3_605)));
        let to = self.connect(1, receiver, dice);
        self.send(to, 10_000, (seconds(5), seconds(3_605)), Class::Live, dice);
        self.send(to, 200, (seconds(3_605), seconds(3_805)), Class::Live, dice);
        self.victim(9, seconds(2), seconds(60), dice);
    }
}
