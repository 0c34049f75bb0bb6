//! What was sent and answered, and the small tables.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Asking, Batch, Counts};

/// The attempts of one batch, but for those of its last delivery.
const ATTEMPTS: i64 = 1_000;
/// The keys of callers that one batch deletes.
const KEYS: i64 = 5_000;

/// Blanks what went over the wire, and what was answered.
pub(super) async fn blank_attempts(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
) -> Result<Batch, sqlx::Error> {
    let page = sqlx::query!(
        r#"select (array_agg(p.delivery_id order by p.delivery_id desc))[1] as last, count(*) as "count!"
           from (select delivery_id from relay.attempts
                 where organization_id = $1 and delivery_id > $2 order by delivery_id limit $3) p"#,
        asking.organization_id.0,
        asking.after,
        ATTEMPTS,
    )
    .fetch_one(&mut *tx)
    .await?;
    let Some(last) = page.last else { return Ok(Batch::default()) };
    let done = sqlx::query!(
        "update relay.attempts a
         set error = null, response_head = null, details = null, external_id = null, external_url = null
         where a.organization_id = $1 and a.delivery_id > $2 and a.delivery_id <= $3
           and num_nonnulls(a.error, a.response_head, a.details, a.external_id, a.external_url) > 0
           and ($4::text is null
                or concat_ws(' ', a.error, a.response_head, a.details, a.external_id, a.external_url)
                   ~* relay.standing_alone($4)
                or exists (select from relay.event_log l
                           where l.category = 'product' and l.id = a.event_id and l.erased_at is not null))",
        asking.organization_id.0,
        asking.after,
        last,
        asking.subject,
    )
    .execute(tx)
    .await?;
    Ok(Batch {
        looked: u64::try_from(page.count).unwrap_or(0),
        counts: Counts { attempts: done.rows_affected(), ..Counts::default() },
        next: (page.count >= ATTEMPTS).then_some(last),
        ..Batch::default()
    })
}

/// The same for the deliveries of some events, whose ids lie in a range.
pub(super) async fn blank_attempts_of(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
    events: &[Uuid],
    from: Uuid,
    until: Uuid,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update relay.attempts a
         set error = null, response_head = null, details = null, external_id = null, external_url = null
         where a.organization_id = $1 and a.delivery_id >= $2 and a.delivery_id < $3
           and a.event_id = any($4)
           and num_nonnulls(a.error, a.response_head, a.details, a.external_id, a.external_url) > 0",
        asking.organization_id.0,
        from,
        until,
        events,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes what nobody counts, and what replays were asked for with.
pub(super) async fn delete(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
) -> Result<Batch, sqlx::Error> {
    if asking.after == Uuid::max() {
        return Ok(Batch::default());
    }
    let keys = delete_keys(tx, asking).await?;
    let is_more = !asking.is_rehearsal && keys >= u64::try_from(KEYS).unwrap_or(0);
    let mut others = keys;
    if !is_more {
        others += blank_replays(tx, asking).await?;
        others += match asking.subject {
            None => delete_all(tx, asking).await?,
            Some(subject) => delete_subject(tx, asking, subject).await?,
        };
    }
    Ok(Batch {
        counts: Counts { others, ..Counts::default() },
        next: is_more.then_some(Uuid::nil()),
        ..Batch::default()
    })
}

/// By these keys a caller may repeat an event for two days: afterwards the repetition is a new one.
async fn delete_keys(tx: &mut PgConnection, asking: &Asking<'_>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from relay.idempotency_keys k using (
             select i.key, i.day from relay.idempotency_keys i
             where i.organization_id = $1
               and ($2::text is null or i.key ~* relay.standing_alone($2)
                    or exists (select from relay.event_log l
                               where l.category = 'product' and l.id = i.event_id
                                 and l.erased_at is not null))
             limit $3) found
         where k.organization_id = $1 and k.key = found.key and k.day = found.day",
        asking.organization_id.0,
        asking.subject,
        if asking.is_rehearsal { i64::MAX } else { KEYS },
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

async fn blank_replays(tx: &mut PgConnection, asking: &Asking<'_>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update relay.replay_jobs j
         set selection = case when $2::text is null then '{}'::jsonb
                         else relay.redacted(j.selection::json, $2)::jsonb end,
             reason = case when $2::text is null or j.reason ~* relay.standing_alone($2) then null else j.reason end,
             created_by = case when $2::text is null or j.created_by = 'user:' || lower($2)
                          then relay.pseudonym(j.created_by, $3) else j.created_by end
         where j.organization_id = $1
           and case when $2::text is null
                    then j.selection <> '{}' or j.reason is not null or j.created_by like 'user:%'
                    else coalesce(concat_ws(' ', j.selection::text, j.reason) ~* relay.standing_alone($2), false)
                         or j.created_by = 'user:' || lower($2) end",
        asking.organization_id.0,
        asking.subject,
        asking.salt,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

async fn delete_all(tx: &mut PgConnection, asking: &Asking<'_>) -> Result<u64, sqlx::Error> {
    let count = sqlx::query_scalar!(
        r#"with gone as (
               delete from relay.tickets where organization_id = $1 returning 1
           ), turns as (
               delete from relay.ticket_turns where organization_id = $1 returning 1
           ), health as (
               delete from relay.connection_health where organization_id = $1 returning 1
           ), pictures as (
               delete from relay.icons where organization_id = $1 returning 1
           ), consents as (
               delete from relay.oauth_states where organization_id = $1 returning 1
           ), sealed as (
               delete from relay.secrets where organization_id = $1 returning 1
           )
           select (select count(*) from gone) + (select count(*) from turns)
                  + (select count(*) from health) + (select count(*) from pictures)
                  + (select count(*) from consents) + (select count(*) from sealed) as "count!""#,
        asking.organization_id.0,
    )
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

async fn delete_subject(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
    subject: &str,
) -> Result<u64, sqlx::Error> {
    let count = sqlx::query_scalar!(
        r#"with gone as (
               delete from relay.tickets t
               where t.organization_id = $1 and t.subject ~* relay.standing_alone($2)
               returning t.connection_id, t.ticket_key
           ), turns as (
               delete from relay.ticket_turns w using gone
               where w.connection_id = gone.connection_id and w.ticket_key = gone.ticket_key
               returning 1
           ), consents as (
               delete from relay.oauth_states s
               where s.organization_id = $1 and s.user_id::text = lower($2) returning 1
           )
           select (select count(*) from gone) + (select count(*) from turns)
                  + (select count(*) from consents) as "count!""#,
        asking.organization_id.0,
        subject,
    )
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}
