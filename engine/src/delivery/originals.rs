//! Settings of connections as they were once: for replays that go where they went before.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use serde_json::Value;
use uuid::Uuid;

use crate::{
    connection::past,
    engine::Engine,
    ids::{ConnectionId, DeliveryId, OrganizationId},
    outbox::{Claimed, Class},
};

/// Settings kept in memory before the cache starts anew.
const CACHED_MAX: usize = 1_000;

/// A connection's settings at a version.
type At = (ConnectionId, i64);

/// What was read of the log: it never changes.
#[derive(Debug, Default)]
pub(super) struct Originals(Mutex<HashMap<At, Arc<Value>>>);

impl Originals {
    /// The settings that some claimed deliveries are sent with, where those are not today's. Only a
    /// replay has such, so that others cost nothing. Settings that the log does not tell are null:
    /// nothing can be sent with those.
    pub(super) async fn of(
        &self,
        engine: &Engine,
        claimed: &[Claimed],
    ) -> Result<HashMap<DeliveryId, Arc<Value>>, sqlx::Error> {
        let replays: Vec<&Claimed> =
            claimed.iter().filter(|one| one.class == Class::Replay).collect();
        if replays.is_empty() {
            return Ok(HashMap::new());
        }
        let organizations: Vec<Uuid> = replays.iter().map(|one| one.organization_id.0).collect();
        let deliveries: Vec<Uuid> = replays.iter().map(|one| one.delivery_id.0).collect();
        let pinned = sqlx::query!(
            r#"select o.organization_id, o.delivery_id, o.connection_id, o.connection_version as "version!"
               from unnest($1::uuid[], $2::uuid[]) as n(organization_id, delivery_id)
               join relay.outbox o
                   on o.organization_id = n.organization_id and o.delivery_id = n.delivery_id
               where o.connection_version is not null"#,
            &organizations,
            &deliveries,
        )
        .fetch_all(&engine.db.settling)
        .await?;
        let at = |connection_id: Uuid, version| (ConnectionId(connection_id), version);
        let wanted: HashSet<(At, OrganizationId)> = pinned
            .iter()
            .map(|row| (at(row.connection_id, row.version), row.organization_id.into()))
            .collect();
        let mut known = HashMap::with_capacity(wanted.len());
        for (at, owner) in wanted {
            let cached = self.cached(at);
            let settings = match cached {
                Some(settings) => settings,
                None => self.keep(at, read(engine, owner, at).await?),
            };
            known.insert(at, settings);
        }
        let of_row = |row: &_| known.get(row).cloned();
        Ok(pinned
            .into_iter()
            .filter_map(|row| {
                Some((row.delivery_id.into(), of_row(&at(row.connection_id, row.version))?))
            })
            .collect())
    }

    /// Forgets settings of connections that were removed.
    pub(super) fn forget(&self, removed: &[ConnectionId]) {
        let mut cache = self.0.lock().expect("no holder of this lock panics");
        cache.retain(|(id, _), _| !removed.contains(id));
    }

    fn cached(&self, at: At) -> Option<Arc<Value>> {
        self.0.lock().expect("no holder of this lock panics").get(&at).cloned()
    }

    fn keep(&self, at: At, settings: Value) -> Arc<Value> {
        let settings = Arc::new(settings);
        let mut cache = self.0.lock().expect("no holder of this lock panics");
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(at, settings.clone());
        settings
    }
}

/// The settings after so many events.
async fn read(
    engine: &Engine,
    owner: OrganizationId,
    (id, version): At,
) -> Result<Value, sqlx::Error> {
    let mut connection = engine.db.work.acquire().await?;
    match past::before(&mut connection, owner, id, version + 1).await {
        Ok(stood) => Ok(stood.map_or(Value::Null, |stood| stood.metadata)),
        Err(error @ sqlx::Error::Decode(_)) => {
            tracing::error!(connection.id = %id, error = %error, "what a connection was cannot be read");
            Ok(Value::Null)
        }
        Err(error) => Err(error),
    }
}
