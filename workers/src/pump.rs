//! Claims deliveries as there is room for them, and offers them to the pool in the order that the
//! scheduler says.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    Engine,
    delivery::attempt::Prepared,
    ids::ConnectionId,
    metrics,
    outbox::{Cursor, Horizon},
    schedule::{Change, Key, Limits, Outcome, Scheduler, Trouble},
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    claiming::{Asked, Claimed, claim},
    closed,
    handed::Handed,
    health::{self, Known, News},
    leases::{self, Leases},
    shards::Shards,
};

/// The least time between two claims: each costs about the same for few deliveries as for many.
const BETWEEN: Duration = Duration::from_millis(3);
/// The wait after a claim that found something: more may have come meanwhile.
const BUSY: Duration = Duration::from_millis(5);
/// The first wait after a claim found nothing.
const IDLE_MIN: Duration = Duration::from_millis(20);
/// The longest: work that another process made due is found within this.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// How often it is asked what changed of connections that may not be called.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pool's side of the pump.
#[derive(Debug)]
pub(crate) struct Work {
    /// What to start next.
    pub(crate) deliveries: mpsc::Receiver<Prepared>,
    /// Whose turn is over, and what it says of the receiver.
    pub(crate) finished: mpsc::UnboundedSender<(ConnectionId, Outcome)>,
}

/// Starts the pump. It ends when `stop` is cancelled, handing back what it had not handed over.
pub(crate) fn start(
    engine: Engine,
    leases: Arc<Leases>,
    shards: Arc<Shards>,
    news: mpsc::UnboundedSender<News>,
    stop: CancellationToken,
) -> (JoinHandle<()>, Work) {
    let config = &engine.config;
    let limits =
        Limits::new(config.worker_concurrency, config.connection_concurrency, config.breaker_open);
    // As many as there are places, so that whoever has a place is handed over at once.
    let (handover, deliveries) = mpsc::channel(config.worker_concurrency.max(1));
    let (finished, turns) = mpsc::unbounded_channel();
    let pump = Pump {
        scheduler: Scheduler::new(limits),
        plenty: limits.capacity / 4,
        handed: Handed::new(&engine, &leases, &shards),
        engine,
        leases,
        shards,
        handover,
        news,
        owned: HashSet::new(),
        known: HashSet::new(),
        reading: JoinSet::new(),
        looking: JoinSet::new(),
        look_at: Instant::now(),
        releasing: JoinSet::new(),
        cursor: Cursor::default(),
        horizon: Horizon::default(),
        claim_at: Instant::now(),
        claimed_at: Instant::now(),
        idle: IDLE_MIN,
        more: false,
        is_behind: true,
    };
    (tokio::spawn(pump.run(turns, stop)), Work { deliveries, finished })
}

struct Pump {
    engine: Engine,
    leases: Arc<Leases>,
    shards: Arc<Shards>,
    scheduler: Scheduler<Prepared>,
    handed: Handed,
    handover: mpsc::Sender<Prepared>,
    news: mpsc::UnboundedSender<News>,
    /// Shards that are this process's, as far as was heard.
    owned: HashSet<i16>,
    /// Those of them whose connections' state was read: nothing is claimed from others.
    known: HashSet<i16>,
    reading: JoinSet<Known>,
    looking: JoinSet<Vec<closed::News>>,
    /// When it is asked next what changed of connections that may not be called.
    look_at: Instant,
    /// Whose deliveries are being handed back.
    releasing: JoinSet<Vec<ConnectionId>>,
    cursor: Cursor,
    horizon: Horizon,
    claim_at: Instant,
    /// When the last claim began.
    claimed_at: Instant,
    idle: Duration,
    /// Whether the last claim left due deliveries behind for want of room.
    more: bool,
    /// The same, for as long as no claim has found an end; true before the first.
    is_behind: bool,
    /// Room that makes it worthwhile to claim those.
    plenty: usize,
}

fn key_of(prepared: &Prepared) -> Key {
    let claimed = &prepared.claimed;
    Key {
        organization_id: claimed.organization_id,
        connection_id: claimed.connection_id,
        class: claimed.class,
        is_backlog: claimed.is_backlog(),
        rate: prepared.receiver.connection.rate_limit,
    }
}

