//! What the workers need to know of a connection, kept in memory by its version.

mod removed;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::originals::Originals;
use crate::{
    clock::Timestamp,
    connection::{Connection, headers::CustomHeaders, store::ConnectionRow},
    engine::Engine,
    ids::ConnectionId,
    outbox::Claimed,
    provider::{self, Category, Destination, Provider},
    retry::RetrySchedule,
    secret::{KeyRing, Place, Purpose, Secret, UnsealError},
};

/// Receivers kept in memory before the cache starts anew.
const CACHED_MAX: usize = 20_000;

/// A connection, ready to be sent to.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The connection as it stood at its version.
    pub connection: Connection,
    /// Its own schedule, or the default one.
    pub schedule: RetrySchedule,
    /// Its service; `None` where this version does not know it.
    pub provider: Option<&'static Provider>,
    /// Where events go, if it was chosen.
    pub destination: Option<Destination>,
    secrets: Secrets,
}

/// What a custom webhook is sent with.
#[derive(Clone, Debug)]
enum Secrets {
    /// All of it.
    Open {
        /// What signs: the newest first, each with the moment it stops.
        signing: Vec<(Secret, Option<Timestamp>)>,
        /// The customer's own headers.
        headers: HeaderMap,
    },
    /// One was sealed with a key that this process does not have; another may.
    UnknownKey,
    /// One opens with no key.
    Damaged,
}

/// Whether a receiver's secrets could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable {
    /// They could.
    Yes,
    /// Not by this process: its keys are not the newest ones.
    NotHere,
    /// By nobody.
    Never,
}

impl Receiver {
    fn new(connection: Connection, schedule: RetrySchedule, secrets: Secrets) -> Self {
        let provider = provider::of(&connection.provider, &connection.metadata);
        let destination = connection.metadata.get("destination");
        let destination = destination.and_then(|chosen| Destination::deserialize(chosen).ok());
        Self { connection, schedule, provider, destination, secrets }
    }

    /// The same with settings that it had once. How it stands, how fast it may be sent to, and its
    /// secrets are today's; but headers were set for the address that it has now, and go nowhere else.
    pub(super) fn with_settings(&self, settings: &Value) -> Self {
        let connection = Connection { metadata: settings.clone(), ..self.connection.clone() };
        let mut then = Self::new(connection, self.schedule.clone(), self.secrets.clone());
        let origin = |receiver: &Self| receiver.webhook_url().and_then(origin_of);
        if origin(&then).is_none_or(|origin_then| origin(self) != Some(origin_then))
            && let Secrets::Open { headers, .. } = &mut then.secrets
        {
            headers.clear();
        }
        then
    }

    /// Whether it is a customer's own endpoint.
    #[must_use]
    pub fn is_webhook(&self) -> bool {
        is_webhook(&self.connection.provider)
    }

    /// Whether what belongs together goes into one ticket here.
    #[must_use]
    pub fn keeps_tickets(&self) -> bool {
        !self.is_webhook()
            && self.provider.is_some_and(|provider| provider.category != Category::Notification)
    }

    /// Its service, as metrics and traces call it.
    #[must_use]
    pub(super) fn provider_id(&self) -> &'static str {
        self.provider.map_or("unknown", |provider| provider.id)
    }

    /// Where events go.
    #[must_use]
    pub fn webhook_url(&self) -> Option<&str> {
        self.connection.metadata.get("webhook_url").and_then(Value::as_str)
    }

    /// The secrets that sign now, the newest first.
    #[must_use]
    pub fn secrets_at(&self, now: Timestamp) -> Vec<Secret> {
        let alive = |until: &Option<Timestamp>| until.is_none_or(|until| now < until);
        let Secrets::Open { signing, .. } = &self.secrets else { return Vec::new() };
        signing.iter().filter(|(_, until)| alive(until)).map(|(secret, _)| secret.clone()).collect()
    }

    /// The headers that the customer wants beside ours; their values do not print.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        let Secrets::Open { headers, .. } = &self.secrets else { return &NONE };
        headers
    }

    /// Whether its secrets could be opened.
    #[must_use]
    pub fn readable(&self) -> Readable {
        match self.secrets {
            Secrets::Open { .. } => Readable::Yes,
            Secrets::UnknownKey => Readable::NotHere,
            Secrets::Damaged => Readable::Never,
        }
    }
}

fn origin_of(url: &str) -> Option<url::Origin> {
    url::Url::parse(url).map(|url| url.origin()).ok()
}

