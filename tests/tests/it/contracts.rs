//! Published signatures: the one that every library knows, and the collections of `CONTRACTS_DIR`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::{
    secret::Secret,
    signing::{deptex_signature, standard_signature},
};
use serde_json::Value;

/// The collection, or a loud line about what is not checked.
fn collection(file: &str, what: &str) -> Option<Value> {
    let Some(dir) = std::env::var_os("CONTRACTS_DIR") else {
        // Written past the capture of tests that pass: nobody shall take this for a check.
        let _ = writeln!(io::stderr(), "NOTICE: CONTRACTS_DIR is not set, {what} are not checked");
        return None;
    };
    let path = PathBuf::from(dir).join("standard-webhooks").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some(serde_json::from_str(&text).expect("a collection is JSON"))
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} is missing: {vector}"))
}

fn body(vector: &Value) -> Vec<u8> {
    STANDARD.decode(text(vector, "body_base64")).expect("base64")
}

fn list<'a>(collection: &'a Value, name: &str) -> &'a [Value] {
    let found = collection[name].as_array().expect("the collection has it");
    assert!(!found.is_empty(), "{name} is empty");
    found
}

fn standard(vector: &Value, secrets: &[Secret]) -> String {
    let at = text(vector, "webhook_timestamp").parse().expect("seconds");
    standard_signature(secrets, text(vector, "webhook_id"), at, &body(vector))
}

/// B19: the example that the specification's own libraries publish.
///
/// Its `v1a` companion is checked beside the function, in `engine/src/signing.rs`.
#[test]
fn b19_the_published_example_is_signed_as_published() {
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let signature = standard_signature(&[secret], id, 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

/// B19: every vector of the collection, to the byte; what is to be refused is not what we make.
#[test]
fn b19_every_standard_webhooks_vector_is_signed_the_same() {
    let file = "vectors.standard-webhooks.json";
    let Some(collection) = collection(file, "the Standard Webhooks vectors") else { return };
    for vector in list(&collection, "vectors") {
        let ours = standard(vector, &[Secret::new(text(vector, "secret"))]);
        assert_eq!(ours, text(vector, "webhook_signature"), "{}", text(vector, "name"));
    }
    for vector in list(&collection, "rotation") {
        let secrets: Vec<Secret> = list(vector, "secrets")
            .iter()
            .map(|secret| Secret::new(secret.as_str().expect("a secret")))
            .collect();
        assert_eq!(standard(vector, &secrets), text(vector, "webhook_signature"));
    }
    for vector in list(&collection, "negative") {
        let ours = standard(vector, &[Secret::new(text(vector, "secret"))]);
        let theirs = text(vector, "webhook_signature");
        let found = theirs.split(' ').any(|one| one == ours);
        assert!(!found, "{}: we would make what is to be refused", text(vector, "name"));
    }
}

/// B19: the same for the header of the integrations guide.
#[test]
fn b19_every_deptex_signature_vector_is_signed_the_same() {
    let file = "vectors.deptex-signature.json";
    let Some(collection) = collection(file, "the X-Deptex-Signature vectors") else { return };
    for vector in list(&collection, "vectors") {
        let ours = deptex_signature(&Secret::new(text(vector, "secret")), &body(vector));
        assert_eq!(ours, text(vector, "x_deptex_signature"), "{}", text(vector, "name"));
    }
    for vector in list(&collection, "negative") {
        let ours = deptex_signature(&Secret::new(text(vector, "secret")), &body(vector));
        assert_ne!(ours, text(vector, "x_deptex_signature"), "{}", text(vector, "name"));
    }
}
