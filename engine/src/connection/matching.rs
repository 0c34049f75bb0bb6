//! Whether events match a subscription, asked of Postgres by the functions of `relay.append_events`: what
//! is explained and previewed is what happens.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Connection, state::Scope};
use crate::{
    ids::{ConnectionId, EventId, OrganizationId},
    subscription::Conditions,
};

/// What a connection asks of events.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) id: ConnectionId,
    pub(super) event_types: Vec<String>,
    pub(super) conditions: Option<Conditions>,
    pub(super) scope: Scope,
}

impl Subscription {
    /// That of a connection. Stored conditions were read before they were stored.
    pub(super) fn of(state: &Connection) -> Self {
        Self {
            id: state.id,
            event_types: state.event_types.clone(),
            conditions: state.conditions.as_ref().and_then(|json| Conditions::parse(json).ok()),
            scope: state.scope,
        }
    }
}

/// Whether an event passes each test of a subscription.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    pub(super) event_id: EventId,
    pub(super) scope: bool,
    pub(super) kind: bool,
    pub(super) not_its_own: bool,
    pub(super) conditions: bool,
}

impl Judgement {
    pub(super) fn is_match(&self) -> bool {
        self.scope && self.kind && self.not_its_own && self.conditions
    }
}

/// Judges some events of an organization, in no order; what is not there is left out.
pub(super) async fn judge(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    subscription: &Subscription,
    events: &[EventId],
) -> Result<Vec<Judgement>, sqlx::Error> {
    // The terms are those of relay.append_events, one by one.
    let rows = sqlx::query!(
        r#"
        select l.id,
               $3::text[] && relay.kind_patterns(l.kind) as "kind!",
               ($4::uuid is null or coalesce($4 = l.project_id, false))
               and ($5::uuid is null or coalesce($5 = l.team_id, false)) as "scope!",
               l.kind not like 'connection.%' or l.subject is distinct from $6 as "not_its_own!",
               $7::text is null or coalesce(
                   relay.condition_document(l.kind, l.priority, l.project_id, l.team_id, l.subject,
                                            l.source, l.payload::jsonb) @@ ($7::text)::jsonpath, false) as "conditions!"
        from relay.event_log l
        where l.category = 'product' and l.organization_id = $1 and l.id = any($2)
        "#,
        organization_id.0,
        &events.iter().map(|id| id.0).collect::<Vec<Uuid>>(),
        &subscription.event_types,
        subscription.scope.project_id().map(|id| id.0),
        subscription.scope.team_id().map(|id| id.0),
        subscription.id.to_string(),
        subscription.conditions.as_ref().map(Conditions::to_jsonpath),
    )
    .fetch_all(connection)
    .await?;
    let judgements = rows.into_iter().map(|row| Judgement {
        event_id: row.id.into(),
        scope: row.scope,
        kind: row.kind,
        not_its_own: row.not_its_own,
        conditions: row.conditions,
    });
    Ok(judgements.collect())
}
