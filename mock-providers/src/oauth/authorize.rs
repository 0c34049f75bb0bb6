//! The consent page: checks what it was asked with, and sends the person back with a code.

use url::Url;

use super::{
    OAuth, Pkce, Rules,
    grants::{CODE_HOLDS, Code},
};
use crate::{
    page,
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// What a person may choose at the consent page: a key for the grant, and what they read.
pub(crate) type Choice = (String, String);

/// Answers a consent page. `more` is what else the provider adds on the way back.
pub(crate) fn authorize<S>(
    turn: &mut Turn<'_, S>,
    rules: &Rules,
    choices: &[Choice],
    more: impl FnOnce(&str) -> Vec<(&'static str, String)>,
) -> Outcome {
    match turn.request.query("response_type") {
        Some("code") => consent(turn, rules, choices, more),
        None => Err(page::refusal(400, "response_type is missing")),
        Some(_) => Err(page::refusal(400, "response_type is not code")),
    }
}

/// The same at a provider that knows codes only, and wants no `response_type`.
pub(crate) fn consent<S>(
    turn: &mut Turn<'_, S>,
    rules: &Rules,
    choices: &[Choice],
    more: impl FnOnce(&str) -> Vec<(&'static str, String)>,
) -> Outcome {
    let asked = Asked::read(turn, rules).map_err(|why| page::refusal(400, &why))?;
    let choice = match choose(turn, rules, &asked.scopes, choices)? {
        Decided::Shown(page) => return Ok(page),
        Decided::Denied => {
            let back = [("error", "access_denied".to_owned()), ("state", asked.state)];
            return Ok(Reply::redirect(&sent_back(&asked.back, &back)));
        }
        Decided::Chosen(choice) => choice,
    };
    let code = turn.oauth.new_code(Code {
        account: choice.clone(),
        scopes: asked.scopes,
        redirect_uri: asked.redirect_uri,
        challenge: asked.challenge,
        expires_at: turn.now + CODE_HOLDS,
    });
    let mut back = vec![("code", code), ("state", asked.state)];
    back.extend(more(&choice));
    Ok(Reply::redirect(&sent_back(&asked.back, &back)))
}

/// A code for an account that nobody was asked about: at GitHub, installing an app says it all.
pub(crate) fn code_for<S>(turn: &mut Turn<'_, S>, account: &str) -> String {
    turn.oauth.new_code(Code {
        account: account.to_owned(),
        scopes: Vec::new(),
        redirect_uri: None,
        challenge: None,
        expires_at: turn.now + CODE_HOLDS,
    })
}

/// What a person did at a page.
enum Decided {
    /// They still have to look at it.
    Shown(Reply),
    Denied,
    Chosen(String),
}

fn choose<S>(
    turn: &mut Turn<'_, S>,
    rules: &Rules,
    scopes: &[String],
    choices: &[Choice],
) -> Result<Decided, Reply> {
    let decision = turn.request.query("decision");
    if turn.oauth.place.is_interactive && decision.is_none() {
        let here = format!("{}?{}", turn.request.path, encoded(&turn.request.query));
        return Ok(Decided::Shown(page::consent(rules.provider, &here, scopes, choices)));
    }
    if decision == Some("deny") || std::mem::take(&mut turn.oauth.consent.denies) {
        return Ok(Decided::Denied);
    }
    let told = turn.request.query("choice").map(str::to_owned);
    let choice = told.or_else(|| turn.oauth.consent.choice.clone());
    let choice = choice.or_else(|| choices.first().map(|(key, _)| key.clone()));
    let nothing = || page::refusal(400, "this person has nothing to choose from");
    choice.map(Decided::Chosen).ok_or_else(nothing)
}

/// A request for consent that keeps the rules.
struct Asked {
    state: String,
    scopes: Vec<String>,
    challenge: Option<String>,
    redirect_uri: Option<String>,
    /// Where the person is sent back to.
    back: String,
}

impl Asked {
    fn read<S>(turn: &Turn<'_, S>, rules: &Rules) -> Result<Self, String> {
        let wanted = |name: &str| {
            let value = turn.request.query(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("{name} is missing"))
        };
        if wanted("client_id")? != turn.oauth.client_id {
            return Err("client_id is unknown".to_owned());
        }
        let state = wanted("state")?.to_owned();
        for (name, value) in rules.fixed {
            if wanted(name)? != *value {
                return Err(format!("{name} is not {value}"));
            }
        }
        let redirect_uri = turn.request.query("redirect_uri").map(str::to_owned);
        let back = match &redirect_uri {
            Some(uri) => registered(turn.oauth, rules, uri)?,
            None if rules.redirect_uri_is_optional => home(turn.oauth, rules)?,
            None => return Err("redirect_uri is missing".to_owned()),
        };
        let scopes = match rules.separator {
            Some(separator) => scopes(wanted("scope")?, separator, rules.scopes)?,
            None => rules.scopes.iter().map(|&scope| scope.to_owned()).collect(),
        };
        let challenge = match rules.pkce {
            Pkce::Ignored => None,
            Pkce::Off if turn.request.query("code_challenge").is_some() => {
                return Err("code_challenge: PKCE is switched off for this app".to_owned());
            }
            Pkce::Off => None,
            Pkce::S256 => {
                if wanted("code_challenge_method")? != "S256" {
                    return Err("code_challenge_method is not S256".to_owned());
                }
                let challenge = wanted("code_challenge")?;
                if challenge.len() != 43 {
                    return Err("code_challenge is no SHA-256 in base64url".to_owned());
                }
                Some(challenge.to_owned())
            }
        };
        Ok(Self { state, scopes, challenge, redirect_uri, back })
    }
}

/// The scopes between separators; each must be one that the app is registered for.
fn scopes(text: &str, separator: char, known: &[&str]) -> Result<Vec<String>, String> {
    let scopes: Vec<String> = text.split(separator).map(str::to_owned).collect();
    match scopes.iter().find(|scope| !known.contains(&scope.as_str())) {
        Some(scope) => Err(format!("scope {scope:?} is unknown")),
        None => Ok(scopes),
    }
}

/// The address itself, if it is the registered one.
pub(super) fn registered(oauth: &OAuth, rules: &Rules, uri: &str) -> Result<String, String> {
    let wrong = || format!("redirect_uri {uri} is not registered");
    let url = Url::parse(uri).map_err(|_| wrong())?;
    let is_plain = url.query().is_none() && url.fragment().is_none();
    let base = uri.strip_suffix(rules.callback).ok_or_else(wrong)?;
    let is_ours = oauth.place.relay_url.as_deref().is_none_or(|relay_url| relay_url == base);
    if is_plain && is_ours { Ok(uri.to_owned()) } else { Err(wrong()) }
}

/// The registered address, wherever Relay is.
pub(crate) fn home(oauth: &OAuth, rules: &Rules) -> Result<String, String> {
    let base = oauth.place.relay_url.as_ref();
    let base = base.ok_or("no redirect_uri, and the mocks were not told where Relay is")?;
    Ok(format!("{base}{}", rules.callback))
}

/// An address with these parameters.
pub(crate) fn sent_back(to: &str, parameters: &[(&'static str, String)]) -> String {
    format!("{to}?{}", encoded(parameters))
}

fn encoded<N: AsRef<str>>(parameters: &[(N, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().map(|(name, value)| (name.as_ref(), value)));
    query.finish()
}
