//! Tells what a replay would do, without doing any of it. Nothing is kept but sums.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    Blocked, ReplaysError,
    candidates::{self, Beside, Candidate, Range},
    choose::blocked,
    job::NewReplay,
    store,
};
use crate::{
    clock, db,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
};

/// The most deliveries that are counted.
const COUNTED_MAX: i64 = 20_000;
/// How long it may take. What was counted by then is told.
const TIME_MAX: Duration = Duration::from_secs(4);
/// How many are looked through at once.
const SCAN: i64 = 2_000;

/// What a replay would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// How many deliveries are selected.
    pub total: i64,
    /// Whether all of them were counted.
    pub is_exact: bool,
    /// By connection, the most first.
    pub by_connection: Vec<OfConnection>,
    /// By why they stand as they do, the most first.
    pub by_reason: Vec<OfReason>,
    /// How many cannot be sent, since their events are no longer kept.
    pub too_old: i64,
}

/// Deliveries to one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfConnection {
    /// Which.
    pub connection_id: ConnectionId,
    /// Its name.
    pub name: String,
    /// Its service.
    pub provider: String,
    /// How many.
    pub count: i64,
    /// Why it takes nothing now, if it does not.
    pub blocked_because: Option<Blocked>,
}

/// Deliveries that stand as they do for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfReason {
    /// The reason, or the status where there is none.
    pub reason: String,
    /// How many.
    pub count: i64,
}

/// What a replay that began now would be about. Exact up to twenty thousand deliveries.
pub async fn preview(
    engine: &Engine,
    organization_id: OrganizationId,
    asked: &NewReplay,
) -> Result<Preview, ReplaysError> {
    asked.selection.check(clock::now(), engine.config.retention)?;
    asked.rate()?;
    let criteria = asked.selection.criteria();
    let began = Instant::now();
    let mut tx = engine.db.api.begin().await?;
    // Pages are small, and must stay so whatever the statistics say.
    db::by_index(&mut tx).await?;
    store::check_names(&mut tx, organization_id, &criteria).await?;
    let mut range = candidates::range(&mut tx, &criteria).await?;
    let mut sums = Sums::default();
    loop {
        let page = candidates::page(
            &mut tx,
            organization_id,
            &criteria,
            Beside::Nothing,
            range,
            SCAN,
            SCAN,
        )
        .await?;
        page.candidates.iter().for_each(|candidate| sums.add(candidate));
        let Some(next) = page.next else { return Ok(sums.told(true)) };
        if sums.total >= COUNTED_MAX || began.elapsed() > TIME_MAX {
            return Ok(sums.told(false));
        }
        range = Range { after: next, ..range };
    }
}

#[derive(Default)]
struct Sums {
    total: i64,
    too_old: i64,
    by_connection: HashMap<ConnectionId, OfConnection>,
    by_reason: HashMap<String, i64>,
}

impl Sums {
    fn add(&mut self, candidate: &Candidate) {
        self.total += 1;
        self.too_old += i64::from(!candidate.has_event);
        let known = candidate.connection.as_ref();
        let id = candidate.connection_id;
        let entry = self.by_connection.entry(id).or_insert_with(|| OfConnection {
            connection_id: id,
            name: known.map_or_else(String::new, |known| known.name.clone()),
            provider: known.map_or_else(String::new, |known| known.provider.clone()),
            count: 0,
            blocked_because: blocked(candidate),
        });
        entry.count += 1;
        let reason = candidate.reason.as_ref().unwrap_or(&candidate.status);
        match self.by_reason.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(self.by_reason.insert(reason.clone(), 1)),
        }
    }

    fn told(self, is_exact: bool) -> Preview {
        let mut by_connection: Vec<_> = self.by_connection.into_values().collect();
        by_connection.sort_by_key(|one| (std::cmp::Reverse(one.count), one.connection_id));
        let of_reason = |(reason, count)| OfReason { reason, count };
        let mut by_reason: Vec<_> = self.by_reason.into_iter().map(of_reason).collect();
        by_reason.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
        let (total, too_old) = (self.total, self.too_old);
        Preview { total, is_exact, by_connection, by_reason, too_old }
    }
}
