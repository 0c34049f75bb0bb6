//! Tickets that we opened, one for each subject at a connection, and whose turn it is to work on one.
//!
//! Deliveries of one subject go one after another, in the order in which they were promised: a finding
//! that is resolved soon after must not be opened last. Each lines up when it is claimed
//! (`relay.ticket_turns`), and whoever is first takes the ticket for as long as it may need, with a
//! lease in the ticket's own row: no transaction is open while HTTP is under way. The settlement gives
//! it back; when the process dies the lease runs out, and the same delivery may take it at once.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{attempt::Settled, exchange::kept_text, state::Settlement};
use crate::{
    engine::Engine,
    event::RecordedEvent,
    ids::ConnectionId,
    outbox::{Claimed, interval},
    provider::{Delivered, Ticket, Verdict, Wish},
};

/// How long one delivery may have a ticket for itself: longer than any attempt lasts.
const BUSY: Duration = Duration::from_secs(5 * 60);
/// The wait for another delivery that is at work.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest wait for another delivery that is due later.
const WAIT_MAX: Duration = Duration::from_secs(10 * 60);

/// A subject at a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketKey {
    /// What belongs together there.
    pub subject: String,
    /// The same as an id, from which the mark in what we make is made.
    pub key: Uuid,
}

impl TicketKey {
    /// Which ticket an event belongs to at a connection; `None` where it stands for itself.
    #[must_use]
    pub fn of(event: &RecordedEvent, connection_id: ConnectionId) -> Option<Self> {
        let subject = event.ticket_subject()?.into_owned();
        Some(Self { key: Uuid::new_v5(&connection_id.0, subject.as_bytes()), subject })
    }
}

/// What an event asks of its ticket.
#[must_use]
pub fn wish(event: &RecordedEvent) -> Wish {
    if event.kind == "vulnerability.resolved" { Wish::Close } else { Wish::Open }
}

/// A ticket that was taken, and what its row is told at the settlement.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Which.
    pub key: TicketKey,
    /// As it was known when it was taken.
    pub known: Option<Ticket>,
    /// How long ago an earlier attempt may have opened it unheard.
    pub unheard_for: Option<Duration>,
    /// Whether this attempt may have opened it unheard; until it is over, nobody can know.
    pub may_have_created: bool,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    None,
    Is(Ticket),
}

impl Taken {
    #[cfg(test)]
    pub(super) fn for_tests(key: TicketKey, unheard_for: Option<Duration>) -> Self {
        Self { key, known: None, unheard_for, may_have_created: false, change: Change::None }
    }

    /// Learns from the verdict what the ticket is now.
    pub(super) fn learn(&mut self, verdict: &Verdict) {
        self.change = match verdict {
            Verdict::Delivered(Delivered { ticket: Some(ticket), .. }) => Change::Is(kept(ticket)),
            // It is remembered all the same: the next one must get another mark than it had.
            Verdict::NothingToDo("ticket_gone") => match &self.known {
                Some(known) => Change::Is(Ticket { is_open: false, ..known.clone() }),
                None => Change::None,
            },
            _ => Change::None,
        };
    }

    /// Whether its row says nothing: it was never opened, by nobody, for certain.
    fn was_never_opened(&self) -> bool {
        self.known.is_none()
            && self.unheard_for.is_none()
            && !self.may_have_created
            && matches!(self.change, Change::None)
    }
}

/// What asking for a ticket gives.
#[derive(Debug)]
pub(super) enum Take {
    /// It is ours.
    Taken(Box<Taken>),
    /// Another delivery goes first.
    Busy(Duration),
}

/// Lines deliveries up for their tickets. Asking twice is harmless.
pub(super) async fn line_up(
    engine: &Engine,
    waiting: &[(&Claimed, &TicketKey)],
) -> Result<(), sqlx::Error> {
    if waiting.is_empty() {
        return Ok(());
    }
    let of = |id: fn(&Claimed) -> Uuid| -> Vec<Uuid> {
        waiting.iter().map(|(claimed, _)| id(claimed)).collect()
    };
    let keys: Vec<Uuid> = waiting.iter().map(|(_, key)| key.key).collect();
    // The pool of leases: what is lost with the database is lost with the claims that it follows.
    sqlx::query!(
        "insert into relay.ticket_turns (connection_id, ticket_key, delivery_id, organization_id)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[])
         on conflict do nothing",
        &of(|claimed| claimed.connection_id.0),
        &keys,
        &of(|claimed| claimed.delivery_id.0),
        &of(|claimed| claimed.organization_id.0),
    )
    .execute(engine.db.lease_pool())
    .await?;
    Ok(())
}

