//! Custom webhooks: the customer's own endpoint, signed with a secret that we generate.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{
    Actor, Connection, ConnectionChange, ConnectionError, ConnectionEvent, Scope,
    checked_subscription, moment, room, secrets, store,
};
use crate::{
    clock,
    delivery::{receivers, request},
    egress,
    engine::Engine,
    event_log,
    http::{Failure, Request},
    ids::{ConnectionId, OrganizationId},
    secret::Secret,
};

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// How long a test may take: an admin is waiting.
const TEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a custom webhook is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomCategory {
    /// People are told.
    Notification,
    /// Tickets are made.
    Ticketing,
}

impl CustomCategory {
    /// The provider that is stored with the connection.
    #[must_use]
    pub const fn provider(self) -> &'static str {
        match self {
            Self::Notification => "custom_notification",
            Self::Ticketing => "custom_ticketing",
        }
    }

    /// As the `type` of the API has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Ticketing => "ticketing",
        }
    }
}

/// A custom webhook to be made.
#[derive(Clone, Debug)]
pub struct NewCustom {
    /// What people will call it.
    pub name: String,
    /// What it is used for.
    pub category: CustomCategory,
    /// Where events go.
    pub webhook_url: String,
    /// Its picture.
    pub icon_url: Option<String>,
    /// Which events concern it.
    pub scope: Scope,
    /// Patterns of the kinds it wants; all by default.
    pub event_types: Option<Vec<String>>,
    /// Conditions on the events it wants.
    pub conditions: Option<Value>,
}

/// A custom webhook that was made.
#[derive(Debug)]
pub struct Created {
    /// Its id.
    pub id: ConnectionId,
    /// Its signing secret, to be shown once.
    pub secret: Secret,
    /// What the admin should know.
    pub warnings: Vec<String>,
}

/// Creates a custom webhook with a new signing secret.
pub async fn create_custom(
    engine: &Engine,
    organization_id: OrganizationId,
    new: NewCustom,
    actor: &Actor,
) -> Result<Created, ConnectionError> {
    let name = checked_name(&new.name)?;
    let (webhook_url, warnings) = checked_url(engine, &new.webhook_url)?;
    let icon_url = new.icon_url.as_deref().map(|url| checked_icon(engine, url)).transpose()?;
    let (event_types, conditions) = checked_subscription(new.event_types, new.conditions)?;
    let id = ConnectionId::new();
    let event = ConnectionEvent::Connected {
        provider: new.category.provider().to_owned(),
        installation_id: Uuid::new_v4().to_string(),
        display_name: name.clone(),
        metadata: json!({
            "webhook_url": webhook_url, "icon_url": icon_url, "custom_name": name,
            "type": new.category.as_str(),
        }),
        team_id: new.scope.team_id(),
        project_id: new.scope.project_id(),
        event_types,
        conditions,
    };
    let secret = Secret::new_webhook_secret();
    let mut tx = engine.db.api.begin().await?;
    room::check(&mut tx, organization_id, 1).await?;
    let at = moment(&mut tx).await?;
    let state = Connection::begin(id, organization_id, &event, at)
        .expect("a stream begins with `connected`");
    event_log::append(&mut tx, organization_id, id, 0, &[event], actor, at).await?;
    store::save(&mut tx, &state).await?;
    secrets::rotate(&mut tx, &engine.keys, organization_id, id, &secret, None).await?;
    tx.commit().await?;
    Ok(Created { id, secret, warnings })
}

/// The name and settings after a change, checked.
pub(super) fn changed_settings(
    engine: &Engine,
    state: &Connection,
    change: &ConnectionChange,
) -> Result<(String, Value, Vec<String>), ConnectionError> {
    let mut metadata = state.metadata.clone();
    let mut name = state.display_name.clone();
    let mut warnings = Vec::new();
    if let Some(wanted) = &change.name {
        name = checked_name(wanted)?;
        if metadata.get("custom_name").is_some() {
            metadata["custom_name"] = json!(name);
        }
    }
    if let Some(raw) = &change.webhook_url {
        if metadata.get("webhook_url").is_none() {
            return Err(ConnectionError::refused(
                "not_custom",
                "Only custom integrations have a webhook URL",
            ));
        }
        let (url, found) = checked_url(engine, raw)?;
        metadata["webhook_url"] = json!(url);
        warnings = found;
    }
    if let Some(icon_url) = &change.icon_url {
        let icon_url = icon_url.as_deref().map(|url| checked_icon(engine, url)).transpose()?;
        metadata["icon_url"] = json!(icon_url);
    }
    Ok((name, metadata, warnings))
}

