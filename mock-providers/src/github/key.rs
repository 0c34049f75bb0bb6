//! The key pair of the pretended GitHub App: made once a process, for making one takes a while.

use std::sync::OnceLock;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The app's key pair.
#[derive(Debug)]
pub(super) struct AppKey {
    /// What the app signs with, PKCS#8 in PEM, as GitHub gives it to the app's owner.
    pub(super) pem: String,
    /// What GitHub keeps.
    pub(super) public_der: Vec<u8>,
}

/// The key of this process.
pub(super) fn app_key() -> &'static AppKey {
    static KEY: OnceLock<AppKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("the machine has chance to give");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("a key that was just made can be written");
        AppKey { pem: pem(der.as_ref()), public_der: pair.public_key().as_ref().to_vec() }
    })
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}
