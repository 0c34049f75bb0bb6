//! A client of a provider as Relay is one, for the mocks' own tests: consent, tokens, calls.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, Method, RequestBuilder, header::HeaderMap, redirect::Policy};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use crate::{MockProviders, oauth::random};

/// What came back.
#[derive(Debug)]
pub(crate) struct Back {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Back {
    /// A header; empty if it did not come.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// A text in the JSON, by its pointer; empty if there is none.
    pub(crate) fn at(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Begins a request. Redirects are not followed.
pub(crate) fn request(method: &str, url: &str) -> RequestBuilder {
    let client = Client::builder().redirect(Policy::none()).user_agent("Deptex-Relay/1.0");
    let client = client.build().expect("a client");
    client.request(method.parse::<Method>().expect("a method"), url)
}

/// Sends it.
pub(crate) async fn send(request: RequestBuilder) -> Back {
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("a body");
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Back { status, headers, text, json }
}

/// Sends a form.
pub(crate) async fn send_form(request: RequestBuilder, fields: &[(&str, &str)]) -> Back {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let kind = "application/x-www-form-urlencoded";
    send(request.header("content-type", kind).body(form.finish())).await
}

/// A parameter of an address.
pub(crate) fn parameter(address: &str, name: &str) -> Option<String> {
    let url = Url::parse(address).expect("an address");
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Where the pretended providers send codes to.
pub(crate) const RELAY: &str = "http://relay.test";

/// A person at a consent page; `fields` are what the page is asked with beside the usual.
pub(crate) struct Consenting<'a> {
    pub(crate) page: String,
    /// Where codes become tokens.
    pub(crate) token: String,
    pub(crate) client: (String, String),
    pub(crate) provider: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) fields: &'a [(&'a str, &'a str)],
}

impl Consenting<'_> {
    /// What the token endpoint answers, or what the page said.
    pub(crate) async fn tokens(self, mocks: &MockProviders) -> Result<Back, String> {
        let (id, secret) = &self.client;
        let verifier = random("verifier-");
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let redirect_uri = format!("{RELAY}/api/integrations/{}/org-callback", self.provider);
        let mut page = Url::parse(&self.page).expect("an address");
        page.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", "the-state")
            .append_pair("scope", self.scope)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(self.fields);
        let back = mocks.try_consent(page.as_str()).await?;
        assert_eq!(parameter(&back, "state").as_deref(), Some("the-state"));
        let code = parameter(&back, "code").ok_or(back)?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", &verifier),
            ("client_id", id),
            ("client_secret", secret),
        ];
        Ok(send_form(request("POST", &self.token), &fields).await)
    }
}
