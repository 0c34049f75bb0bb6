//! Who read payloads and took data away, recorded before they have it; and one list of that and of
//! all else that people did.

use serde_json::{Map, Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    connection::Actor,
    db::DbError,
    delivery::DeliveryFilter,
    engine::Engine,
    id_time,
    ids::{DeliveryId, EventId, OrganizationId},
    page,
};

/// The most facts of one page.
pub const PAGE_MAX: u16 = 200;
/// How many facts one page looks through, whether or not it gets full.
const CANDIDATES: i64 = 2_000;
/// How much of a reason is kept, in characters.
const REASON_MAX: usize = 500;
/// How much of a filter is kept, in characters. What is longer than that finds nothing.
const FILTER_MAX: usize = 512;

/// Something that holds what an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The event itself.
    Event(EventId),
    /// A delivery of it, with the bodies of its requests and answers.
    Delivery(DeliveryId, EventId),
}

impl Payload {
    fn id(self) -> Uuid {
        match self {
            Self::Event(id) => id.0,
            Self::Delivery(id, _) => id.0,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Event(_) => "event.payload_read",
            Self::Delivery(..) => "delivery.payload_read",
        }
    }

    fn data(self) -> Value {
        match self {
            Self::Event(_) => json!({}),
            Self::Delivery(_, event_id) => json!({ "event_id": event_id }),
        }
    }
}

/// Records that somebody is about to see payloads. Within an hour the same person's reading of the same
/// thing is recorded once. An error means that they must not be shown.
pub async fn record_read(
    engine: &Engine,
    organization_id: OrganizationId,
    actor: &Actor,
    payloads: &[Payload],
) -> Result<(), DbError> {
    if payloads.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = payloads.iter().map(|payload| payload.id()).collect();
    let kinds: Vec<&str> = payloads.iter().map(|payload| payload.kind()).collect();
    let data: Vec<Json<Value>> = payloads.iter().map(|payload| Json(payload.data())).collect();
    // The index refuses one of two who ask at the same moment; what is there already costs no write.
    sqlx::query!(
        "insert into relay.event_log (
             id, category, organization_id, stream_id, kind, payload, actor, occurred_at)
         select relay.uuid7(), 'audit', $1, r.id, r.kind, r.data::json, $2, now()
         from unnest($3::uuid[], $4::text[], $5::jsonb[]) as r(id, kind, data)
         where not exists (
             select from relay.event_log_audit a
             where a.stream_id = r.id and a.actor = $2 and a.kind = r.kind
               and a.occurred_at > now() - interval '1 hour')
         on conflict do nothing",
        organization_id.0,
        actor.as_text(),
        &ids,
        &kinds as &[&str],
        &data as &[Json<Value>],
    )
    .execute(&engine.db.api)
    .await?;
    Ok(())
}

/// Records that somebody is about to get a file of deliveries: every time. An error means that they
/// must not get it.
pub async fn record_export(
    engine: &Engine,
    organization_id: OrganizationId,
    actor: &Actor,
    filter: &DeliveryFilter,
    reason: Option<&str>,
) -> Result<(), DbError> {
    let data = json!({ "filter": as_asked(filter), "reason": kept_reason(reason) });
    sqlx::query!(
        "insert into relay.event_log (
             id, category, organization_id, kind, payload, actor, occurred_at)
         values (relay.uuid7(), 'audit', $1, 'deliveries.exported', $2, $3, now())",
        organization_id.0,
        Json(data) as _,
        actor.as_text(),
    )
    .execute(&engine.db.api)
    .await?;
    Ok(())
}

/// What is kept of a person's reason for something.
pub(crate) fn kept_reason(reason: Option<&str>) -> Option<String> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty())?;
    Some(reason.chars().filter(|c| *c != '\0').take(REASON_MAX).collect())
}

/// A filter by the names that it is asked for with; only what is set.
fn as_asked(filter: &DeliveryFilter) -> Value {
    let text = |text: &Option<String>| {
        text.as_deref().map(|text| text.chars().take(FILTER_MAX).collect::<String>())
    };
    let asked = json!({
        "status": Some(&filter.statuses).filter(|statuses| !statuses.is_empty()),
        "connection_id": filter.connection_id,
        "provider": text(&filter.provider),
        "event_id": filter.event_id,
        "event": text(&filter.kind),
        "subject": text(&filter.subject),
        "error_class": text(&filter.error_class),
        "external_id": text(&filter.external_id),
        "class": filter.class.map(|class| class.as_str()),
        "since": filter.since,
        "until": filter.until,
    });
    let Value::Object(asked) = asked else { return asked };
    Value::Object(asked.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

/// Whose facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This person's.
    Person(Uuid),
    /// Anybody's who signed in.
    People,
    /// Relay's own, and the command line's.
    System,
}

/// Which facts to show, the newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only these people's.
    pub by: Option<By>,
    /// Only of this kind, or, named by its first words, of this family: `connection`.
    pub kind: Option<String>,
    /// Only recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Only recorded before this moment.
    pub until: Option<Timestamp>,
    /// Only those after this one on the page before.
    pub before: Option<Uuid>,
    /// How many, at most [`PAGE_MAX`]; 0 means 50.
    pub limit: u16,
}

