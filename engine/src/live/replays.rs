//! How replays of many deliveries get on, told whenever that changed.

use std::{collections::HashMap, mem};

use uuid::Uuid;

use crate::{
    db::DbError,
    engine::Engine,
    ids::{OrganizationId, ReplayId},
    replay::ReplayStatus,
};

/// How many of an organization's newest replays are looked at. Fewer are ever under way.
const LOOKED_AT: i64 = 50;

/// How far a replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayProgress {
    /// The replay.
    pub id: ReplayId,
    /// Where it stands.
    pub status: ReplayStatus,
    /// How many deliveries it looked at.
    pub done: i64,
    /// How many there are; `None` while they are counted.
    pub total: Option<i64>,
    /// How many it made due.
    pub replayed: i64,
    /// How many of those arrived by now.
    pub delivered: i64,
}

/// What was told of each replay.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<ReplayId, ReplayProgress>);

impl Told {
    /// What of `now` was not told yet; that is remembered, and replays that it lacks are forgotten.
    fn news(
        &mut self,
        now: Vec<(OrganizationId, ReplayProgress)>,
    ) -> HashMap<OrganizationId, Vec<ReplayProgress>> {
        let before = mem::take(&mut self.0);
        let mut news: HashMap<_, Vec<_>> = HashMap::new();
        for (organization_id, progress) in now {
            if before.get(&progress.id) != Some(&progress) {
                news.entry(organization_id).or_default().push(progress);
            }
            self.0.insert(progress.id, progress);
        }
        news
    }
}

/// What changed of the replays of these organizations since it was told.
pub(super) async fn changed(
    engine: &Engine,
    organizations: &[Uuid],
    told: &mut Told,
) -> Result<HashMap<OrganizationId, Vec<ReplayProgress>>, DbError> {
    // Its deliveries may arrive for a while after it has made the last one due.
    let rows = sqlx::query!(
        r#"
        select j.organization_id, j.id, j.status, j.considered, j.total, j.replayed,
               j.delivered + (select coalesce(sum(a.deliveries), 0)::bigint
                              from relay.replay_arrivals a where a.replay_id = j.id) as "delivered!"
        from (select distinct id from unnest($1::uuid[]) as asked(id)) organization
        cross join lateral (
            select * from relay.replay_jobs newest
            where newest.organization_id = organization.id order by newest.id desc limit $2
        ) j
        where j.status in ('counting', 'running', 'paused')
           or j.finished_at > now() - interval '10 minutes'
        "#,
        organizations,
        LOOKED_AT,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let now = rows.into_iter().map(|row| {
        let progress = ReplayProgress {
            id: row.id.into(),
            status: row.status.parse().unwrap_or(ReplayStatus::Failed),
            done: row.considered,
            total: row.total,
            replayed: row.replayed,
            delivered: row.delivered,
        };
        (row.organization_id.into(), progress)
    });
    Ok(told.news(now.collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn progress(id: u128, done: i64) -> (OrganizationId, ReplayProgress) {
        let progress = ReplayProgress {
            id: Uuid::from_u128(id).into(),
            status: ReplayStatus::Running,
            done,
            total: None,
            replayed: 0,
            delivered: 0,
        };
        (Uuid::nil().into(), progress)
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut told = Told::default();
        let mut news = |now: Vec<_>| -> HashSet<(u128, i64)> {
            let news = told.news(now).into_values().flatten();
            news.map(|one| (one.id.0.as_u128(), one.done)).collect()
        };
        assert_eq!(news(vec![progress(1, 0), progress(2, 5)]), HashSet::from([(1, 0), (2, 5)]));
        assert_eq!(news(vec![progress(1, 0), progress(2, 6)]), HashSet::from([(2, 6)]));
        assert_eq!(news(vec![progress(2, 6)]), HashSet::new());
        assert_eq!(news(vec![progress(1, 0)]), HashSet::from([(1, 0)]), "it was forgotten");
    }
}
