//! Claims deliveries as there is room for them, and offers them to the pool connection by connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    Engine,
    delivery::attempt::{Prepared, prepare},
    ids::ConnectionId,
    metrics,
    outbox::{self, Cursor, Want},
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{lanes::Lanes, leases::Leases};

/// The most deliveries of one claim.
const CLAIM_MAX: usize = 500;
/// The least time between two claims: each costs about the same for few deliveries as for many.
const BETWEEN: Duration = Duration::from_millis(3);
/// The wait after a claim that found something: more may have come meanwhile.
const BUSY: Duration = Duration::from_millis(5);
/// The first wait after a claim found nothing.
const IDLE_MIN: Duration = Duration::from_millis(20);
/// The longest: work that another process made due is found within this.
const IDLE_MAX: Duration = Duration::from_millis(500);

/// The pool's side of the pump.
#[derive(Debug)]
pub(crate) struct Work {
    /// What to start next.
    pub(crate) deliveries: mpsc::Receiver<Prepared>,
    /// Whose turn is over.
    pub(crate) finished: mpsc::UnboundedSender<ConnectionId>,
}

/// Starts the pump. It ends when `stop` is cancelled, handing back what it had not handed over.
pub(crate) fn start(
    engine: Engine,
    leases: Arc<Leases>,
    stop: CancellationToken,
) -> (JoinHandle<()>, Work) {
    // As many as there are places, so that whoever has a place is handed over at once.
    let (handover, deliveries) = mpsc::channel(engine.config.worker_concurrency.max(1));
    let (finished, turns) = mpsc::unbounded_channel();
    let pump = Pump {
        lanes: Lanes::new(engine.config.connection_concurrency),
        capacity: engine.config.worker_concurrency.max(1) * 2,
        engine,
        leases,
        handover,
        cursor: Cursor::default(),
        claim_at: Instant::now(),
        claimed_at: Instant::now(),
        idle: IDLE_MIN,
        more: false,
    };
    (tokio::spawn(pump.run(turns, stop)), Work { deliveries, finished })
}

struct Pump {
    engine: Engine,
    leases: Arc<Leases>,
    lanes: Lanes,
    handover: mpsc::Sender<Prepared>,
    /// Claimed deliveries that this process may have at once.
    capacity: usize,
    cursor: Cursor,
    claim_at: Instant,
    /// When the last claim began.
    claimed_at: Instant,
    idle: Duration,
    /// Whether the last claim left due deliveries behind for want of room.
    more: bool,
}

struct Claimed {
    prepared: Vec<Prepared>,
    taken: usize,
    full: bool,
    cursor: Cursor,
    asked: Vec<Want>,
}

impl Pump {
    async fn run(
        mut self,
        mut turns: mpsc::UnboundedReceiver<ConnectionId>,
        stop: CancellationToken,
    ) {
        // A statement is never dropped half-way: claims run as tasks of their own.
        let mut claiming: JoinSet<Option<Claimed>> = JoinSet::new();
        loop {
            self.hand_over();
            let room = self.capacity.saturating_sub(self.lanes.outstanding());
            let may_claim = claiming.is_empty() && room > 0;
            if may_claim
                && (Instant::now() >= self.claim_at || (self.more && room >= self.capacity / 4))
            {
                self.more = false;
                self.claimed_at = Instant::now();
                claiming.spawn(claim(
                    self.engine.clone(),
                    self.leases.clone(),
                    &self.lanes,
                    room,
                    self.cursor,
                ));
                continue;
            }
            let (work_waiting, handover, leases) =
                (self.engine.work_waiting.clone(), self.handover.clone(), self.leases.clone());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = turns.recv() => {
                    let mut refill = self.lanes.finished(done);
                    while let Ok(done) = turns.try_recv() {
                        refill |= self.lanes.finished(done);
                    }
                    if refill {
                        self.claim_at = Instant::now();
                    }
                }
                Some(claimed) = claiming.join_next() => self.took(claimed.ok().flatten()),
                () = handover.closed() => break,
                () = leases.place_free(), if self.lanes.has_next() => {}
                () = work_waiting.notified(), if may_claim => {
                    self.claim_at = Instant::now().max(self.claimed_at + BETWEEN);
                }
                () = tokio::time::sleep_until(self.claim_at.into()), if may_claim => {}
            }
        }
        if let Some(Ok(Some(claimed))) = claiming.join_next().await {
            self.took(Some(claimed));
        }
        crate::leases::release_unstarted(&self.engine, &self.leases).await;
    }

    /// Hands over what may be under way: each delivery keeps its place until it is settled.
    fn hand_over(&mut self) {
        while let Some(prepared) = self.lanes.next() {
            if !self.leases.admit(prepared.claimed.delivery_id) {
                self.lanes.put_back(prepared);
                return;
            }
            match self.handover.try_send(prepared) {
                Ok(()) => {}
                Err(
                    mpsc::error::TrySendError::Full(prepared)
                    | mpsc::error::TrySendError::Closed(prepared),
                ) => {
                    self.lanes.put_back(prepared);
                    return;
                }
            }
        }
    }

    /// Queues what a claim took and decides when to claim again.
    fn took(&mut self, claimed: Option<Claimed>) {
        let Some(claimed) = claimed else {
            // The database was away: wait as if there were nothing.
            self.wait();
            return;
        };
        self.cursor = claimed.cursor;
        if claimed.taken == 0 {
            self.lanes.note_backlogs(&claimed.asked, &[]);
            // The search may have begun in the middle; an empty one from the start ends the round.
            self.wait();
            return;
        }
        self.idle = IDLE_MIN;
        self.more = claimed.full;
        let brought: Vec<_> = claimed.prepared.iter().map(|p| p.claimed.connection_id).collect();
        for prepared in claimed.prepared {
            self.lanes.push(prepared);
        }
        self.lanes.note_backlogs(&claimed.asked, &brought);
        // What came in meanwhile is told by `work_waiting`; what another process made due, by this.
        self.claim_at = if claimed.full { Instant::now() } else { Instant::now() + BUSY };
    }

    fn wait(&mut self) {
        self.claim_at = Instant::now() + self.idle.mul_f64(0.75 + 0.5 * rand::random::<f64>());
        self.idle = (self.idle * 2).min(IDLE_MAX);
    }
}

