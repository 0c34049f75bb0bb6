//! Calls Relay's HTTP interface as the core and an organization's admins do.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    receiver::Receiver,
    wait::{LONG, wait_until},
};

/// A fresh id, as of an organization.
#[must_use]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// The body of one event.
#[must_use]
pub fn event(org: Uuid, kind: &str, data: Value) -> Value {
    let mut body = json!({ "type": kind, "organization_id": org });
    body["data"] = data;
    body
}

/// What came back, whatever it is.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The exact bytes.
    pub body: Bytes,
}

impl Answered {
    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The stable code of a refusal; empty if there is none.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The same, after checking its status.
    pub fn expect(self, status: u16) -> Self {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{}", text.chars().take(500).collect::<String>());
        self
    }
}

/// A custom webhook that was created.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its id.
    pub id: Uuid,
    /// Its signing secret.
    pub secret: String,
}

/// The keys of one world.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) service_key: String,
    pub(crate) jwt_secret: String,
    pub(crate) encryption_key: String,
}

impl Keys {
    pub(crate) fn random() -> Self {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let secret = || hex::encode(rand::random::<[u8; 24]>());
        Self {
            service_key: secret(),
            jwt_secret: secret(),
            encryption_key: STANDARD.encode(rand::random::<[u8; 32]>()),
        }
    }
}

