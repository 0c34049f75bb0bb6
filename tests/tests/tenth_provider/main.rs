//! A tenth provider, brought by one file: what the guide for contributors promises.

mod beacon;

use beacon::BEACON;
use engine::provider::{
    Connect, Destination, Hosts, PROVIDERS,
    contract_suite::{self, Sample, reply},
};
use serde_json::json;

fn sample() -> Sample {
    let settings = serde_json::Value::Null;
    Sample {
        destination: Some(Destination { id: "R1".into(), name: "Bridge".into(), settings }),
        limits: &[("/text", 1_000)],
        ..Sample::default()
    }
}

#[test]
fn one_file_holds_to_the_contract_of_all_providers() {
    assert!(PROVIDERS.iter().all(|known| known.id != BEACON.id), "it is really a new one");
    let rendered = contract_suite::check(&BEACON, &sample());
    let first = &rendered[0]["calls"][0];
    assert_eq!(first["request"], "POST https://api.beacon.example/signals");
    assert_eq!(first["body"]["room"], "R1");
}

#[test]
fn its_account_and_its_addresses_come_from_the_same_file() {
    let moved: url::Url = "http://127.0.0.1:9/beacon".parse().expect("a URL");
    let hosts = Hosts::of(&BEACON, |name| (name == "RELAY_BEACON_API_URL").then(|| moved.clone()));
    assert_eq!(hosts.url("api", "/me").as_str(), "http://127.0.0.1:9/beacon/me");
    let Connect::OAuth2(oauth) = &BEACON.connect else { panic!("it is OAuth 2") };
    let granted =
        reply(200, &json!({ "access_token": "t", "refresh_token": "r", "expires_in": 60 }));
    let tokens = (oauth.tokens)(&granted).expect("it grants");
    assert_eq!(tokens.access_token.reveal(), "t");
}

/// The guide shows this very file.
#[test]
fn the_guide_shows_the_file_that_is_tested() {
    let shown = include_str!("../../../docs/adding-an-integration.md");
    let shown = shown.split("```rust").nth(1).and_then(|rest| rest.split("```").next());
    let code = |text: &str| {
        let from = text.find("/// Beacon.").expect("it begins with the constant");
        let text = text[from..].replace("pub(super)", "pub(crate)");
        text.chars().filter(|c| !c.is_whitespace() && *c != ',').collect::<String>()
    };
    assert_eq!(code(shown.expect("there is an example")), code(include_str!("beacon.rs")));
}