fn checked_name(name: &str) -> Result<String, ConnectionError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(ConnectionError::refused("invalid_name", "name is required"));
    }
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(ConnectionError::refused(
            "invalid_name",
            "name must have at most 100 characters, none of them control characters",
        ));
    }
    Ok(name.to_owned())
}

/// The URL as it is kept: as typed, or with its host in punycode where the two differ.
fn checked_url(engine: &Engine, raw: &str) -> Result<(String, Vec<String>), ConnectionError> {
    let url = engine
        .http
        .policy()
        .check_url(raw)
        .map_err(|error| ConnectionError::refused("invalid_webhook_url", error.to_string()))?;
    let host = url.host_str().unwrap_or_default();
    let mut warnings = Vec::new();
    if egress::looks_international(&url) {
        warnings.push(format!(
            "webhook_url names the international host {host}: check that it is the one you mean"
        ));
    }
    let kept =
        if raw.to_ascii_lowercase().contains(host) { raw.to_owned() } else { url.to_string() };
    Ok((kept, warnings))
}

fn checked_icon(engine: &Engine, raw: &str) -> Result<String, ConnectionError> {
    let refused = || {
        ConnectionError::refused(
            "invalid_icon_url",
            "icon_url must be an https:// URL of a picture",
        )
    };
    let url = Url::parse(raw).map_err(|_| refused())?;
    let ours = engine.config.backend_url.as_ref().is_some_and(|own| own.origin() == url.origin());
    let plain = url.username().is_empty() && url.password().is_none() && raw.len() <= 2_048;
    if plain && (url.scheme() == "https" || ours) { Ok(raw.to_owned()) } else { Err(refused()) }
}

/// What a test found.
#[derive(Clone, Debug)]
pub struct TestOutcome {
    /// Whether the receiver answered with 2xx.
    pub success: bool,
    /// Its status.
    pub status: Option<u16>,
    /// The status in words.
    pub status_text: String,
    /// A sentence for the admin.
    pub message: String,
    /// Whether it did not answer in time.
    pub timed_out: bool,
}

/// Sends `test.ping` to a custom webhook now, once, outside the log and the outbox.
pub async fn send_test(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
) -> Result<TestOutcome, ConnectionError> {
    let view = store::find(&engine.db, organization_id, id)
        .await?
        .filter(|view| view.provider.starts_with("custom_"))
        .ok_or(ConnectionError::NotFound)?;
    let receiver = receivers::load(engine, &[id])
        .await
        .map_err(crate::db::DbError::from)?
        .remove(&id)
        .ok_or(ConnectionError::NotFound)?;
    let Some(url) = view
        .metadata
        .get("webhook_url")
        .and_then(Value::as_str)
        .and_then(|url| Url::parse(url).ok())
    else {
        return Err(ConnectionError::refused("no_webhook_url", "Webhook URL not configured"));
    };
    let now = clock::now();
    let body = json!({
        "event": "test.ping",
        "timestamp": now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "organization_id": organization_id,
        "data": { "message": "This is a test from Deptex" },
    });
    let body = Bytes::from(body.to_string());
    let delivery_id = Uuid::now_v7().into();
    let mut headers: HeaderMap =
        request::signed_headers(&receiver.secrets_at(now), "test.ping", delivery_id, 1, now, &body)
            .map_err(|error| ConnectionError::refused("unsendable", error.to_string()))?;
    request::add_headers(&mut headers, receiver.headers());
    let sending = engine.http.post(Request { url, headers, body });
    let answer = tokio::time::timeout(TEST_TIMEOUT, sending).await;
    Ok(match answer {
        Ok(Ok(reply)) => {
            let success = (200..300).contains(&reply.status);
            let text = reqwest::StatusCode::from_u16(reply.status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or_default();
            TestOutcome {
                success,
                status: Some(reply.status),
                status_text: text.to_owned(),
                message: if success {
                    "Test webhook delivered successfully".to_owned()
                } else {
                    format!("Webhook returned {} {text}", reply.status)
                },
                timed_out: false,
            }
        }
        Ok(Err(error)) => TestOutcome {
            success: false,
            status: None,
            status_text: error.failure.as_str().to_owned(),
            message: format!("The webhook could not be reached: {error}"),
            timed_out: error.failure == Failure::Timeout,
        },
        Err(_) => TestOutcome {
            success: false,
            status: None,
            status_text: "timeout".to_owned(),
            message: "The webhook did not answer within 10 seconds".to_owned(),
            timed_out: true,
        },
    })
}