/// Relay, as its callers see it. Cheap to clone. Calls go to the API processes in turn.
#[derive(Clone, Debug)]
pub struct Relay {
    pub(crate) base_urls: Arc<Vec<String>>,
    turn: Arc<AtomicUsize>,
    http: reqwest::Client,
    pub(crate) keys: Arc<Keys>,
    receiver: Arc<Receiver>,
    secrets: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Relay {
    pub(crate) fn new(base_urls: Vec<String>, keys: Arc<Keys>, receiver: Arc<Receiver>) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(40))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a plain client can be built");
        Self {
            base_urls: Arc::new(base_urls),
            turn: Arc::default(),
            http,
            keys,
            receiver,
            secrets: Arc::default(),
        }
    }

    /// The origin of one of the API processes, in turn.
    #[must_use]
    pub fn base_url(&self) -> &str {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.base_urls.len();
        assert!(count > 0, "this world has no API process");
        &self.base_urls[turn % count]
    }

    /// The key of the core.
    #[must_use]
    pub fn service_key(&self) -> &str {
        &self.keys.service_key
    }

    /// The secret that users' tokens are signed with.
    #[must_use]
    pub fn jwt_secret(&self) -> &str {
        &self.keys.jwt_secret
    }

    /// A request to a path, without credentials.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base_url()))
    }

    /// Sends a request and reads the whole answer; an error only where there is none.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Answered, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answered { status, headers, body: response.bytes().await? })
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Answered {
        self.try_send(request).await.expect("the API answers")
    }

    /// A token with just these claims beside `sub`, `aud` and `exp`, which they may overwrite.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let mut all = json!({
            "sub": Uuid::new_v4(), "aud": "authenticated", "email": "admin@example.com",
            "exp": chrono::Utc::now().timestamp() + 3600,
        });
        for (name, value) in claims.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let key = jsonwebtoken::EncodingKey::from_secret(self.keys.jwt_secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &all, &key).expect("claims are JSON")
    }

    /// A token of an owner of the organization.
    #[must_use]
    pub fn admin_token(&self, org: Uuid) -> String {
        self.member_token(org, &json!({ "role": "owner" }))
    }

    /// A token of somebody with this membership.
    #[must_use]
    pub fn member_token(&self, org: Uuid, membership: &Value) -> String {
        let organizations = BTreeMap::from([(org.to_string(), membership.clone())]);
        self.token(&json!({ "app_metadata": { "organizations": organizations } }))
    }

    /// An admin's call.
    pub async fn admin(
        &self,
        org: Uuid,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answered {
        let mut request = self.request(method, path).bearer_auth(self.admin_token(org));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    /// Creates a custom webhook that wants everything; its arrivals will be verified.
    pub async fn create_custom(&self, org: Uuid, webhook_url: &str) -> Connection {
        self.create_custom_with(org, webhook_url, &json!({})).await
    }

    /// The same with more fields, such as `event_types` and `conditions`.
    pub async fn create_custom_with(
        &self,
        org: Uuid,
        webhook_url: &str,
        more: &Value,
    ) -> Connection {
        let mut body =
            json!({ "name": "Test", "type": "notification", "webhook_url": webhook_url });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let path = format!("/api/integrations/organizations/{org}/custom-integrations");
        let answer = self.admin(org, Method::POST, &path, Some(&body)).await.expect(200).json();
        let text =
            |name: &str| answer[name].as_str().expect("id and secret are strings").to_owned();
        let connection =
            Connection { id: text("id").parse().expect("an id is a UUID"), secret: text("secret") };
        self.keep_secret(webhook_url, &connection.secret);
        connection
    }

    /// Remembers a secret: arrivals at this address may verify by it, and no log may hold it.
    pub fn keep_secret(&self, webhook_url: &str, secret: &str) {
        self.secrets.lock().expect("no holder panics").push(secret.to_owned());
        if let Some(path) = webhook_url.strip_prefix(&self.receiver.url("")) {
            self.receiver.expect_secret(path, secret);
        }
    }

    /// Every secret of the world: none may ever be logged.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut all = self.secrets.lock().map(|kept| kept.clone()).unwrap_or_default();
        let keys = &self.keys;
        all.extend([&keys.service_key, &keys.jwt_secret, &keys.encryption_key].map(Clone::clone));
        all
    }

    /// Changes a connection's settings (`paused`, `retry_schedule`, …).
    pub async fn change(&self, org: Uuid, id: Uuid, change: &Value) -> Answered {
        let path = format!("/api/organizations/{org}/connections/{id}");
        self.admin(org, Method::PATCH, &path, Some(change)).await
    }

    /// A connection's settings.
    pub async fn connection(&self, org: Uuid, id: Uuid) -> Answered {
        self.admin(org, Method::GET, &format!("/api/organizations/{org}/connections/{id}"), None)
            .await
    }

    /// Deletes a connection.
    pub async fn delete_connection(&self, org: Uuid, id: Uuid) -> Answered {
        let path = format!("/api/integrations/organizations/{org}/connections/{id}");
        self.admin(org, Method::DELETE, &path, None).await
    }

    /// Posts these bytes to `/v1/events` with the service key.
    pub async fn try_post_events(
        &self,
        body: impl Into<Bytes>,
    ) -> Result<Answered, reqwest::Error> {
        let request = self
            .request(Method::POST, "/v1/events")
            .header("x-internal-api-key", &self.keys.service_key)
            .header("content-type", "application/json")
            .body(body.into());
        self.try_send(request).await
    }

    /// The same where an answer is expected.
    pub async fn post_events(&self, body: impl Into<Bytes>) -> Answered {
        self.try_post_events(body).await.expect("the API answers")
    }

    /// Records an event or an array of them; whatever the answer.
    pub async fn try_emit(&self, body: &Value) -> Answered {
        self.post_events(body.to_string()).await
    }

    /// Records one event, and gives its id.
    pub async fn emit(&self, body: &Value) -> Uuid {
        let answer = self.try_emit(body).await.expect(202).json();
        answer["id"].as_str().and_then(|id| id.parse().ok()).expect("202 tells the id")
    }

    /// Records an array of events, and gives the results.
    pub async fn emit_batch(&self, events: &[Value]) -> Vec<Value> {
        let answer = self.try_emit(&Value::from(events.to_vec())).await.expect(202).json();
        answer["results"].as_array().cloned().expect("202 for an array tells the results")
    }

    /// Every delivery of an organization, the newest first.
    pub async fn deliveries(&self, org: Uuid) -> Vec<Value> {
        self.deliveries_where(org, "").await
    }

    /// The same with a filter, such as `status=dead`.
    pub async fn deliveries_where(&self, org: Uuid, filter: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path =
                format!("/api/organizations/{org}/deliveries?limit=200&{filter}&cursor={cursor}");
            let mut page = self.admin(org, Method::GET, &path, None).await.expect(200).json();
            all.append(page["items"].as_array_mut().expect("a page has items"));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return all,
            }
        }
    }

    /// One delivery with its attempts in `attempt_list`.
    pub async fn delivery(&self, org: Uuid, id: Uuid) -> Value {
        let path = format!("/api/organizations/{org}/deliveries/{id}");
        self.admin(org, Method::GET, &path, None).await.expect(200).json()
    }

    /// The delivery of an event to a connection, with its attempts.
    pub async fn delivery_of(&self, org: Uuid, event: Uuid, connection: Uuid) -> Value {
        let filter = format!("event_id={event}&connection_id={connection}");
        let found = self.deliveries_where(org, &filter).await;
        assert_eq!(found.len(), 1, "one event is one delivery to a connection: {found:?}");
        let id = found[0]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id is a UUID");
        self.delivery(org, id).await
    }

    /// Waits until that delivery has this status, and gives it.
    pub async fn settled(&self, org: Uuid, event: Uuid, connection: Uuid, status: &str) -> Value {
        wait_until(&format!("the delivery to be {status}"), LONG, || async {
            tokio::time::sleep(Duration::from_millis(100)).await; // An admin's calls are rationed.
            Some(self.delivery_of(org, event, connection).await).filter(|d| d["status"] == status)
        })
        .await
    }

    /// Asks for a delivery to be made again.
    pub async fn replay(&self, org: Uuid, id: Uuid) -> Answered {
        let path = format!("/api/organizations/{org}/deliveries/{id}/replay");
        self.admin(org, Method::POST, &path, Some(&json!({ "reason": "a test" }))).await
    }
}
