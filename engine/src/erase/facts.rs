//! What was done, to what and by whom: connections with their histories, replays, and who looked.

use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Asking, Batch, Counts};
use crate::{
    clock::Timestamp,
    connection::{Connection, ConnectionEvent, Status, store},
    ids::ConnectionId,
    projection,
};

/// The facts about replays and audits of one batch.
const FACTS: i64 = 1_000;

/// The name of a custom webhook stands in its settings too.
const LABEL: &str = "custom_name";

/// One fact of a connection's history.
struct Fact {
    version: i64,
    at: Timestamp,
    before: ConnectionEvent,
    /// As it reads from now on.
    after: ConnectionEvent,
    /// Whether anything of it changes, be it who did it.
    changes: bool,
}

/// Blanks the history of one connection, and brings the read model to what it says now. Of a subject,
/// a connection that lives keeps all but its name: the others are its settings.
pub(super) async fn blank_stream(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
) -> Result<Batch, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "select id from relay.organization_integrations
         where organization_id = $1 and id > $2 order by id limit 1",
        asking.organization_id.0,
        asking.after,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(id) = id.map(ConnectionId) else { return Ok(Batch::default()) };
    // Its writers wait, so that the log and the row are brought to the same.
    sqlx::query!("select version from relay.streams where stream_id = $1 for update", id.0)
        .fetch_optional(&mut *tx)
        .await?;
    let mut batch = Batch { next: Some(id.0), ..Batch::default() };
    let facts = read(tx, asking, id).await?;
    batch.looked = facts.len() as u64;
    let Some(stored) = store::load(tx, asking.organization_id, id).await? else { return Ok(batch) };
    let folded = fold(asking, id, &facts, |fact| &fact.after);
    let Some(folded) = folded else {
        // Older than the log, and removed: there is the row alone.
        if asking.subject.is_none() {
            store::save(tx, &blanked(&stored)).await?;
        }
        return Ok(batch);
    };
    let is_used = asking.subject.is_some() && stored.status != Status::Disconnected;
    let was = fold(asking, id, &facts, |fact| &fact.before);
    if is_used && was.as_ref().map(unnamed) != Some(unnamed(&folded)) {
        batch.kept.push(id);
        return Ok(batch);
    }
    let changing: Vec<&Fact> = facts.iter().filter(|fact| fact.changes).collect();
    if changing.is_empty() {
        return Ok(batch);
    }
    batch.counts.facts = write(tx, asking, id, &changing).await?;
    store::save(tx, &folded).await?;
    Ok(batch)
}

async fn read(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
    id: ConnectionId,
) -> Result<Vec<Fact>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select kind, version as "version!", occurred_at, payload as "payload!: Value",
                  case when $3::text is null then payload else relay.redacted(payload, $3) end as "redacted!: Value",
                  actor is distinct from case
                      when $3::text is null or actor = 'user:' || lower($3) then relay.pseudonym(actor, $4)
                      else actor end as "is_somebody!"
           from relay.event_log
           where category = 'connection' and organization_id = $1 and stream_id = $2
           order by version"#,
        asking.organization_id.0,
        id.0,
        asking.subject,
        asking.salt,
    )
    .fetch_all(tx)
    .await?;
    let mut facts = Vec::with_capacity(rows.len());
    for row in rows {
        let parse = |payload: &Value| {
            ConnectionEvent::from_stored(&row.kind, payload)
                .map_err(|error| sqlx::Error::Decode(error.into()))
        };
        let before = parse(&row.payload)?;
        let after = match asking.subject {
            None => before.erased(id),
            Some(_) => parse(&row.redacted)?,
        };
        let changes = after.payload() != before.payload() || row.is_somebody;
        facts.push(Fact { version: row.version, at: row.occurred_at, before, after, changes });
    }
    Ok(facts)
}

/// A connection but for what people call it.
fn unnamed(state: &Connection) -> Connection {
    let mut unnamed = Connection { display_name: String::new(), ..state.clone() };
    if let Some(metadata) = unnamed.metadata.as_object_mut() {
        metadata.remove(LABEL);
    }
    unnamed
}

fn fold(
    asking: &Asking<'_>,
    id: ConnectionId,
    facts: &[Fact],
    of: impl Fn(&Fact) -> &ConnectionEvent,
) -> Option<Connection> {
    let (first, others) = facts.split_first()?;
    let owner = asking.organization_id;
    let mut state = projection::begin(id, owner, of(first), first.at, first.version)?;
    for fact in others {
        state.apply(of(fact), fact.at);
    }
    Some(state)
}

/// A row without a history.
fn blanked(stored: &Connection) -> Connection {
    let erased = stored.adopted().erased(stored.id);
    let begun = Connection::begin(stored.id, stored.organization_id, &erased, stored.created_at)
        .expect("a stream may begin with `adopted`");
    Connection { version: stored.version, updated_at: stored.updated_at, ..begun }
}

async fn write(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
    id: ConnectionId,
    facts: &[&Fact],
) -> Result<u64, sqlx::Error> {
    let versions: Vec<i64> = facts.iter().map(|fact| fact.version).collect();
    let payloads: Vec<Json<Value>> = facts.iter().map(|fact| Json(fact.after.payload())).collect();
    let done = sqlx::query!(
        "update relay.event_log l
         set payload = n.payload::json, erased_at = clock_timestamp(),
             actor = case when $5::text is null or l.actor = 'user:' || lower($5)
                     then relay.pseudonym(l.actor, $6) else l.actor end
         from unnest($3::bigint[], $4::jsonb[]) as n(version, payload)
         where l.category = 'connection' and l.organization_id = $1 and l.stream_id = $2
           and l.version = n.version",
        asking.organization_id.0,
        id.0,
        &versions,
        &payloads as &[Json<Value>],
        asking.subject,
        asking.salt,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Blanks facts about replays, and about who read and took away what. Who erased what stays.
pub(super) async fn blank_facts(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
) -> Result<Batch, sqlx::Error> {
    let page = sqlx::query!(
        r#"select (array_agg(p.id order by p.id desc))[1] as last, count(*) as "count!"
           from (select id from relay.event_log
                 where category in ('replay', 'audit') and organization_id = $1 and id > $2
                 order by id limit $3) p"#,
        asking.organization_id.0,
        asking.after,
        FACTS,
    )
    .fetch_one(&mut *tx)
    .await?;
    let Some(last): Option<Uuid> = page.last else { return Ok(Batch::default()) };
    let done = sqlx::query!(
        "update relay.event_log l
         set payload = case when $4::text is null then '{}'::json else relay.redacted(l.payload, $4) end,
             actor = case when $4::text is null or l.actor = 'user:' || lower($4)
                     then relay.pseudonym(l.actor, $5) else l.actor end,
             erased_at = clock_timestamp()
         where l.category in ('replay', 'audit') and l.organization_id = $1
           and l.id > $2 and l.id <= $3 and l.kind not like 'erasure.%'
           and case when $4::text is null then l.erased_at is null
                    else l.payload::jsonb::text ~* relay.standing_alone($4)
                         or coalesce(l.actor = 'user:' || lower($4), false) end",
        asking.organization_id.0,
        asking.after,
        last,
        asking.subject,
        asking.salt,
    )
    .execute(tx)
    .await?;
    Ok(Batch {
        looked: u64::try_from(page.count).unwrap_or(0),
        counts: Counts { facts: done.rows_affected(), ..Counts::default() },
        next: (page.count >= FACTS).then_some(last),
        ..Batch::default()
    })
}
