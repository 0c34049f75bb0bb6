//! One request as a receiver got it.

use std::time::Instant;

use bytes::Bytes;

use super::signature;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When it was complete.
    pub at: Instant,
    /// The same by the wall clock.
    pub wall: chrono::DateTime<chrono::Utc>,
    /// `POST`, one hopes.
    pub method: String,
    /// With its query.
    pub path: String,
    /// As sent, in order.
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub body: Bytes,
    /// Whether what is set out for it to be answered accepts the delivery: whatever comes of that
    /// answer, the same delivery has no need to come again.
    pub accepts: bool,
    /// The status that was answered, once the last byte of the answer was written.
    pub answered: Option<u16>,
}

impl Arrival {
    /// A header's value, whatever the case of its name; empty if it was not sent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("Relay sends JSON")
    }

    /// `X-Deptex-Delivery`.
    #[must_use]
    pub fn delivery_id(&self) -> uuid::Uuid {
        self.header("x-deptex-delivery").parse().expect("every delivery carries its id")
    }

    /// `X-Deptex-Attempt`.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.header("x-deptex-attempt")
            .parse()
            .expect("every delivery carries its attempt's number")
    }

    /// `data.marker`, by which tests tell events apart.
    #[must_use]
    pub fn marker(&self) -> String {
        self.json()["data"]["marker"].as_str().unwrap_or_default().to_owned()
    }

    /// Checks both signatures by a secret; by a public key the one that it can check.
    pub fn verify(&self, secret: &str) -> Result<(), String> {
        if !secret.starts_with(signature::PUBLIC_KEY) {
            signature::verify_deptex(secret, self.header("x-deptex-signature"), &self.body)?;
        }
        signature::verify_standard(
            secret,
            self.header("webhook-id"),
            self.header("webhook-timestamp"),
            self.header("webhook-signature"),
            &self.body,
            self.wall.timestamp(),
        )
    }
}
