//! The token endpoint: codes and refresh tokens become tokens, by the provider's own rules.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use sha2::{Digest as _, Sha256};

use super::{Bodies, ClientAuth, Granted, OAuth, Pkce, Refusal, Rules, authorize::registered};
use crate::server::{reply::Reply, request::Request, route::Turn};

/// Answers a token request, but for how the answer is worded.
pub(crate) fn token<S>(turn: &mut Turn<'_, S>, rules: &Rules) -> Result<Granted, Reply> {
    exchange(turn, rules).map_err(|refusal| {
        let reply = (rules.refuse)(refusal);
        match refusal {
            // These can only be mistakes of ours; the others happen.
            Refusal::ContentType | Refusal::GrantType | Refusal::Parameter(_) => {
                reply.violating(format!("the token endpoint refuses: {refusal:?}"))
            }
            _ => reply,
        }
    })
}

fn exchange<S>(turn: &mut Turn<'_, S>, rules: &Rules) -> Result<Granted, Refusal> {
    let parameters = parameters(turn.request, rules.bodies)?;
    let get = |name: &str| {
        let found = parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let wanted = |name: &'static str| get(name).ok_or(Refusal::Parameter(name));
    let basic = basic(turn.request);
    let shown = match (rules.client_auth, basic) {
        (ClientAuth::Basic | ClientAuth::Either, Some(shown)) => shown,
        (ClientAuth::Basic, None) => return Err(Refusal::Client),
        (ClientAuth::Parameters | ClientAuth::Either, _) => {
            (wanted("client_id")?.to_owned(), wanted("client_secret")?.to_owned())
        }
    };
    if !is_client(turn.oauth, &shown) {
        return Err(Refusal::Client);
    }
    // Slack takes a code without being told that it is one.
    let kind = get("grant_type").or_else(|| get("code").map(|_| "authorization_code"));
    match kind {
        Some("authorization_code") => {
            let code = turn.oauth.take_code(wanted("code")?, turn.now).ok_or(Refusal::Code)?;
            if !is_its_address(turn.oauth, rules, code.redirect_uri.as_deref(), get("redirect_uri"))
            {
                return Err(Refusal::RedirectUri);
            }
            if rules.pkce == Pkce::S256
                && code.challenge.as_deref() != get("code_verifier").map(s256).as_deref()
            {
                return Err(Refusal::Verifier);
            }
            Ok(turn.oauth.grant(code, rules, turn.now))
        }
        Some("refresh_token") => {
            let text = wanted("refresh_token")?;
            if rules.refresh_wants_redirect {
                wanted("redirect_uri")?;
            }
            let renewed = turn.oauth.renew(text, get("redirect_uri"), rules, turn.now);
            renewed.ok_or(Refusal::RefreshToken)
        }
        Some(_) => Err(Refusal::GrantType),
        None => Err(Refusal::Parameter("grant_type")),
    }
}

/// Whether a code that was sent to `sent` may be exchanged by whoever names `shown`. Where the consent
/// page was not told an address, the registered one may be named all the same.
fn is_its_address(oauth: &OAuth, rules: &Rules, sent: Option<&str>, shown: Option<&str>) -> bool {
    match (sent, shown) {
        (None, Some(shown)) if rules.redirect_uri_is_optional => {
            registered(oauth, rules, shown).is_ok()
        }
        (sent, shown) => sent == shown,
    }
}

/// The parameters, from the kind of body that the provider reads.
fn parameters(request: &Request, bodies: Bodies) -> Result<Vec<(String, String)>, Refusal> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    match bodies {
        Bodies::Form if request.is_form() => Ok(request.form()),
        Bodies::Json if request.is_json() => {
            let body = request.json();
            let fields = body.as_object().ok_or(Refusal::ContentType)?;
            Ok(fields.iter().filter_map(|(n, v)| Some((n.clone(), text(v)?))).collect())
        }
        _ => Err(Refusal::ContentType),
    }
}

/// The client of `Authorization: Basic`.
fn basic(request: &Request) -> Option<(String, String)> {
    let decoded = STANDARD.decode(request.authorization("Basic")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// Whether it is the registered client.
pub(crate) fn is_client(oauth: &OAuth, (id, secret): &(String, String)) -> bool {
    *id == oauth.client_id && *secret == oauth.client_secret
}

/// Whether a form shows the registered client, as parameters or as Basic.
pub(crate) fn form_shows_client(oauth: &OAuth, request: &Request) -> bool {
    let form = request.form();
    let get = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let shown = basic(request).or_else(|| Some((get("client_id")?, get("client_secret")?)));
    shown.is_some_and(|shown| is_client(oauth, &shown))
}

fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    /// The example of <https://www.rfc-editor.org/rfc/rfc7636#appendix-B>.
    #[test]
    fn a_challenge_is_made_as_published() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(super::s256(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
