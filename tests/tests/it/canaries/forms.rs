//! The forms in which a secret can stand somewhere: as it is, or as something made it safe to write.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// A secret that was planted.
pub(crate) struct Canary {
    pub(crate) name: String,
    forms: Vec<(&'static str, String)>,
}

impl Canary {
    pub(crate) fn new(name: &str, secret: &str) -> Self {
        assert!(secret.len() >= 8, "{name} is too short to be told from chance");
        let mut forms = vec![("as it is", secret.to_owned())];
        let mut also = |how, form: String| {
            if forms.iter().all(|(_, known)| *known != form) {
                forms.push((how, form));
            }
        };
        let mut written = vec![secret.as_bytes().to_vec()];
        // What is base64 already stands for bytes.
        written.extend(STANDARD.decode(secret).or_else(|_| URL_SAFE_NO_PAD.decode(secret)));
        for bytes in written.iter().filter(|bytes| bytes.len() >= 8) {
            also("in hexadecimal", hex::encode(bytes));
            also("in hexadecimal", hex::encode_upper(bytes));
            // In the middle of more, as in Basic authorization, it begins at any of three places.
            for before in 0..3 {
                let padded = [&vec![0; before][..], bytes].concat();
                let whole = (padded.len() / 3) * 3;
                let from = if before == 0 { 0 } else { 4 };
                also("in base64", STANDARD_NO_PAD.encode(&padded[..whole])[from..].to_owned());
                also("in base64", URL_SAFE_NO_PAD.encode(&padded[..whole])[from..].to_owned());
            }
        }
        let query = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        also("in a URL", query);
        let json = serde_json::to_string(secret).expect("a text is JSON");
        also("in JSON", json.trim_matches('"').to_owned());
        Self { name: name.to_owned(), forms }
    }

    /// How it stands in a text, if it does.
    pub(crate) fn stands_in(&self, text: &str) -> Option<&'static str> {
        self.forms.iter().find(|(_, form)| text.contains(form)).map(|(how, _)| *how)
    }
}

/// The search finds what it looks for.
#[test]
fn a_canary_is_found_in_every_form() {
    let canary = Canary::new("a secret", "s3cret/with+odd=signs");
    let secret = "s3cret/with+odd=signs";
    for text in [
        format!("x{secret}y"),
        hex::encode(format!("ab{secret}")),
        STANDARD.encode(format!("user:{secret}")),
        STANDARD.encode(format!("user1:{secret}!")),
        URL_SAFE_NO_PAD.encode(format!("user22:{secret}")),
        "?a=s3cret%2Fwith%2Bodd%3Dsigns&b".to_owned(),
    ] {
        assert!(canary.stands_in(&text).is_some(), "{text}");
    }
    assert_eq!(canary.stands_in("s3cret/with+odd"), None);
    let key = Canary::new("a key", "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmE=");
    assert_eq!(
        key.stands_in(&hex::encode("canary-canary-canary-canary-cana")),
        Some("in hexadecimal")
    );
}
