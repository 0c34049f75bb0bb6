//! The address of a provider's consent page, and PKCE. Pure: the random values come in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use crate::{
    provider::{Client, Hosts, OAuth2},
    secret::Secret,
    signing,
};

/// What is sent along to a consent page and comes back, or is asked for again.
#[derive(Debug)]
pub(crate) struct Consent<'a> {
    /// The operator's registration.
    pub(crate) client: &'a Client,
    /// Where the provider is.
    pub(crate) hosts: &'a Hosts,
    /// Where it sends the admin back to.
    pub(crate) redirect_uri: &'a str,
    /// What proves that the answer belongs to this question.
    pub(crate) state: &'a Secret,
    /// What only we can show when the code is exchanged.
    pub(crate) verifier: Option<&'a Secret>,
}

/// Where an admin is sent to.
pub(crate) fn consent_url(oauth: &OAuth2, consent: &Consent<'_>) -> Url {
    let (host, path) = oauth.authorize;
    let mut url = consent.hosts.url(host, path);
    let scopes = oauth.scopes.join(oauth.scope_separator);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code");
        query.append_pair("client_id", &consent.client.id);
        query.append_pair("redirect_uri", consent.redirect_uri);
        query.append_pair("state", consent.state.reveal());
        if !scopes.is_empty() {
            query.append_pair("scope", &scopes);
        }
        query.extend_pairs(oauth.extra);
        if let Some(verifier) = consent.verifier {
            query.append_pair("code_challenge", &challenge(verifier));
            query.append_pair("code_challenge_method", "S256");
        }
    }
    url
}

/// The S256 challenge of a verifier: <https://www.rfc-editor.org/rfc/rfc7636#section-4.2>.
pub(crate) fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(signing::digest(verifier.reveal().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::provider::{Connect, PROVIDERS};

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_random_verifier_is_as_long_as_the_rfc_wants_it() {
        let verifier = Secret::random();
        assert!((43..=128).contains(&verifier.reveal().len()));
        assert_ne!(verifier.reveal(), Secret::random().reveal());
    }

    #[test]
    fn every_provider_is_asked_with_a_state_and_with_pkce_where_it_takes_it() {
        let client = Client { id: "our id".into(), secret: Secret::new("our secret") };
        let (state, verifier) = (Secret::new("the-state"), Secret::new("the-verifier"));
        let mut asked = 0;
        for provider in PROVIDERS {
            let Connect::OAuth2(oauth) = &provider.connect else { continue };
            let url = consent_url(
                oauth,
                &Consent {
                    client: &client,
                    hosts: &Hosts::of(provider, |_| None),
                    redirect_uri: "https://relay.example.com/api/integrations/x/org-callback",
                    state: &state,
                    verifier: oauth.pkce.then_some(&verifier),
                },
            );
            let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
            assert_eq!(url.scheme(), "https", "{url}");
            assert_eq!(query["client_id"], "our id", "{url}");
            assert_eq!(query["state"], "the-state", "{url}");
            assert!(query["redirect_uri"].ends_with("/org-callback"), "{url}");
            assert_eq!(query.contains_key("code_challenge"), oauth.pkce, "{url}");
            assert_eq!(query.contains_key("scope"), !oauth.scopes.is_empty(), "{url}");
            assert!(
                !url.as_str().contains("secret") && !url.as_str().contains("verifier"),
                "{url}"
            );
            let names = url.query_pairs().count();
            assert_eq!(names, query.len(), "no parameter is given twice: {url}");
            asked += 1;
        }
        assert!(asked > 0, "no provider has a consent page");
    }
}
