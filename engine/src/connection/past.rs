//! How a connection stood at an earlier moment: folded from its log.

use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::PgConnection;

use super::{Connection, ConnectionEvent, ConnectionView, Status, store};
use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    projection,
};

/// What changes nothing but the version: not read, since there may be thousands.
const WITHOUT_EFFECT: &[&str] = &[
    "connection.token_refreshed",
    "connection.revoked",
    "connection.failing",
    "connection.deliveries_exhausted",
    "connection.delivery_replayed",
];

/// One connection as it stood at a moment. `None` where it belongs to another organization, did not
/// exist yet, or was removed at that time.
pub async fn find_as_of(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    at: Timestamp,
) -> Result<Option<ConnectionView>, DbError> {
    let mut connection = engine.db.api.acquire().await?;
    let stood = between(&mut connection, organization_id, id, at, at).await?.pop();
    Ok(stood.filter(|state| state.status != Status::Disconnected).map(Into::into))
}

/// How it stood in a span of time: as at its beginning, if it existed, and after each change in it. A
/// connection that is older than the log stood before as it stands at the log's beginning.
pub(super) async fn between(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    id: ConnectionId,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<Connection>, sqlx::Error> {
    let mut states: Vec<Connection> = Vec::new();
    let mut is_first = true;
    let is_known = fold(connection, organization_id, id, |state| {
        let stands_since = if is_first { state.created_at } else { state.updated_at };
        is_first = false;
        if stands_since > until {
            return false;
        }
        if stands_since <= from {
            states.clear();
        }
        states.push(state.clone());
        true
    })
    .await?;
    if !is_known {
        let row = store::load(connection, organization_id, id).await?;
        states.extend(row.filter(|row| row.created_at <= until));
    }
    Ok(states)
}

/// How it stood before the event that made this version. `None` before the first one.
pub(crate) async fn before(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    id: ConnectionId,
    version: i64,
) -> Result<Option<Connection>, sqlx::Error> {
    let mut last = None;
    fold(connection, organization_id, id, |state| {
        if state.version < version {
            last = Some(state.clone());
        }
        state.version < version
    })
    .await?;
    Ok(last)
}

/// Shows each state of a connection, the first one first, for as long as `goes_on`. Returns whether the
/// log knows it.
async fn fold(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    id: ConnectionId,
    mut goes_on: impl FnMut(&Connection) -> bool,
) -> Result<bool, sqlx::Error> {
    let mut rows = sqlx::query!(
        r#"select kind, version as "version!", occurred_at,
                  case when kind = any($3) then null else payload end as "payload: Value"
           from relay.event_log
           where category = 'connection' and organization_id = $1 and stream_id = $2
           order by version"#,
        organization_id.0,
        id.0,
        WITHOUT_EFFECT as &[&str],
    )
    .fetch(connection);
    let mut folded: Option<Connection> = None;
    while let Some(row) = rows.try_next().await? {
        match (&mut folded, row.payload) {
            (Some(state), None) => state.updated_at = row.occurred_at,
            (state, payload) => {
                let event = ConnectionEvent::from_stored(&row.kind, &payload.unwrap_or_default())
                    .map_err(|error| sqlx::Error::Decode(error.into()))?;
                match state {
                    Some(state) => state.apply(&event, row.occurred_at),
                    None => {
                        let begun = projection::begin(
                            id,
                            organization_id,
                            &event,
                            row.occurred_at,
                            row.version,
                        );
                        *state = begun;
                    }
                }
            }
        }
        if let Some(state) = &mut folded {
            state.version = row.version;
            if !goes_on(state) {
                break;
            }
        }
    }
    Ok(folded.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_read_has_no_effect() {
        let at: Timestamp = "2026-02-25T12:00:00Z".parse().expect("a timestamp");
        let first = ConnectionEvent::from_stored(
            "connection.connected",
            &json!({ "provider": "slack", "installation_id": "T1", "display_name": "Ops",
                     "metadata": {}, "event_types": ["*"] }),
        );
        let nobody = uuid::Uuid::nil();
        let first = first.expect("readable");
        let begun = Connection::begin(nobody.into(), nobody.into(), &first, at).expect("it begins");
        for (kind, payload) in [
            ("connection.token_refreshed", json!({ "expires_at": null })),
            ("connection.revoked", json!({ "outcome": "revoked" })),
            ("connection.failing", json!({ "percent": 50, "failing_since": at })),
            ("connection.deliveries_exhausted", json!({ "delivery_id": nobody })),
            ("connection.delivery_replayed", json!({ "delivery_id": nobody, "reason": null })),
        ] {
            assert!(WITHOUT_EFFECT.contains(&kind));
            let event = ConnectionEvent::from_stored(kind, &payload).expect(kind);
            let mut after = begun.clone();
            after.apply(&event, at);
            assert_eq!(after, Connection { version: 2, ..begun.clone() }, "{kind}");
        }
        assert_eq!(WITHOUT_EFFECT.len(), 5);
    }
}