/// Something that was done.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its id.
    pub id: Uuid,
    /// What; its first word says what `about` is an id of.
    pub kind: String,
    /// To which connection, replay, delivery or event.
    pub about: Option<Uuid>,
    /// The version of a connection or a replay from then on.
    pub version: Option<i64>,
    /// The person who did it; `None` for Relay itself.
    pub user_id: Option<Uuid>,
    /// When.
    pub at: Timestamp,
    /// What the log keeps of it; never a secret, and no payload.
    pub data: Value,
}

/// Some facts, and where the next page begins.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// The newest first.
    pub items: Vec<Fact>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<Uuid>,
}

/// A page of what was done in an organization: to connections and replays, and with what was reported.
/// Pages stay apart under inserts. One that has looked at many facts ends before it is full.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &AuditFilter,
) -> Result<AuditPage, DbError> {
    let limit = usize::from(page::size(filter.limit, PAGE_MAX));
    let before = page::below(filter.until, filter.before);
    let actor = match filter.by {
        Some(By::Person(id)) => Some(Actor::user(id, None).as_text()),
        Some(By::System) => Some(Actor::system().as_text()),
        Some(By::People) | None => None,
    };
    // Of each table so many by its index: what is filtered out costs no more than that.
    let rows = sqlx::query!(
        r#"
        with candidate as materialized (
            select c.* from (
                (select id, kind, actor, stream_id, version, occurred_at, payload
                 from relay.event_log_connection
                 where organization_id = $1 and id < $2 and id >= $3 order by id desc limit $4)
                union all
                (select id, kind, actor, stream_id, version, occurred_at, payload
                 from relay.event_log_replay
                 where organization_id = $1 and id < $2 and id >= $3 order by id desc limit $4)
                union all
                (select id, kind, actor, stream_id, version, occurred_at, payload
                 from relay.event_log_audit
                 where organization_id = $1 and id < $2 and id >= $3 order by id desc limit $4)
            ) c
            order by c.id desc limit $4
        ),
        found as (
            select c.* from candidate c
            where ($5::text is null or c.actor = $5)
              and (not $6 or starts_with(c.actor, 'user:'))
              and ($7::text is null or starts_with(c.kind || '.', $7 || '.'))
            order by c.id desc limit $8
        )
        select f.id as "id?", f.kind as "kind?", f.actor, f.stream_id, f.version,
               f.occurred_at as "occurred_at?", f.payload as "payload?: Value", r.id as "reached?"
        from (select) one
        left join (
            select c.id from candidate c
            where (select count(*) from candidate) >= $4 order by c.id limit 1
        ) r on true
        left join found f on true
        order by f.id desc
        "#,
        organization_id.0,
        before,
        filter.since.map_or(Uuid::nil(), id_time::floor),
        CANDIDATES,
        actor,
        filter.by == Some(By::People),
        filter.kind,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(&engine.db.api)
    .await?;
    let reached = rows.first().and_then(|row| row.reached);
    let facts = rows.into_iter().filter_map(|row| {
        Some(Fact {
            id: row.id?,
            kind: row.kind?,
            about: row.stream_id,
            version: row.version,
            user_id: row.actor.as_deref().and_then(Actor::person),
            at: row.occurred_at?,
            data: row.payload?,
        })
    });
    let items: Vec<Fact> = facts.collect();
    let last = items.last().map(|fact| fact.id).filter(|_| items.len() >= limit);
    Ok(AuditPage { items, next: last.or(reached) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::DeliveryStatus, outbox::Class};

    #[test]
    fn a_filter_is_kept_by_the_names_that_it_is_asked_for_with() {
        let id = Uuid::from_u128(7);
        let filter = DeliveryFilter {
            statuses: vec![DeliveryStatus::Dead],
            connection_id: Some(id.into()),
            kind: Some("a.b".into()),
            subject: Some("é".repeat(600)),
            class: Some(Class::Replay),
            ..DeliveryFilter::default()
        };
        let expected = json!({
            "status": ["dead"], "connection_id": id, "event": "a.b", "class": "replay",
            "subject": "é".repeat(512),
        });
        assert_eq!(as_asked(&filter), expected);
        assert_eq!(as_asked(&DeliveryFilter::default()), json!({}));
    }

    #[test]
    fn a_reason_is_kept_up_to_its_bound() {
        assert_eq!(kept_reason(None), None);
        assert_eq!(kept_reason(Some("  ")), None);
        assert_eq!(kept_reason(Some(" a\0b ")).as_deref(), Some("ab"));
        assert_eq!(kept_reason(Some(&"é".repeat(600))), Some("é".repeat(500)));
    }

    #[test]
    fn a_fact_names_what_was_read() {
        let (delivery, event) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let read = Payload::Delivery(delivery.into(), event.into());
        assert_eq!((read.id(), read.kind()), (delivery, "delivery.payload_read"));
        assert_eq!(read.data(), json!({ "event_id": event }));
        let read = Payload::Event(event.into());
        assert_eq!((read.id(), read.kind(), read.data()), (event, "event.payload_read", json!({})));
    }
}