/// Takes a ticket for one delivery, unless another is at work on it or was promised earlier.
pub(super) async fn take(
    engine: &Engine,
    claimed: &Claimed,
    key: TicketKey,
) -> Result<Take, sqlx::Error> {
    let (connection_id, delivery_id) = (claimed.connection_id.0, claimed.delivery_id.0);
    let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    // Who still has a ticket that is busy never gave it back, and may have been at work since.
    let before = sqlx::query!(
        r#"select (
               select case when o.lease_until > now() then 0
                           else (extract(epoch from o.due_at - now()) * 1000)::bigint end
               from relay.ticket_turns t
               join relay.outbox o
                   on o.organization_id = t.organization_id and o.delivery_id = t.delivery_id
               where t.connection_id = $1 and t.ticket_key = $2 and t.delivery_id < $3
                 and o.shard >= 0
               order by t.delivery_id limit 1
           ) as earlier_ms,
           (
               select (extract(epoch from now() - greatest(t.updated_at, t.busy_until - $4::interval)) * 1000)::bigint
               from relay.tickets t where t.connection_id = $1 and t.ticket_key = $2
           ) as unheard_ms"#,
        connection_id,
        key.key,
        delivery_id,
        interval(BUSY),
    )
    .fetch_one(&engine.db.work)
    .await?;
    if let Some(ms) = before.earlier_ms {
        return Ok(Take::Busy((millis(ms) + WAIT_MIN).min(WAIT_MAX)));
    }
    let row = sqlx::query!(
        r#"insert into relay.tickets as t (
               connection_id, ticket_key, organization_id, subject, busy_delivery, busy_until)
           values ($1, $2, $3, $4, $5, now() + $6)
           on conflict (connection_id, ticket_key) do update
               set busy_delivery = excluded.busy_delivery, busy_until = excluded.busy_until
               where t.busy_until is null or t.busy_until < now()
                  or t.busy_delivery = excluded.busy_delivery
           returning external_id, external_key, url, is_open, (xmax = 0) as "is_new!""#,
        connection_id,
        key.key,
        claimed.organization_id.0,
        key.subject,
        delivery_id,
        interval(BUSY),
    )
    .fetch_optional(&engine.db.work)
    .await?;
    let Some(row) = row else { return Ok(Take::Busy(WAIT_MIN)) };
    let is_unheard = !row.is_new && row.external_id.is_none();
    let unheard_for = is_unheard.then(|| before.unheard_ms.map_or(Duration::ZERO, millis));
    let known = row.external_id.map(|external_id| Ticket {
        external_id,
        external_key: row.external_key,
        url: row.url,
        is_open: row.is_open,
    });
    Ok(Take::Taken(Box::new(Taken {
        key,
        known,
        unheard_for,
        may_have_created: false,
        change: Change::None,
    })))
}

/// A ticket without what a database refuses.
fn kept(ticket: &Ticket) -> Ticket {
    Ticket {
        external_id: kept_text(&ticket.external_id),
        external_key: ticket.external_key.as_deref().map(kept_text),
        url: ticket.url.as_deref().map(kept_text),
        is_open: ticket.is_open,
    }
}

