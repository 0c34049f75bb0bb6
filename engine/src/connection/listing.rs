//! Every connection of an organization at a glance: how it stands, what troubles it, where it goes.

use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Connection, ConnectionView, store::ConnectionRow};
use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    ids::OrganizationId,
    provider::{self, Category},
};

/// What lists show of an account, beside the channel of Slack's own words.
const SHOWN: &[&str] = &[
    "account_avatar_url",
    "account_login",
    "channel",
    "custom_name",
    "destination_problem",
    "email",
    "guild_name",
    "icon_url",
    "team_name",
    "type",
    "webhook_url",
];

/// Which connections.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Only those that stand so.
    pub status: Option<String>,
    /// Only of this service.
    pub provider: Option<String>,
    /// Those that were removed, instead of those that were not.
    pub removed: bool,
}

/// A connection at a glance.
#[derive(Clone, Debug)]
pub struct ConnectionSummary {
    /// The connection.
    pub connection: ConnectionView,
    /// What kind of service it is; `None` where the service is no more.
    pub category: Option<Category>,
    /// Where its events go, for people.
    pub destination: Option<String>,
    /// What lists show of its metadata.
    pub shown: Value,
    /// What troubles it, if anything does.
    pub trouble: Option<TroubleView>,
}

/// What troubles a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TroubleView {
    /// Since when it has taken nothing.
    pub failing_since: Option<Timestamp>,
    /// Until when its receiver asked us to wait.
    pub held_until: Option<Timestamp>,
    /// Why, as a stable code.
    pub held_because: Option<String>,
    /// When it is tried next, while nothing is sent to it because it fails.
    pub breaker_open_until: Option<Timestamp>,
    /// When it is switched off if it goes on failing.
    pub disables_at: Option<Timestamp>,
}

/// Connections of an organization, the oldest first.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &ListFilter,
) -> Result<Vec<ConnectionSummary>, DbError> {
    let rows = sqlx::query_as!(
        ConnectionRow,
        r#"select id, organization_id, provider, installation_id, display_name, metadata, status,
                  status_reason, paused, team_id, project_id, event_types, conditions,
                  retry_schedule, header_names, rate_limit_count, rate_limit_seconds, ordering,
                  ordering_after, digest_minutes, connected_at, created_at, updated_at, version
           from relay.organization_integrations
           where organization_id = $1 and (status = 'disconnected') = $2
             and ($3::text is null or status = $3) and ($4::text is null or provider = $4)
           order by created_at, id"#,
        organization_id.0,
        filter.removed,
        filter.status,
        filter.provider,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    // Once it took something again, only those who heard of the failing have to hear of that.
    let mut troubles: std::collections::HashMap<Uuid, TroubleView> = sqlx::query!(
        "select connection_id, case when recovered_at is null then failing_since end as failing_since,
                case when held_until > now() then held_until end as held_until,
                case when held_until > now() then held_because end as held_because,
                breaker_open_until
         from relay.connection_health where connection_id = any($1)",
        &ids,
    )
    .map(|row| {
        let trouble = TroubleView {
            failing_since: row.failing_since,
            held_until: row.held_until,
            held_because: row.held_because,
            breaker_open_until: row.breaker_open_until,
            disables_at: None,
        };
        (row.connection_id, trouble)
    })
    .fetch_all(&engine.db.api)
    .await?
    .into_iter()
    .collect();
    let disable_after = engine.config.disable_after.and_then(|span| TimeDelta::from_std(span).ok());
    let summaries = rows.into_iter().map(|row| {
        let trouble = troubles.remove(&row.id).filter(|trouble| *trouble != TroubleView::default());
        let trouble = trouble.map(|trouble| TroubleView {
            disables_at: trouble.failing_since.zip(disable_after).map(|(since, span)| since + span),
            ..trouble
        });
        summary(Connection::from(row), trouble)
    });
    Ok(summaries.collect())
}

fn summary(connection: Connection, trouble: Option<TroubleView>) -> ConnectionSummary {
    let text = |name: &str| connection.metadata[name].as_str().map(str::to_owned);
    ConnectionSummary {
        category: provider::of(&connection.provider, &connection.metadata).map(|p| p.category),
        destination: connection.destination().map(|chosen| chosen.name).or(text("webhook_url")),
        shown: shown(&connection.metadata),
        trouble,
        connection: connection.into(),
    }
}

fn shown(metadata: &Value) -> Value {
    let mut shown = Map::new();
    for name in SHOWN {
        if let Some(value) = metadata.get(name).filter(|value| value.is_string()) {
            shown.insert((*name).to_owned(), value.clone());
        }
    }
    // Of its webhook only the channel: the address is a key.
    let channel = &metadata["incoming_webhook"]["channel"];
    if channel.is_string() {
        shown.insert("incoming_webhook".to_owned(), json!({ "channel": channel }));
    }
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lists_show_is_shown() {
        let metadata = json!({
            "team_name": "Acme", "channel": "#ops", "all_sites": [{ "id": "x" }], "bot_id": "B1",
            "incoming_webhook": { "channel": "#ops", "url": "https://hooks.slack.example/key" },
            "type": 7,
        });
        let expected = json!({
            "team_name": "Acme", "channel": "#ops", "incoming_webhook": { "channel": "#ops" },
        });
        assert_eq!(shown(&metadata), expected);
        assert_eq!(shown(&Value::Null), json!({}));
    }
}