impl Pump {
    async fn run(
        mut self,
        mut turns: mpsc::UnboundedReceiver<(ConnectionId, Outcome)>,
        stop: CancellationToken,
    ) {
        // A statement is never dropped half-way: claims run as tasks of their own.
        let mut claiming: JoinSet<Option<Claimed>> = JoinSet::new();
        loop {
            let now = Instant::now();
            // What can go is gone before it is looked who takes up room.
            self.hand_over(now);
            if self.scheduler.wake(now) {
                self.claim_soon(now);
            }
            self.hand_over(now);
            self.hand_back(now);
            self.look_at_closed(now);
            self.handed.offer(&self.scheduler, &self.known, self.is_behind, now);
            let room = self.scheduler.room();
            let may_claim = claiming.is_empty() && room > 0 && !self.known.is_empty();
            if may_claim && (now >= self.claim_at || (self.more && room >= self.plenty)) {
                self.more = false;
                self.claimed_at = now;
                let (engine, leases) = (self.engine.clone(), self.leases.clone());
                claiming.spawn(claim(engine, leases, self.shards.clone(), self.ask(room, now)));
                continue;
            }
            let (work_waiting, handover, leases) =
                (self.engine.work_waiting.clone(), self.handover.clone(), self.leases.clone());
            let (shards, wakes_at) = (self.shards.clone(), self.scheduler.wakes_at(now));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some((id, outcome)) = turns.recv() => {
                    self.finished(id, outcome);
                    while let Ok((id, outcome)) = turns.try_recv() {
                        self.finished(id, outcome);
                    }
                }
                (prepared, _room) = self.handed.next() => self.queue_handed(prepared),
                Some(claimed) = claiming.join_next() => self.took(claimed.ok().flatten()),
                () = shards.changed() => self.change_shards(),
                Some(Ok((shards, known))) = self.reading.join_next() => self.learn(&shards, known),
                Some(Ok(news)) = self.looking.join_next() => self.hear(news),
                Some(Ok(back)) = self.releasing.join_next() => {
                    self.horizon.handed_back(&back, Instant::now());
                }
                () = handover.closed() => break,
                () = leases.place_free(), if self.scheduler.has_next() => {}
                () = work_waiting.notified(), if may_claim => self.claim_soon(Instant::now()),
                () = tokio::time::sleep_until(self.claim_at.into()), if may_claim => {}
                () = sleep_until(wakes_at), if wakes_at.is_some() => {}
            }
        }
        if let Some(Ok(Some(claimed))) = claiming.join_next().await {
            self.took(Some(claimed));
        }
        self.handed.end().await;
        while self.releasing.join_next().await.is_some() {}
        leases::release_unstarted(&self.engine, &self.leases).await;
    }

    /// Hands over what may be under way: each delivery keeps its place until it is settled.
    fn hand_over(&mut self, now: Instant) {
        while let Some(prepared) = self.scheduler.next(now) {
            let refused = if self.leases.admit(prepared.claimed.delivery_id) {
                self.handover.try_send(prepared).err().map(mpsc::error::TrySendError::into_inner)
            } else {
                Some(prepared)
            };
            if let Some(prepared) = refused {
                self.scheduler.put_back(&key_of(&prepared), prepared);
                return;
            }
        }
    }

    /// Hands back what should not wait here.
    fn hand_back(&mut self, now: Instant) {
        let recalled = self.scheduler.recall(now);
        self.release(&recalled);
    }

    fn release(&mut self, prepared: &[Prepared]) {
        if prepared.is_empty() {
            return;
        }
        let held: Vec<_> = prepared.iter().map(|p| p.claimed.held()).collect();
        let connections = prepared.iter().map(|p| p.claimed.connection_id).collect();
        let (engine, leases) = (self.engine.clone(), self.leases.clone());
        self.releasing.spawn(async move {
            leases::release(&engine, &leases, &held).await;
            connections
        });
    }

    fn ask(&mut self, room: usize, now: Instant) -> Asked {
        let owned = self.shards.owned();
        let wants = self.scheduler.wants(now);
        Asked {
            shards: owned.iter().copied().filter(|shard| self.known.contains(shard)).collect(),
            room,
            look: self.horizon.look(&self.cursor, &wants, now),
            wants,
            default_room: self.scheduler.default_room(),
            cursor: self.cursor,
        }
    }

    fn finished(&mut self, id: ConnectionId, outcome: Outcome) {
        let now = Instant::now();
        let finished = self.scheduler.finished(id, outcome, now);
        if finished.refill {
            self.claim_at = now;
        }
        if let Some(organization_id) = finished.organization_id {
            for change in finished.changes {
                tracing::debug!(connection.id = %id, change = ?change, "a connection changed");
                match change {
                    Change::BreakerOpened { .. } => metrics::breaker_opened(),
                    Change::Held { because, .. } => metrics::held(because),
                    _ => {}
                }
                // Whoever writes it down outlives the pump.
                let _ = self.news.send((organization_id, id, change));
            }
        }
    }

    /// Queues what a claim took and decides when to claim again.
    fn took(&mut self, claimed: Option<Claimed>) {
        let Some(claimed) = claimed else {
            // The database was away: wait as if there were nothing.
            self.horizon.forget();
            self.wait();
            return;
        };
        self.horizon.note(&claimed.search());
        self.cursor = claimed.cursor;
        let is_full = claimed.is_full;
        self.is_behind = is_full;
        if claimed.prepared.is_empty() {
            self.scheduler.claimed(claimed.wants(), &[], is_full);
            // The search may have begun in the middle; an empty one from the start ends the round.
            self.wait();
            return;
        }
        let now = Instant::now();
        self.idle = IDLE_MIN;
        self.more = is_full;
        let wants = claimed.wants().to_vec();
        let prepared = self.known_ones(claimed.prepared);
        let brought: Vec<_> = prepared.iter().map(|p| p.claimed.connection_id).collect();
        for prepared in prepared {
            self.scheduler.push(&key_of(&prepared), prepared, now);
        }
        self.scheduler.claimed(&wants, &brought, is_full);
        // What came in meanwhile is told by `work_waiting`; what another process made due, by this.
        // When there is more, the next goes as soon as there is room worth it, or after the same while.
        self.claim_at = now + BUSY;
    }

    /// Queues what was handed over.
    fn queue_handed(&mut self, prepared: Vec<Prepared>) {
        let now = Instant::now();
        for prepared in self.known_ones(prepared) {
            self.scheduler.push_handed(&key_of(&prepared), prepared, now);
        }
    }

    /// Hands back what belongs to shards that were lost meanwhile: nothing is known of them any more.
    fn known_ones(&mut self, prepared: Vec<Prepared>) -> Vec<Prepared> {
        let (known, others): (Vec<_>, Vec<_>) =
            prepared.into_iter().partition(|p| self.known.contains(&p.claimed.home()));
        self.release(&others);
        known
    }

    fn wait(&mut self) {
        self.claim_at = Instant::now() + self.idle.mul_f64(0.75 + 0.5 * rand::random::<f64>());
        self.idle = (self.idle * 2).min(IDLE_MAX);
    }

    /// Has it asked what changed of connections that may not be called. Not waited for: whoever is
    /// idle claims often enough to come by.
    fn look_at_closed(&mut self, now: Instant) {
        if now < self.look_at || !self.looking.is_empty() {
            return;
        }
        self.look_at = now + LOOK_EVERY;
        let ids = self.scheduler.closed(now);
        if !ids.is_empty() {
            self.looking.spawn(closed::look(self.engine.clone(), ids));
        }
    }

    fn hear(&mut self, news: Vec<closed::News>) {
        let now = Instant::now();
        if news.is_empty() {
            return;
        }
        for one in news {
            self.scheduler.changed(one.id, one.rate, one.is_set_right, now);
        }
        self.claim_soon(now);
    }

    /// Claims again, but not so soon that it is hardly worth it.
    fn claim_soon(&mut self, now: Instant) {
        self.claim_at = self.claim_at.min(now.max(self.claimed_at + BETWEEN));
    }

    /// Forgets connections that are somebody else's now, and asks how those stand that came.
    fn change_shards(&mut self) {
        let changes = self.shards.take_changes();
        self.handed.renew_offer(Instant::now());
        for shard in &changes.lost {
            self.owned.remove(shard);
            self.known.remove(shard);
        }
        let lost = self.scheduler.forget_shards(&changes.lost);
        self.release(&lost);
        if !changes.gained.is_empty() {
            self.owned.extend(&changes.gained);
            self.reading.spawn(health::read(self.engine.clone(), changes.gained));
        }
    }

    /// Takes over shards with what their former owners knew.
    fn learn(&mut self, shards: &[i16], known: Vec<(ConnectionId, Trouble)>) {
        let now = Instant::now();
        let gained: Vec<i16> = shards.iter().copied().filter(|s| self.owned.contains(s)).collect();
        self.scheduler.gained_shards(&gained, now);
        for (id, trouble) in known {
            if gained.contains(&engine::schedule::shard_of(id)) {
                self.scheduler.restore(id, &trouble, now);
            }
        }
        self.known.extend(gained);
        self.horizon.took_over(self.engine.config.lease, now);
        self.handed.renew_offer(now);
        // What waits there goes before what is new.
        self.is_behind = true;
        self.claim_at = now;
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