fn is_webhook(provider: &str) -> bool {
    provider.starts_with("custom_")
}

impl Receiver {
    /// A receiver without secrets, for tests of what only passes receivers along.
    #[doc(hidden)]
    #[must_use]
    pub fn for_tests(connection: u128) -> Self {
        let id = Uuid::from_u128(connection);
        let event = crate::connection::ConnectionEvent::Connected {
            provider: "custom_notification".into(),
            installation_id: id.to_string(),
            display_name: "test".into(),
            metadata: Value::Null,
            team_id: None,
            project_id: None,
            event_types: vec!["*".into()],
            conditions: None,
        };
        let connection = Connection::begin(id.into(), id.into(), &event, Timestamp::UNIX_EPOCH)
            .expect("a stream begins with `connected`");
        let secrets = Secrets::Open { signing: Vec::new(), headers: HeaderMap::new() };
        Self::new(connection, RetrySchedule::default(), secrets)
    }
}

/// The cache: a claim tells each connection's version, so an old copy is never used.
#[derive(Debug, Default)]
pub struct Receivers(Mutex<HashMap<ConnectionId, Arc<Receiver>>>, pub(super) Originals);

impl Receivers {
    /// The receivers of some claimed deliveries; loads what is not in memory at its version.
    pub async fn of(
        &self,
        engine: &Engine,
        claimed: &[Claimed],
    ) -> Result<HashMap<ConnectionId, Arc<Receiver>>, sqlx::Error> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        {
            let cache = self.0.lock().expect("no holder of this lock panics");
            for delivery in claimed {
                let id = delivery.connection_id;
                match cache.get(&id) {
                    Some(receiver)
                        if receiver.connection.version >= delivery.connection_version =>
                    {
                        found.insert(id, receiver.clone());
                    }
                    _ => missing.push(id),
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            found.extend(self.load_anew(engine, &missing).await?);
        }
        Ok(found)
    }

    /// The receiver as this process knows it now: a delivery may have waited since it was claimed.
    #[must_use]
    pub fn newest(&self, known: Arc<Receiver>) -> Arc<Receiver> {
        let cache = self.0.lock().expect("no holder of this lock panics");
        match cache.get(&known.connection.id) {
            Some(cached) if cached.connection.version > known.connection.version => cached.clone(),
            _ => known,
        }
    }

    /// A connection as this process knows it, if it does.
    #[must_use]
    pub fn known(&self, id: ConnectionId) -> Option<Arc<Receiver>> {
        self.0.lock().expect("no holder of this lock panics").get(&id).cloned()
    }

    /// Loads anew what has changed of some connections, so that [`Receivers::newest`] tells of it.
    /// Returns how many have.
    pub async fn refresh(
        &self,
        engine: &Engine,
        ids: &[ConnectionId],
    ) -> Result<usize, sqlx::Error> {
        let plain: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query!(
            "select id, version from relay.organization_integrations where id = any($1)",
            &plain,
        )
        .fetch_all(&engine.db.work)
        .await?;
        let changed: Vec<ConnectionId> = {
            let cache = self.0.lock().expect("no holder of this lock panics");
            let is_known = |id: ConnectionId, version: i64| {
                cache.get(&id).is_some_and(|receiver| receiver.connection.version >= version)
            };
            let rows = rows.into_iter().map(|row| (ConnectionId(row.id), row.version));
            rows.filter(|(id, version)| !is_known(*id, *version)).map(|(id, _)| id).collect()
        };
        if !changed.is_empty() {
            self.load_anew(engine, &changed).await?;
        }
        Ok(changed.len())
    }

    async fn load_anew(
        &self,
        engine: &Engine,
        ids: &[ConnectionId],
    ) -> Result<Vec<(ConnectionId, Arc<Receiver>)>, sqlx::Error> {
        let loaded = load(engine, ids).await?;
        let mut cache = self.0.lock().expect("no holder of this lock panics");
        if cache.len() + loaded.len() > CACHED_MAX {
            cache.clear();
        }
        let mut found = Vec::with_capacity(loaded.len());
        for (id, receiver) in loaded {
            let receiver = Arc::new(receiver);
            // Sealed anew, or damaged no more, a secret changes without a new version.
            if receiver.readable() == Readable::Yes {
                cache.insert(id, receiver.clone());
            }
            found.push((id, receiver));
        }
        Ok(found)
    }
}

/// Reads connections with their secrets opened.
pub async fn load(
    engine: &Engine,
    ids: &[ConnectionId],
) -> Result<HashMap<ConnectionId, Receiver>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    // One snapshot for both: a connection that is removed, or given another secret, in between must
    // not be seen with the secrets of another moment, or with none.
    let mut tx = engine.db.work.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only")
        .execute(&mut *tx)
        .await?;
    let rows = sqlx::query_as!(
        ConnectionRow,
        r#"select id, organization_id, provider, installation_id, display_name, metadata, status,
                  status_reason, paused, team_id, project_id, event_types, conditions,
                  retry_schedule, header_names, rate_limit_count, rate_limit_seconds, ordering,
                  ordering_after, digest_minutes, connected_at, created_at, updated_at, version
           from relay.organization_integrations where id = any($1)"#,
        &ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    // The row's own token serves where there is no secret beside it: rows of the old core.
    let sealed = sqlx::query_as!(
        Sealed,
        r#"select connection_id as "connection_id!", purpose as "purpose!", sealed as "sealed!",
                  expires_at
           from (
               select connection_id, purpose, version, sealed, expires_at from relay.secrets
               where connection_id = any($1) and purpose in ('signing', 'headers')
               union all
               select id, 'signing', 0, access_token, null from relay.organization_integrations c
               where id = any($1) and provider like 'custom\_%' and access_token is not null
                 and not exists (
                   select from relay.secrets s where s.connection_id = c.id and s.purpose = 'signing')
           ) s
           order by connection_id, version desc"#,
        &ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let mut receivers = HashMap::with_capacity(rows.len());
    for row in rows {
        let connection = Connection::from(row);
        let secrets = open(&engine.keys, &connection, &sealed).unwrap_or_else(|error| {
            tracing::error!(connection.id = %connection.id, error = %error, "a webhook's secret does not open");
            match error {
                UnsealError::UnknownKey(_) => Secrets::UnknownKey,
                UnsealError::Damaged => Secrets::Damaged,
            }
        });
        let schedule = connection
            .retry_schedule
            .as_deref()
            .map_or_else(|| engine.config.retry.clone(), RetrySchedule::from_seconds);
        receivers.insert(connection.id, Receiver::new(connection, schedule, secrets));
    }
    Ok(receivers)
}

/// A secret as it is stored.
struct Sealed {
    connection_id: Uuid,
    purpose: String,
    sealed: String,
    expires_at: Option<Timestamp>,
}

/// Opens what a connection has among `sealed`, where the newest come first.
fn open(
    keys: &KeyRing,
    connection: &Connection,
    sealed: &[Sealed],
) -> Result<Secrets, UnsealError> {
    let place = |purpose| Place {
        organization_id: connection.organization_id,
        connection_id: connection.id,
        purpose,
    };
    let of = |purpose: Purpose| {
        let mine = sealed.iter().filter(|sealed| sealed.connection_id == connection.id.0);
        mine.filter(move |sealed| sealed.purpose == purpose.as_str())
    };
    let signing = of(Purpose::Signing).map(|one| {
        let secret = keys.open(&one.sealed, &place(Purpose::Signing))?;
        Ok((secret, one.expires_at))
    });
    let headers = of(Purpose::Headers).next().map(|one| one.sealed.as_str());
    let headers = CustomHeaders::open(keys, &place(Purpose::Headers), headers)?;
    Ok(Secrets::Open { signing: signing.collect::<Result<_, _>>()?, headers: headers.to_map() })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn headers_go_to_the_address_that_they_were_set_for_and_nowhere_else() {
        let mut today = Receiver::for_tests(1);
        today.connection.metadata = json!({ "webhook_url": "https://new.example/hook" });
        let headers = HeaderMap::from_iter([(
            "x-key".parse().expect("a name"),
            HeaderValue::from_static("k"),
        )]);
        today.secrets = Secrets::Open { signing: Vec::new(), headers };
        let then = |url: &str| today.with_settings(&json!({ "webhook_url": url }));
        assert_eq!(then("https://new.example/old").headers().len(), 1);
        for elsewhere in
            ["https://old.example/hook", "http://new.example/hook", "https://new.example:444/"]
        {
            assert_eq!(then(elsewhere).headers().len(), 0, "{elsewhere}");
        }
        assert_eq!(today.with_settings(&json!({})).headers().len(), 0);
        assert_eq!(today.headers().len(), 1);
    }
}