/// Asks nothing for connections whose providers want to be left alone: what is queued for them stays
/// as it is, however much it is.
fn hold_back(wants: &mut Vec<Want>, held: &[ConnectionId]) {
    wants.retain(|want| !held.contains(&want.connection_id));
    wants.extend(held.iter().map(|id| Want { connection_id: *id, room: 0 }));
}

/// One claim with all that its deliveries need. `None` when the database is away.
fn claim(
    engine: Engine,
    leases: Arc<Leases>,
    lanes: &Lanes,
    room: usize,
    cursor: Cursor,
) -> impl Future<Output = Option<Claimed>> + Send + 'static {
    let mut wants = lanes.wants();
    hold_back(&mut wants, &engine.paces.held(Instant::now()));
    let window = i32::try_from(lanes.window()).unwrap_or(i32::MAX);
    let limit = room.min(CLAIM_MAX);
    async move {
        let asked_at = Instant::now();
        let may_take_suspect = !leases.has_suspect();
        let taken = outbox::claim(
            engine.db.lease_pool(),
            engine.config.lease,
            i64::try_from(limit).unwrap_or(i64::MAX),
            window,
            &wants,
            cursor,
            may_take_suspect,
        )
        .await;
        let claim = match taken {
            Ok(claim) => claim,
            Err(error) => {
                metrics::database_retry("claim");
                tracing::warn!(error = %error, "claiming again shortly");
                return None;
            }
        };
        let taken = claim.deliveries.len();
        metrics::claimed(taken, claim.deliveries.iter().filter(|d| d.crashes > 0).count());
        leases.hold(&claim.deliveries, asked_at);
        let held: Vec<_> =
            claim.deliveries.iter().map(|d| (d.organization_id, d.delivery_id, d.lease)).collect();
        if taken == 0 {
            return Some(Claimed {
                prepared: Vec::new(),
                taken,
                full: false,
                cursor: claim.cursor,
                asked: wants,
            });
        }
        // On a task of its own: what one row does to it must not take the others' leases along.
        let preparing = {
            let (engine, deliveries) = (engine.clone(), claim.deliveries);
            tokio::spawn(async move { prepare(&engine, deliveries).await })
        };
        let prepared = match preparing.await {
            Ok(prepared) => prepared,
            Err(panic) => {
                tracing::error!(error = %panic, deliveries = taken, "reading claimed deliveries crashed");
                crate::leases::crashed(&engine, &leases, &held).await;
                return None;
            }
        };
        match prepared {
            Ok(prepared) => Some(Claimed {
                prepared,
                taken,
                full: taken >= limit,
                cursor: claim.cursor,
                asked: wants,
            }),
            Err(error) => {
                metrics::database_retry("prepare");
                tracing::warn!(error = %error, deliveries = taken, "claimed deliveries could not be read; handing them back");
                crate::leases::release(&engine, &leases, &held).await;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b23_nothing_is_claimed_for_who_is_held_and_others_keep_their_room() {
        let id = |n| ConnectionId(uuid::Uuid::from_u128(n));
        let mut wants = [1, 2].map(|n| Want { connection_id: id(n), room: 8 }).to_vec();
        hold_back(&mut wants, &[id(2), id(3)]);
        let rooms: Vec<_> = wants.iter().map(|want| (want.connection_id, want.room)).collect();
        assert_eq!(rooms, [(id(1), 8), (id(2), 0), (id(3), 0)]);
    }
}
