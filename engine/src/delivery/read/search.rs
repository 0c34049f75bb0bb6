//! Finds the deliveries that a filter asks for, without ever reading far.
//!
//! A search goes from the newest to the oldest in steps. Each step looks at so many candidates of one
//! [`Source`], the one that holds the fewest where the filter's are all among them, and says how far it
//! reached. After [`Source::steps`] the search ends, whether or not the page is full: how long it takes
//! depends on neither how many deliveries there are nor how rare those are that are wanted.

mod sources;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{DeliveryFilter, DeliveryStatus};
use crate::{
    db::DbError,
    engine::Engine,
    id_time,
    ids::{DeliveryId, OrganizationId},
};

/// How long after its event's id a delivery's id may be made: they are made in one statement, which
/// has no time for more.
pub(in crate::delivery) const MADE_AFTER_MAX: TimeDelta = TimeDelta::seconds(1);
/// And how long before it, as the first version made them.
pub(in crate::delivery) const MADE_BEFORE_MAX: TimeDelta = TimeDelta::milliseconds(1);
/// How many connections are searched one by one.
const CONNECTIONS_MAX: usize = 16;

/// What a search found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// The newest first.
    pub(super) ids: Vec<DeliveryId>,
    /// Where to go on; `None` where nothing is left.
    pub(super) next: Option<DeliveryId>,
}

/// What one step found, from the newest on, and the id that it reached: `None` where nothing is left.
#[derive(Debug)]
struct Step {
    ids: Vec<Uuid>,
    reached: Option<Uuid>,
}

/// Where candidates are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The rows that have this id of the provider's.
    ExternalId,
    /// The attempts that failed so.
    ErrorClass,
    /// The attempts after which a delivery was not made.
    NotArrived,
    /// Each of a few connections.
    Connections,
    /// Everything, together with the organization's events.
    Events,
    /// What is promised.
    Promised,
    /// Everything.
    All,
}

impl Source {
    fn of(filter: &DeliveryFilter, connections: Option<usize>) -> Self {
        let waits =
            |s: &DeliveryStatus| matches!(s, DeliveryStatus::Pending | DeliveryStatus::Parked);
        let has_ended_badly = |s: &DeliveryStatus| !waits(s) && *s != DeliveryStatus::Delivered;
        let all = |is: &dyn Fn(&DeliveryStatus) -> bool| {
            !filter.statuses.is_empty() && filter.statuses.iter().all(is)
        };
        if filter.external_id.is_some() {
            Self::ExternalId
        } else if filter.event_id.is_some() {
            Self::All // Of the one second in which its deliveries were promised.
        } else if filter.error_class.is_some() {
            Self::ErrorClass
        } else if all(&has_ended_badly) {
            Self::NotArrived
        } else if connections.is_some_and(|count| count <= CONNECTIONS_MAX) {
            Self::Connections
        } else if filter.kind.is_some() || filter.subject.is_some() {
            Self::Events
        } else if all(&waits) {
            Self::Promised
        } else {
            Self::All
        }
    }

    /// How many candidates each step of a search looks at: few first, since that is mostly enough. All
    /// steps together take about a tenth of a second.
    fn steps(self) -> &'static [i64] {
        match self {
            // Of these the last word is looked up one by one.
            Self::ExternalId | Self::ErrorClass | Self::NotArrived => &[256, 1_024, 2_048],
            // And here the event.
            Self::Connections => &[256, 2_048, 4_096],
            Self::Events | Self::Promised | Self::All => &[512, 4_096, 8_192],
        }
    }
}

/// A filter as the statements take it.
#[derive(Debug)]
struct Wanted<'a> {
    organization_id: Uuid,
    /// Only ids below this.
    before: Uuid,
    /// Only ids from this on.
    from: Uuid,
    statuses: Option<Vec<&'static str>>,
    connections: Option<Vec<Uuid>>,
    event_id: Option<Uuid>,
    kind: Option<&'a str>,
    subject: Option<&'a str>,
    error_class: Option<&'a str>,
    external_id: Option<&'a str>,
    class: Option<i16>,
}

impl<'a> Wanted<'a> {
    fn new(
        organization_id: OrganizationId,
        filter: &'a DeliveryFilter,
        connections: Option<Vec<Uuid>>,
    ) -> Self {
        let event = filter.event_id.map(|id| id_time::made_at(id.0));
        let lower =
            [filter.since, event.map(|at| at - MADE_BEFORE_MAX)].map(|at| at.map(id_time::floor));
        let upper =
            [filter.until, event.map(|at| at + MADE_AFTER_MAX)].map(|at| at.map(id_time::floor));
        let cursor = filter.before.map(|id| id.0);
        let statuses = filter.statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>();
        Self {
            organization_id: organization_id.0,
            before: upper.into_iter().chain([cursor]).flatten().min().unwrap_or(Uuid::max()),
            from: lower.into_iter().flatten().max().unwrap_or(Uuid::nil()),
            statuses: Some(statuses).filter(|statuses| !statuses.is_empty()),
            connections,
            event_id: filter.event_id.map(|id| id.0),
            kind: filter.kind.as_deref(),
            subject: filter.subject.as_deref(),
            error_class: filter.error_class.as_deref(),
            external_id: filter.external_id.as_deref(),
            class: filter.class.map(crate::outbox::Class::number),
        }
    }
}