/// Writes what became of the tickets of deliveries that were just settled under their leases, in the
/// same transaction, and gives the tickets back. One that was never opened leaves no row: a row
/// without a ticket says that one may be there, unheard of, and since when.
pub(super) async fn give_back(
    tx: &mut PgConnection,
    settled: &[&Settled],
) -> Result<(), sqlx::Error> {
    let taken: Vec<(&Settled, &Taken)> =
        settled.iter().filter_map(|one| Some((*one, one.ticket.as_ref()?))).collect();
    if taken.is_empty() {
        return Ok(());
    }
    fn all<'a, T>(
        taken: &[(&'a Settled, &'a Taken)],
        of: impl Fn(&'a Settled, &'a Taken) -> T,
    ) -> Vec<T> {
        taken.iter().map(|(one, ticket)| of(one, ticket)).collect()
    }
    fn now_is(ticket: &Taken) -> Option<&Ticket> {
        match &ticket.change {
            Change::Is(ticket) => Some(ticket),
            Change::None => None,
        }
    }
    let connection_ids: Vec<Uuid> = all(&taken, |one, _| one.claimed.connection_id.0);
    let keys: Vec<Uuid> = all(&taken, |_, ticket| ticket.key.key);
    let delivery_ids: Vec<Uuid> = all(&taken, |one, _| one.claimed.delivery_id.0);
    let is_final: Vec<bool> = all(&taken, |one, _| Settlement::is_final(one.settlement));
    let is_changed: Vec<bool> = all(&taken, |_, t| now_is(t).is_some());
    let external_ids: Vec<Option<&str>> =
        all(&taken, |_, t| now_is(t).map(|t| t.external_id.as_str()));
    let external_keys: Vec<Option<&str>> =
        all(&taken, |_, t| now_is(t).and_then(|t| t.external_key.as_deref()));
    let urls: Vec<Option<&str>> = all(&taken, |_, t| now_is(t).and_then(|t| t.url.as_deref()));
    let is_open: Vec<bool> = all(&taken, |_, t| now_is(t).is_some_and(|t| t.is_open));
    let is_unheard: Vec<bool> = all(&taken, |_, t| t.may_have_created);
    let is_nothing: Vec<bool> = all(&taken, |_, t| t.was_never_opened());
    sqlx::query!(
        r#"
        with v as materialized (
            select * from unnest(
                $1::uuid[], $2::uuid[], $3::uuid[], $4::boolean[], $5::boolean[], $6::text[],
                $7::text[], $8::text[], $9::boolean[], $10::boolean[], $11::boolean[]
            ) as v(connection_id, ticket_key, delivery_id, is_final, is_changed, external_id,
                   external_key, url, is_open, is_unheard, is_nothing)
        ),
        given_back as (
            update relay.tickets t set
                busy_delivery = null, busy_until = null,
                external_id = case when v.is_changed then v.external_id else t.external_id end,
                external_key = case when v.is_changed then v.external_key else t.external_key end,
                url = case when v.is_changed then v.url else t.url end,
                is_open = case when v.is_changed then v.is_open else t.is_open end,
                updated_at = case when v.is_changed or v.is_unheard then now() else t.updated_at end
            from v
            where t.connection_id = v.connection_id and t.ticket_key = v.ticket_key
              and t.busy_delivery = v.delivery_id and not v.is_nothing
        ),
        forgotten as (
            delete from relay.tickets t using v
            where t.connection_id = v.connection_id and t.ticket_key = v.ticket_key
              and t.busy_delivery = v.delivery_id and v.is_nothing
        )
        delete from relay.ticket_turns t using v
        where t.connection_id = v.connection_id and t.ticket_key = v.ticket_key
          and t.delivery_id = v.delivery_id and v.is_final
        "#,
        &connection_ids,
        &keys,
        &delivery_ids,
        &is_final,
        &is_changed,
        &external_ids as &[Option<&str>],
        &external_keys as &[Option<&str>],
        &urls as &[Option<&str>],
        &is_open,
        &is_unheard,
        &is_nothing,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets the turns of deliveries that are settled: those that ended without ever having one.
/// Returns how many there were.
pub async fn tidy_turns(engine: &Engine) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from relay.ticket_turns t
         where not exists (select from relay.outbox o
                           where o.organization_id = t.organization_id
                             and o.delivery_id = t.delivery_id)"
    )
    .execute(&engine.db.work)
    .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::recorded;

    fn taken() -> Taken {
        Taken::for_tests(TicketKey { subject: "s".into(), key: Uuid::nil() }, None)
    }

    #[test]
    fn a_ticket_is_remembered_as_the_provider_left_it() {
        let ticket = Ticket {
            external_id: "10001".into(),
            external_key: Some("SEC-1".into()),
            url: None,
            is_open: false,
        };
        let mut taken = taken();
        let delivered = Delivered { ticket: Some(ticket.clone()), ..Delivered::default() };
        taken.learn(&Verdict::Delivered(delivered));
        assert!(matches!(&taken.change, Change::Is(known) if *known == ticket));
        taken.known = Some(Ticket { is_open: true, ..ticket.clone() });
        taken.learn(&Verdict::NothingToDo("ticket_gone"));
        assert!(
            matches!(&taken.change, Change::Is(known) if *known == ticket),
            "closed, and known"
        );
        for verdict in [Verdict::delivered(), Verdict::NothingToDo("no_ticket"), Verdict::Gone] {
            taken.learn(&verdict);
            assert!(matches!(taken.change, Change::None), "{verdict:?}");
        }
    }

    #[test]
    fn b35_only_a_creation_that_was_not_refused_leaves_a_doubt() {
        assert!(taken().was_never_opened());
        let unheard = Taken { may_have_created: true, ..taken() };
        let before = Taken { unheard_for: Some(Duration::from_secs(90)), ..taken() };
        let opened =
            || Ticket { external_id: "10001".into(), external_key: None, url: None, is_open: true };
        let known = Taken { known: Some(opened()), ..taken() };
        let learned = Taken { change: Change::Is(opened()), ..taken() };
        for doubtful in [unheard, before, known, learned] {
            assert!(!doubtful.was_never_opened(), "{doubtful:?}");
        }
    }

    #[test]
    fn found_and_resolved_are_one_ticket_at_one_connection() {
        let data = r#"{"vulnerability_id":"CVE-1","package":"lodash","project":"shop"}"#;
        let (found, resolved) =
            (recorded("vulnerability.found", data), recorded("vulnerability.resolved", data));
        let (here, there) = (ConnectionId(Uuid::from_u128(1)), ConnectionId(Uuid::from_u128(2)));
        assert_eq!(TicketKey::of(&found, here), TicketKey::of(&resolved, here));
        assert_ne!(TicketKey::of(&found, here), TicketKey::of(&found, there));
        assert_eq!(TicketKey::of(&recorded("test.ping", "{}"), here), None);
        assert_eq!((wish(&found), wish(&resolved)), (Wish::Open, Wish::Close));
    }
}
