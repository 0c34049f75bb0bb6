//! Who asks GitHub's API: the app by its JWT, an installation or a user by a token, and how much an
//! installation may still ask.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::{GitHub, Installation, key::app_key};
use crate::server::{
    reply::{Outcome, Reply},
    request::Request,
    route::Turn,
};

/// What an installation may ask in an hour:
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>.
const BUDGET: u32 = 5_000;
/// How far ahead a JWT may end.
const JWT_HOLDS: i64 = 600;

/// What is left of an installation's hour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) remaining: u32,
    pub(super) resets_at: DateTime<Utc>,
}

impl Default for Limit {
    fn default() -> Self {
        Self { remaining: BUDGET, resets_at: DateTime::UNIX_EPOCH }
    }
}

impl Limit {
    /// Counts a request; `false` if it is one too many.
    fn take(&mut self, now: DateTime<Utc>) -> bool {
        if self.resets_at <= now {
            *self = Self { remaining: BUDGET, resets_at: now + TimeDelta::hours(1) };
        }
        let may = 0 < self.remaining;
        self.remaining = self.remaining.saturating_sub(1);
        may
    }

    fn shown(self, reply: Reply) -> Reply {
        reply
            .header("x-ratelimit-limit", BUDGET)
            .header("x-ratelimit-remaining", self.remaining)
            .header("x-ratelimit-used", BUDGET - self.remaining)
            .header("x-ratelimit-reset", self.resets_at.timestamp())
            .header("x-ratelimit-resource", "core")
    }
}

/// A refusal as GitHub words it.
pub(super) fn error(status: u16, message: &str) -> Reply {
    let body = json!({
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": status.to_string(),
    });
    Reply::json(status, &body)
}

/// A refusal of what a request says. Only a mistake of the caller's explains it.
pub(super) fn invalid(resource: &str, field: &str, code: &str, message: &str) -> Reply {
    let body = json!({
        "message": "Validation Failed",
        "errors": [{ "resource": resource, "code": code, "field": field, "message": message }],
        "documentation_url": "https://docs.github.com/rest",
        "status": "422",
    });
    Reply::json(422, &body).violating(format!("{resource}: {field}: {message}"))
}

/// What GitHub wants of every request to its API.
pub(super) fn admit(request: &Request) -> Result<(), Reply> {
    if request.host != "api" {
        return Ok(());
    }
    if request.header("user-agent").is_empty() {
        let what = "Request forbidden by administrative rules. Please make sure your request has a \
                    User-Agent header";
        return Err(Reply::text(403, what).violating(what));
    }
    if request.header("accept") != "application/vnd.github+json" {
        let what = "Accept is not application/vnd.github+json";
        return Err(error(415, what).violating(what));
    }
    if request.header("x-github-api-version") != "2022-11-28" {
        let what = "X-GitHub-Api-Version is not 2022-11-28";
        return Err(error(400, what).violating(what));
    }
    if request.query("access_token").is_some() {
        let what = "Must specify access token via Authorization header";
        return Err(error(400, what).violating(what));
    }
    Ok(())
}

/// Whether the app itself asks, with a JWT of its own key:
/// <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>.
pub(super) fn app(turn: &Turn<'_, GitHub>) -> Result<(), Reply> {
    let refused = |why: &str| error(401, why);
    let jwt = turn.request.authorization("Bearer");
    let jwt = jwt.ok_or_else(|| refused("A JSON web token could not be decoded"))?;
    let mut rules = Validation::new(Algorithm::RS256);
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    let key = DecodingKey::from_rsa_der(&app_key().public_der);
    let decoded = jsonwebtoken::decode::<Value>(jwt, &key, &rules);
    let claims = match decoded {
        Ok(decoded) if !turn.state.app.is_key_replaced => decoded.claims,
        _ => return Err(refused("A JSON web token could not be decoded")),
    };
    let issuer = claims["iss"].as_str().map(str::to_owned);
    let issuer = issuer.or_else(|| Some(claims["iss"].as_u64()?.to_string()));
    let known = [turn.state.app.id.to_string(), turn.oauth.client_id.clone()];
    if !issuer.is_some_and(|issuer| known.contains(&issuer)) {
        return Err(refused("'Issuer' claim ('iss') must be an Integer"));
    }
    // Whoever signs has the wall clock, however far tests have moved the mocks' own.
    let now = Utc::now().timestamp();
    match (claims["iat"].as_i64(), claims["exp"].as_i64()) {
        (None, _) | (_, None) => Err(refused("Missing 'iat' or 'exp' claim in assertion")),
        (Some(issued), _) if now < issued => Err(refused(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        )),
        (_, Some(ends)) if ends <= now => Err(refused(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        )),
        (Some(issued), Some(ends)) if JWT_HOLDS < ends - now || ends < issued => {
            let why = "'Expiration time' claim ('exp') is too far in the future";
            Err(refused(why).violating(why))
        }
        _ => Ok(()),
    }
}