/// The next `limit` deliveries that a filter asks for, or fewer where that takes too long.
pub(super) async fn search(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &DeliveryFilter,
    limit: usize,
) -> Result<Found, DbError> {
    let connections = connections(engine, organization_id, filter).await?;
    if connections.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Found::default());
    }
    let source = Source::of(filter, connections.as_ref().map(Vec::len));
    let mut wanted = Wanted::new(organization_id, filter, connections);
    let began_at = wanted.before;
    let mut found = Vec::with_capacity(limit);
    for candidates in source.steps() {
        let room = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
        let step = sources::step(engine, source, &wanted, *candidates, room).await?;
        found.extend(step.ids.into_iter().map(DeliveryId));
        if found.len() >= limit {
            return Ok(Found { next: found.last().copied(), ids: found });
        }
        match step.reached {
            None => return Ok(Found { ids: found, next: None }),
            Some(reached) => wanted.before = reached.min(wanted.before),
        }
    }
    // Whoever went on from where this began would begin here for ever.
    let next = (wanted.before < began_at).then_some(DeliveryId(wanted.before));
    if next.is_none() {
        tracing::warn!(organization.id = %organization_id, "a search got no further, and ends");
    }
    Ok(Found { ids: found, next })
}

/// The connections that the filter leaves, if it leaves only some: of this organization alone.
async fn connections(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &DeliveryFilter,
) -> Result<Option<Vec<Uuid>>, DbError> {
    if filter.connection_id.is_none() && filter.provider.is_none() {
        return Ok(None);
    }
    let ids = sqlx::query_scalar!(
        "select id from relay.organization_integrations
         where organization_id = $1 and ($2::uuid is null or id = $2)
           and ($3::text is null or provider = $3)",
        organization_id.0,
        filter.connection_id.map(|id| id.0),
        filter.provider,
    )
    .fetch_all(&engine.db.api)
    .await?;
    Ok(Some(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(change: impl FnOnce(&mut DeliveryFilter)) -> DeliveryFilter {
        let mut filter = DeliveryFilter::default();
        change(&mut filter);
        filter
    }

    #[test]
    fn candidates_come_from_where_there_are_the_fewest() {
        use DeliveryStatus::{Cancelled, Dead, Delivered, Parked, Pending};
        let statuses = |list: &[DeliveryStatus]| filter(|f| f.statuses = list.to_vec());
        let one = Some(1);
        for (filter, connections, expected) in [
            (filter(|_| {}), None, Source::All),
            (filter(|_| {}), one, Source::Connections),
            (filter(|_| {}), Some(CONNECTIONS_MAX + 1), Source::All),
            (statuses(&[Dead, Cancelled]), one, Source::NotArrived),
            (statuses(&[Dead, Delivered]), None, Source::All),
            (statuses(&[Pending, Parked]), None, Source::Promised),
            (statuses(&[Pending, Dead]), None, Source::All),
            (filter(|f| f.kind = Some("a.b".into())), None, Source::Events),
            (filter(|f| f.subject = Some("x".into())), one, Source::Connections),
            (filter(|f| f.error_class = Some("timeout".into())), one, Source::ErrorClass),
            (filter(|f| f.external_id = Some("SEC-1".into())), one, Source::ExternalId),
            (filter(|f| f.event_id = Some(Uuid::nil().into())), one, Source::All),
        ] {
            assert_eq!(Source::of(&filter, connections), expected, "{filter:?}");
        }
    }

    #[test]
    fn an_event_and_times_and_a_cursor_narrow_the_range_together() {
        let at = |text: &str| text.parse().expect("a timestamp");
        let event = id_time::floor(at("2026-02-25T12:00:00Z"));
        let of_event = filter(|f| f.event_id = Some(event.into()));
        let wanted = Wanted::new(OrganizationId(Uuid::nil()), &of_event, None);
        assert!(wanted.from < event && event < wanted.before);
        assert_eq!(id_time::made_at(wanted.before), at("2026-02-25T12:00:01Z"));
        let cursor = id_time::floor(at("2026-02-25T11:00:00Z"));
        let both = filter(|f| {
            f.since = Some(at("2026-02-25T10:00:00Z"));
            f.until = Some(at("2026-02-25T12:00:00Z"));
            f.before = Some(cursor.into());
        });
        let wanted = Wanted::new(OrganizationId(Uuid::nil()), &both, None);
        assert_eq!(
            (wanted.before, id_time::made_at(wanted.from)),
            (cursor, at("2026-02-25T10:00:00Z"))
        );
        let none = filter(|_| {});
        let wanted = Wanted::new(OrganizationId(Uuid::nil()), &none, None);
        assert_eq!((wanted.from, wanted.before), (Uuid::nil(), Uuid::max()));
    }
}
