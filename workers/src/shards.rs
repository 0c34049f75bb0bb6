//! Which shards this process owns now: kept by a word each second, shared evenly with the other
//! workers, handed over when nothing of them is under way any more.

use std::{
    collections::HashMap,
    fs,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use engine::{
    Engine, metrics,
    shards::{self, Owned, Tended, WorkerId},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::leases::{self, Leases};

/// How long a worker that says nothing keeps its shards at most.
const TTL_MAX: Duration = Duration::from_secs(10);
/// How often it says that it lives at least.
const TEND_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether a shard that is being given up is free of work.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a claim that was under way when a shard began to be given up may take to show what it
/// took. Whatever comes later is fenced by its lease.
const CLAIM_ENDS: Duration = Duration::from_millis(300);
/// How long what is under way may keep a shard that should be another worker's.
const GIVE_UP_MAX: Duration = Duration::from_secs(10);

/// What came and went since it was last asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Shards of which this process knows nothing yet.
    pub(crate) gained: Vec<i16>,
    /// Shards of which it should forget everything; what was not begun is handed back already.
    pub(crate) lost: Vec<i16>,
}

/// The shards of this process.
#[derive(Debug)]
pub(crate) struct Shards {
    worker: WorkerId,
    name: String,
    ttl: Duration,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// What is claimed from.
    owned: HashMap<i16, Owned>,
    /// What is still ours and not claimed from any more, and since when.
    giving_up: HashMap<i16, (Owned, Instant)>,
    /// The same as `owned`, in order.
    list: Arc<[i16]>,
    /// By the monotonic clock: later, somebody else may own them.
    good_until: Instant,
    changes: Changes,
}

impl Shards {
    /// None yet. `lease` is how long a delivery belongs to a worker that stopped renewing.
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            worker: WorkerId::new(),
            name: name(),
            ttl: lease.min(TTL_MAX),
            state: Mutex::new(State {
                owned: HashMap::new(),
                giving_up: HashMap::new(),
                list: Arc::default(),
                good_until: Instant::now(),
                changes: Changes::default(),
            }),
            changed: Notify::new(),
        }
    }

    /// Who this process is.
    pub(crate) fn worker(&self) -> WorkerId {
        self.worker
    }

    /// What may be claimed from now: nothing, if it may have passed on to somebody else.
    pub(crate) fn owned(&self) -> Arc<[i16]> {
        let state = self.state();
        if Instant::now() < state.good_until { state.list.clone() } else { Arc::default() }
    }

    /// Waits for a change that was not taken yet. For one waiter.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What changed since the last call. One that came and went meanwhile is only lost, one that went
    /// and came again is both: first lost, then gained.
    pub(crate) fn take_changes(&self) -> Changes {
        std::mem::take(&mut self.state().changes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// Keeps the shards until `ended`. From `stop` on they are given up, each as soon as nothing of it is
/// under way; at the end all that are left.
pub(crate) async fn tend(
    engine: Engine,
    shards: Arc<Shards>,
    leases: Arc<Leases>,
    stop: CancellationToken,
    ended: CancellationToken,
) {
    let every = TEND_EVERY.min(shards.ttl / 4);
    let mut due = Instant::now();
    loop {
        let (is_leaving, is_last) = (stop.is_cancelled(), ended.is_cancelled());
        let gives_up = {
            let mut state = shards.state();
            if is_leaving {
                state.give_up_all(Instant::now());
            }
            state.free_of_work(&leases.held_by_shard(), is_last, Instant::now())
        };
        if Instant::now() >= due || !gives_up.is_empty() || is_last {
            due = Instant::now() + every;
            say(&engine, &shards, &leases, &gives_up, is_leaving).await;
        }
        if is_last {
            return;
        }
        let is_giving_up = !shards.state().giving_up.is_empty();
        let look = if is_giving_up { LOOK_EVERY } else { every };
        tokio::select! {
            () = ended.cancelled() => {}
            () = stop.cancelled(), if !is_leaving => {}
            () = tokio::time::sleep_until((Instant::now() + look).min(due).into()) => {}
        }
    }
}

/// Says once that this process lives, and follows what it hears.
async fn say(engine: &Engine, shards: &Shards, leases: &Leases, gives_up: &[i16], leaves: bool) {
    let asked_at = Instant::now();
    let (worker, name, ttl) = (shards.worker, shards.name.as_str(), shards.ttl);
    let pool = engine.db.lease_pool();
    let tended = match shards::tend(pool, worker, name, ttl, gives_up, leaves).await {
        Ok(tended) => tended,
        Err(error) => {
            // What it has ends by the clock, here as it does there.
            tracing::warn!(error = %error, "the shards were not tended");
            return;
        }
    };
    engine.paces.share_among(tended.workers);
    let held = leases.held_by_shard();
    let changes = {
        let mut state = shards.state();
        state.good_until = asked_at + ttl;
        state.follow(&tended, &held, Instant::now())
    };
    metrics::shards(tended.owned.len(), changes.gained.len(), changes.lost.len());
    if changes == Changes::default() {
        return;
    }
    tracing::info!(
        owned = tended.owned.len(),
        gained = changes.gained.len(),
        lost = changes.lost.len(),
        workers = tended.workers,
        "shards changed hands"
    );
    leases::release_unstarted_of(engine, leases, &changes.lost).await;
    shards.state().announce(changes);
    shards.changed.notify_one();
}

impl State {
    /// Takes over what was heard, and begins to give up what is above the share: what is idle first.
    fn follow(&mut self, tended: &Tended, held: &HashMap<i16, usize>, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let heard: HashMap<i16, Owned> = tended.owned.iter().map(|own| (own.shard, *own)).collect();
        self.owned.retain(|shard, own| {
            let is_kept = heard.get(shard) == Some(own);
            if !is_kept {
                changes.lost.push(*shard);
            }
            is_kept
        });
        self.giving_up.retain(|_, (own, _)| heard.get(&own.shard) == Some(own));
        for own in &tended.owned {
            if !self.giving_up.contains_key(&own.shard)
                && self.owned.insert(own.shard, *own).is_none()
            {
                changes.gained.push(own.shard);
            }
        }
        let surplus = self.owned.len().saturating_sub(tended.share);
        let mut by_work: Vec<i16> = self.owned.keys().copied().collect();
        by_work.sort_unstable_by_key(|shard| (held.get(shard).copied().unwrap_or(0), -shard));
        for shard in by_work.into_iter().take(surplus) {
            self.give_up(shard, now);
            changes.gained.retain(|gained| *gained != shard);
            changes.lost.push(shard);
        }
        self.relist();
        changes
    }

    fn give_up(&mut self, shard: i16, now: Instant) {
        if let Some(own) = self.owned.remove(&shard) {
            self.giving_up.insert(shard, (own, now));
        }
    }

    fn give_up_all(&mut self, now: Instant) {
        let all: Vec<i16> = self.owned.keys().copied().collect();
        all.into_iter().for_each(|shard| self.give_up(shard, now));
        self.relist();
    }

    /// What can go to somebody else now; everything that is being given up, if it must.
    fn free_of_work(&self, held: &HashMap<i16, usize>, it_must: bool, now: Instant) -> Vec<i16> {
        let may_go = |shard: &i16, since: Instant| {
            let waited = now.saturating_duration_since(since);
            it_must || waited >= GIVE_UP_MAX || (waited >= CLAIM_ENDS && !held.contains_key(shard))
        };
        let going = self.giving_up.iter().filter(|(shard, (_, since))| may_go(shard, *since));
        going.map(|(shard, _)| *shard).collect()
    }

    fn announce(&mut self, changes: Changes) {
        let pending = &mut self.changes;
        pending.gained.retain(|shard| !changes.lost.contains(shard));
        pending.gained.extend(changes.gained);
        pending.lost.extend(changes.lost);
        pending.lost.sort_unstable();
        pending.lost.dedup();
    }

    fn relist(&mut self) {
        let mut list: Vec<i16> = self.owned.keys().copied().collect();
        list.sort_unstable();
        self.list = list.into();
    }
}

/// Where this process is, for people.
fn name() -> String {
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}", machine.trim(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            owned: HashMap::new(),
            giving_up: HashMap::new(),
            list: Arc::default(),
            good_until: Instant::now(),
            changes: Changes::default(),
        }
    }

    fn tended(shards: &[(i16, i64)], share: usize) -> Tended {
        let owned = shards.iter().map(|&(shard, epoch)| Owned { shard, epoch }).collect();
        Tended { owned, workers: 1, share }
    }

    fn sorted(mut changes: Changes) -> (Vec<i16>, Vec<i16>) {
        changes.gained.sort_unstable();
        changes.lost.sort_unstable();
        (changes.gained, changes.lost)
    }

    #[test]
    fn what_somebody_else_had_in_between_is_lost_and_gained() {
        let (mut state, held, now) = (state(), HashMap::new(), Instant::now());
        let first = state.follow(&tended(&[(1, 1), (2, 1), (3, 1)], 64), &held, now);
        assert_eq!(sorted(first), (vec![1, 2, 3], vec![]));
        let again = state.follow(&tended(&[(1, 1), (2, 3)], 64), &held, now);
        assert_eq!(sorted(again), (vec![2], vec![2, 3]));
        assert_eq!(state.list.as_ref(), [1, 2]);
    }

    #[test]
    fn what_is_too_much_goes_when_nothing_of_it_is_under_way_any_more() {
        let (mut state, start) = (state(), Instant::now());
        let held = HashMap::from([(4, 2), (3, 1)]);
        let all = [(1, 1), (2, 1), (3, 1), (4, 1)];
        state.follow(&tended(&all, 64), &held, start);
        let changes = state.follow(&tended(&all, 1), &held, start);
        assert_eq!(sorted(changes), (vec![], vec![1, 2, 3]), "the busiest stays");
        assert_eq!(state.list.as_ref(), [4], "the others are claimed from no more");
        assert!(state.free_of_work(&held, false, start).is_empty(), "a claim may be under way");
        let later = start + CLAIM_ENDS;
        let mut going = state.free_of_work(&held, false, later);
        going.sort_unstable();
        assert_eq!(going, [1, 2]);
        // It is not taken back meanwhile, and goes at last whatever is under way.
        let kept = state.follow(&tended(&[(3, 1), (4, 1)], 64), &held, later);
        assert_eq!((sorted(kept), state.list.as_ref()), ((vec![], vec![]), [4].as_slice()));
        assert_eq!(state.free_of_work(&held, false, start + GIVE_UP_MAX), [3]);
    }

    #[test]
    fn changes_add_up_until_they_are_taken() {
        let mut state = state();
        state.announce(Changes { gained: vec![1, 2], lost: vec![] });
        state.announce(Changes { gained: vec![], lost: vec![2] });
        state.announce(Changes { gained: vec![2], lost: vec![2] });
        assert_eq!(sorted(std::mem::take(&mut state.changes)), (vec![1, 2], vec![2]));
    }

    #[test]
    fn nothing_is_owned_once_its_time_may_be_over() {
        let shards = Shards::new(Duration::from_secs(30));
        shards.state().follow(&tended(&[(7, 1)], 64), &HashMap::new(), Instant::now());
        assert!(shards.owned().is_empty());
        shards.state().good_until = Instant::now() + Duration::from_secs(60);
        assert_eq!(shards.owned().as_ref(), [7]);
    }
}