/// What stands before the number of an installation as whose account a token is kept.
pub(super) const INSTALLATION: &str = "installation/";

/// An installation that asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) installation: u64,
    /// `issues:write` and the like, as the token was made with.
    scopes: Vec<String>,
}

impl Caller {
    /// Whether it may, or GitHub's refusal.
    pub(super) fn may(&self, github: &GitHub, what: &str, level: &str) -> Result<(), Reply> {
        let granted = |level: &str| {
            let still = github.installation(self.installation);
            self.scopes.contains(&format!("{what}:{level}"))
                && still.is_some_and(|i| i.permissions.get(what).is_some_and(|l| l == level))
        };
        if granted("write") || level == "read" && granted("read") {
            return Ok(());
        }
        let refusal = error(403, "Resource not accessible by integration");
        Err(refusal.header("x-accepted-github-permissions", format!("{what}={level}")))
    }
}

/// Answers an installation, with what it has left beside every answer.
pub(super) fn as_installation(
    turn: &mut Turn<'_, GitHub>,
    then: impl FnOnce(&mut Turn<'_, GitHub>, &Caller) -> Outcome,
) -> Outcome {
    let caller = caller(turn)?;
    let now = turn.now;
    let Some(installation) = turn.state.installation_mut(caller.installation) else {
        return Err(error(401, "Bad credentials"));
    };
    let may = installation.limit.take(now);
    let limit = installation.limit;
    if !may {
        let message =
            format!("API rate limit exceeded for installation ID {}.", caller.installation);
        return Err(limit.shown(error(403, &message)));
    }
    let (Ok(reply) | Err(reply)) = then(turn, &caller);
    Ok(limit.shown(reply))
}

fn caller(turn: &Turn<'_, GitHub>) -> Result<Caller, Reply> {
    let credential = turn.request.authorization("Bearer");
    if credential.is_none() {
        return Err(error(401, "Requires authentication"));
    }
    let access = turn.oauth.bearer(credential, turn.now);
    let access = access.map_err(|_| error(401, "Bad credentials"))?;
    let id = access.account.strip_prefix(INSTALLATION).and_then(|id| id.parse::<u64>().ok());
    let Some(id) = id else {
        return Err(error(403, "Resource not accessible by personal access token"));
    };
    let installation = turn.state.installation(id).filter(|known| known.is_installed);
    let installation = installation.ok_or_else(|| error(401, "Bad credentials"))?;
    not_suspended(installation)?;
    Ok(Caller { installation: id, scopes: access.scopes })
}

/// Passes, unless somebody suspended the installation.
pub(super) fn not_suspended(installation: &Installation) -> Result<(), Reply> {
    match installation.suspended_at {
        Some(_) => Err(error(403, "This installation has been suspended")),
        None => Ok(()),
    }
}

/// The login of the user that asks with a token of their own.
pub(super) fn user(turn: &Turn<'_, GitHub>) -> Result<String, Reply> {
    let credential = turn.request.authorization("Bearer");
    let access = turn.oauth.bearer(credential, turn.now);
    let access = access.map_err(|_| error(401, "Bad credentials"))?;
    if access.account.starts_with(INSTALLATION) {
        return Err(error(
            403,
            "You must authenticate with an access token authorized to a GitHub App in order to list installations",
        ));
    }
    Ok(access.account)
}

/// One page of a list, with the links to the others.
pub(super) fn page(turn: &Turn<'_, GitHub>, all: &[Value]) -> (Vec<Value>, Option<String>) {
    let size = turn.request.number("per_page", 30).clamp(1, 100);
    let number = turn.request.number("page", 1).max(1);
    let shown: Vec<Value> = all.iter().skip((number - 1) * size).take(size).cloned().collect();
    let last = all.len().div_ceil(size).max(1);
    let link = |number: usize, relation: &str| {
        let kept = turn.request.query.iter().filter(|(name, _)| name != "page");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept.map(|(name, value)| (name.as_str(), value.as_str())));
        query.append_pair("page", &number.to_string());
        let base = &turn.urls["api"];
        format!("<{base}{}?{}>; rel=\"{relation}\"", turn.request.path, query.finish())
    };
    let links = (number < last).then(|| [link(number + 1, "next"), link(last, "last")].join(", "));
    (shown, links)
}

/// The same as an answer.
pub(super) fn paged(turn: &Turn<'_, GitHub>, all: &[Value], name: Option<&str>) -> Reply {
    let (shown, links) = page(turn, all);
    let reply = match name {
        None => Reply::json(200, &Value::from(shown)),
        Some(name) => Reply::json(200, &json!({ "total_count": all.len(), name: shown })),
    };
    match links {
        Some(links) => reply.header("link", links),
        None => reply,
    }
}
