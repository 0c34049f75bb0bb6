//! Tells an organization's other connections what happened to one: an event like any other, recorded
//! with the connection's own and delivered through the same outbox.
//!
//! Nobody is told of themselves, and such a notice that is not delivered makes no further notice by
//! itself: it may make its receiver fail, which is told after days as any failing is.

use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::store;
use crate::{
    clock::Timestamp,
    connection::{Connection, ConnectionEvent},
};

/// What happened to a connection, for the others.
#[derive(Debug, PartialEq)]
struct Notice {
    kind: &'static str,
    priority: &'static str,
    data: Value,
}

/// Keeps the row of a connection's trouble in step with what is recorded of it, and tells the others,
/// in the transaction that records it. `state` is the connection before these events.
pub(crate) async fn note(
    tx: &mut PgConnection,
    state: &Connection,
    events: &[ConnectionEvent],
) -> Result<(), sqlx::Error> {
    for event in events {
        if is_told(event) {
            let failing_since = store::failing_since(tx, state.id).await?;
            tell(tx, state, &notice(state, event, failing_since)).await?;
        }
        match event {
            ConnectionEvent::Failing { percent, .. } => {
                store::told(tx, state.id, Some(*percent), false).await?;
            }
            ConnectionEvent::Exhausted { .. } => store::told(tx, state.id, None, true).await?,
            event if ends_failing(state, event) => store::forget(tx, state.id).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether the others hear of it: what happens without anybody's doing.
fn is_told(event: &ConnectionEvent) -> bool {
    matches!(
        event,
        ConnectionEvent::Failing { .. }
            | ConnectionEvent::Exhausted { .. }
            | ConnectionEvent::Disabled { .. }
            | ConnectionEvent::Recovered {}
            | ConnectionEvent::Errored { .. }
            | ConnectionEvent::Suspended { .. }
            | ConnectionEvent::DestinationFailing { .. }
    )
}

/// Whether a connection's trouble is over after this: it works, it is off, or it is another one now.
fn ends_failing(state: &Connection, event: &ConnectionEvent) -> bool {
    match event {
        ConnectionEvent::Recovered {}
        | ConnectionEvent::Reconnected { .. }
        | ConnectionEvent::Resumed {}
        | ConnectionEvent::DestinationChosen { .. }
        | ConnectionEvent::Paused {}
        | ConnectionEvent::Disabled { .. }
        | ConnectionEvent::Errored { .. }
        | ConnectionEvent::Suspended { .. }
        | ConnectionEvent::Disconnected { .. } => true,
        ConnectionEvent::Updated { metadata, .. } => {
            metadata.get("webhook_url") != state.metadata.get("webhook_url")
        }
        _ => false,
    }
}

fn notice(state: &Connection, event: &ConnectionEvent, failing_since: Option<Timestamp>) -> Notice {
    // The event's own payload goes first: what it says is what happened.
    let mut data = match event.payload() {
        Value::Object(payload) => payload,
        _ => Map::new(),
    };
    let about = [
        ("connection_id", json!(state.id)),
        ("provider", json!(state.provider)),
        ("display_name", json!(state.display_name)),
    ];
    data.extend(about.map(|(name, value)| (name.to_owned(), value)));
    if let Some(since) = failing_since {
        data.entry("failing_since").or_insert_with(|| json!(since));
    }
    let is_urgent =
        matches!(event, ConnectionEvent::Disabled { .. } | ConnectionEvent::Errored { .. });
    Notice {
        kind: event.kind(),
        priority: if is_urgent { "high" } else { "normal" },
        data: Value::Object(data),
    }
}

async fn tell(
    tx: &mut PgConnection,
    state: &Connection,
    notice: &Notice,
) -> Result<(), sqlx::Error> {
    // What has the connection as its subject is not sent to the connection.
    sqlx::query!(
        r#"select outcome from relay.append_events(
               array[$1::uuid], array[$2::text], array[$3::text], array[$4::uuid], array[$5::uuid],
               array[null::timestamptz], array['relay'], array[$6::text], array[null::text],
               array[$7::text], array[0::smallint])"#,
        state.organization_id.0,
        notice.kind,
        notice.data.to_string(),
        state.scope.project_id().map(|id| id.0),
        state.scope.team_id().map(|id| id.0),
        notice.priority,
        state.id.to_string(),
    )
    .fetch_one(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{ConnectionId, DeliveryId, OrganizationId};

    fn at(second: u32) -> Timestamp {
        format!("2026-02-25T12:00:{second:02}Z").parse().expect("a timestamp")
    }

    fn connection() -> Connection {
        let event = ConnectionEvent::Connected {
            provider: "slack".into(),
            installation_id: "T1".into(),
            display_name: "Ops".into(),
            metadata: json!({ "webhook_url": "https://example.com/a", "team_name": "Ops" }),
            team_id: None,
            project_id: None,
            event_types: vec!["*".into()],
            conditions: None,
        };
        let id = Uuid::from_u128(1);
        Connection::begin(ConnectionId(id), OrganizationId(id), &event, at(0)).expect("a beginning")
    }

    #[test]
    fn a_notice_says_what_happened_to_which_connection_and_since_when() {
        let state = connection();
        let failing = ConnectionEvent::Failing { percent: 50, failing_since: at(1) };
        let about = |more: Value| {
            let mut data = json!({
                "connection_id": state.id, "provider": "slack", "display_name": "Ops",
            });
            for (name, value) in more.as_object().expect("an object") {
                data[name] = value.clone();
            }
            data
        };
        let told = notice(&state, &failing, Some(at(9)));
        assert_eq!((told.kind, told.priority), ("connection.failing", "normal"));
        assert_eq!(told.data, about(json!({ "percent": 50, "failing_since": at(1) })));
        let disabled = ConnectionEvent::Disabled { reason: "failing_too_long".into() };
        let told = notice(&state, &disabled, Some(at(1)));
        assert_eq!((told.kind, told.priority), ("connection.disabled", "high"));
        let expected = json!({ "reason": "failing_too_long", "failing_since": at(1) });
        assert_eq!(told.data, about(expected));
        let told = notice(&state, &ConnectionEvent::Recovered {}, None);
        assert_eq!(told.data, about(json!({})));
        assert!(!told.data.to_string().contains("example.com"), "an address may be a secret");
    }

    #[test]
    fn what_people_do_is_not_told_and_what_happens_by_itself_is() {
        let reason = || "x".to_owned();
        let id = DeliveryId(Uuid::nil());
        for event in [
            ConnectionEvent::Failing { percent: 90, failing_since: at(1) },
            ConnectionEvent::Exhausted { delivery_id: id },
            ConnectionEvent::Disabled { reason: reason() },
            ConnectionEvent::Recovered {},
            ConnectionEvent::Errored { reason: reason() },
            ConnectionEvent::Suspended { reason: reason() },
            ConnectionEvent::DestinationFailing { reason: reason() },
        ] {
            assert!(is_told(&event), "{}", event.kind());
            let listed = |info: &crate::event::KindInfo| info.kind == event.kind();
            assert!(crate::event::CATALOGUE.iter().any(listed), "{}", event.kind());
        }
        for event in [
            ConnectionEvent::Paused {},
            ConnectionEvent::Resumed {},
            ConnectionEvent::Disconnected { cancelled: 0 },
            ConnectionEvent::TokenRefreshed { expires_at: None },
            ConnectionEvent::DeliveryReplayed { delivery_id: id, reason: None },
        ] {
            assert!(!is_told(&event), "{}", event.kind());
        }
    }

    #[test]
    fn a_failing_ends_with_the_address_and_not_with_the_name() {
        let state = connection();
        let renamed =
            ConnectionEvent::Updated { display_name: "x".into(), metadata: state.metadata.clone() };
        assert!(!ends_failing(&state, &renamed));
        let metadata = json!({ "webhook_url": "https://example.com/b" });
        let moved = ConnectionEvent::Updated { display_name: "Ops".into(), metadata };
        assert!(ends_failing(&state, &moved));
        assert!(ends_failing(&state, &ConnectionEvent::Resumed {}));
        assert!(!ends_failing(&state, &ConnectionEvent::DestinationFailing { reason: "x".into() }));
    }
}
