//! Connects accounts at the pretended providers, as an admin with a browser does.

use std::collections::HashMap;

use mock_providers::MockProviders;
use reqwest::{Method, header};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::client::{Answered, Relay};

/// An admin's browser that was sent to a provider.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The provider's page.
    pub redirect_url: String,
    /// What Relay asked the browser to remember.
    pub cookie: Option<String>,
}

/// Where a browser was sent at the end.
#[derive(Clone, Debug)]
pub struct Landing {
    /// The whole address.
    pub url: Url,
    /// Its query.
    pub query: HashMap<String, String>,
}

impl Relay {
    /// Asks where to send an admin; `more` is added to the query.
    pub async fn install(&self, org: Uuid, provider: &str, more: &[(&str, &str)]) -> Answered {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("org_id", &org.to_string()).extend_pairs(more);
        let path = format!("/api/integrations/{provider}/install?{}", query.finish());
        self.send(self.request(Method::GET, &path).bearer_auth(self.admin_token(org))).await
    }

    /// The same where Relay agrees.
    pub async fn visit(&self, org: Uuid, provider: &str, more: &[(&str, &str)]) -> Visit {
        let answer = self.install(org, provider, more).await.expect(200);
        let cookie = answer.headers.get(header::SET_COOKIE).map(|value| {
            let whole = value.to_str().expect("a cookie is text");
            whole.split(';').next().unwrap_or_default().to_owned()
        });
        let redirect_url = answer.json()["redirectUrl"].as_str().expect("an address").to_owned();
        Visit { redirect_url, cookie }
    }

    /// Follows an address that a provider sent the browser to.
    pub async fn come_back(&self, address: &str, cookie: Option<&str>) -> Answered {
        let url = Url::parse(address).expect("a provider gives an address");
        let path = &url[url::Position::BeforePath..];
        let mut request = self.request(Method::GET, path);
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.send(request).await
    }

    /// Goes all the way: to the provider, through its page, and back, until the frontend.
    pub async fn go_through(&self, mocks: &MockProviders, visit: &Visit) -> Landing {
        let mut page = visit.redirect_url.clone();
        loop {
            let back = mocks.consent(&page).await;
            let answer = self.come_back(&back, visit.cookie.as_deref()).await.expect(302);
            let to = answer.headers[header::LOCATION].to_str().expect("an address").to_owned();
            let url = Url::parse(&to).expect("an address");
            if to.starts_with(super::world::FRONTEND_URL) {
                let query = url.query_pairs().into_owned().collect();
                return Landing { url, query };
            }
            page = to;
        }
    }

    /// Connects an account for an organization, and gives the connection as the frontend sees it;
    /// the first one where a consent gives several.
    pub async fn connect(&self, mocks: &MockProviders, org: Uuid, provider: &str) -> Value {
        let visit = self.visit(org, provider, &[]).await;
        let landing = self.go_through(mocks, &visit).await;
        assert_eq!(
            landing.query.get("connected").map(String::as_str),
            Some(provider),
            "{landing:?}"
        );
        let mut all = self.connections(org).await;
        all.retain(|connection| connection["provider"] == provider);
        all.into_iter().next().expect("it is connected")
    }

    /// An organization's connections, as the frontend sees them.
    pub async fn connections(&self, org: Uuid) -> Vec<Value> {
        let path = format!("/api/integrations/organizations/{org}/connections");
        let answer = self.admin(org, Method::GET, &path, None).await.expect(200);
        answer.json().as_array().cloned().expect("a bare array")
    }

    /// What events of a connection may be sent to.
    pub async fn destinations(&self, org: Uuid, id: &Value) -> Vec<Value> {
        let path = format!("/api/organizations/{org}/connections/{}/destinations", text(id));
        let answer = self.admin(org, Method::GET, &path, None).await.expect(200).json();
        answer["destinations"].as_array().cloned().expect("a list")
    }

    /// Chooses where events of a connection go.
    pub async fn choose(&self, org: Uuid, id: &Value, destination: &Value) -> Answered {
        let path = format!("/api/organizations/{org}/connections/{}/destination", text(id));
        self.admin(org, Method::PUT, &path, Some(destination)).await
    }

    /// Connects an account and lets its events go to its shop, or to the first destination.
    pub async fn connect_whole(&self, mocks: &MockProviders, org: Uuid, provider: &str) -> Value {
        let connection = self.connect(mocks, org, provider).await;
        if connection["metadata"]["destination"].is_null() {
            let all = self.destinations(org, &connection["id"]).await;
            let shop = all.iter().find(|one| text(&one["name"]).ends_with("shop"));
            let one = shop.or(all.first()).expect("there is something to choose");
            self.choose(org, &connection["id"], &json!({ "id": one["id"] })).await.expect(200);
        }
        connection
    }
}

fn text(id: &Value) -> &str {
    id.as_str().expect("an id is a string")
}
