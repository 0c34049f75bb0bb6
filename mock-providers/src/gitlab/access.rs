//! Who asks GitLab's API, for what project, and in what shape it answers.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{GitLab, Project};
use crate::{
    oauth::BearerProblem,
    server::{reply::Reply, request::Request, route::Turn},
};

/// Reads issues and writes comments on what they see.
pub(super) const GUEST: u64 = 10;
/// Changes issues.
pub(super) const REPORTER: u64 = 20;
/// Writes.
pub(super) const DEVELOPER: u64 = 30;

/// A refusal in the interface's own words, `404 Project Not Found`.
pub(super) fn message(status: u16, what: &str) -> Reply {
    Reply::json(status, &json!({ "message": format!("{status} {what}") }))
}

/// A refusal of a parameter. Only a mistake of the caller's explains it.
pub(super) fn invalid(what: &str) -> Reply {
    Reply::json(400, &json!({ "error": what })).violating(what)
}

/// A refusal of a field of what was to be stored.
pub(super) fn unfit(field: &str, why: &str) -> Reply {
    let body = json!({ "message": { field: [why] } });
    Reply::json(400, &body).violating(format!("{field} {why}"))
}

/// A text of a body within its limit.
pub(super) fn limited(body: &Value, field: &str, most: usize) -> Result<Option<String>, Reply> {
    let text = match &body[field] {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        _ => return Err(invalid(&format!("{field} is invalid"))),
    };
    if text.chars().count() > most {
        return Err(unfit(field, &format!("is too long (maximum is {most} characters)")));
    }
    Ok(Some(text.clone()))
}

/// What GitLab wants of every request to its API.
pub(super) fn admit(request: &Request) -> Result<(), Reply> {
    let in_query = ["access_token", "private_token", "job_token"];
    if in_query.iter().any(|name| request.query(name).is_some()) {
        return Err(invalid("a token stands in the address, where logs keep it"));
    }
    if !request.body.is_empty() && request.path.contains("/api/v4/") && !request.is_json() {
        let what = "The provided content-type is not supported.";
        return Err(Reply::json(406, &json!({ "error": what })).violating(what));
    }
    Ok(())
}

/// What every answer says of the limits:
/// <https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers>.
pub(super) fn with_limits(reply: Reply, now: DateTime<Utc>) -> Reply {
    if reply.headers.iter().any(|(name, _)| name == "ratelimit-limit") {
        return reply;
    }
    reply
        .header("ratelimit-limit", 2_000)
        .header("ratelimit-name", "throttle_authenticated_api")
        .header("ratelimit-observed", 1)
        .header("ratelimit-remaining", 1_999)
        .header("ratelimit-reset", (now + TimeDelta::minutes(1)).timestamp())
}

/// The username of who asks, if their token reaches so far.
pub(super) fn user(turn: &Turn<'_, GitLab>, scopes: &[&str]) -> Result<String, Reply> {
    let credential = turn.request.authorization("Bearer");
    let described = |text: &str| {
        Reply::json(401, &json!({ "error": "invalid_token", "error_description": text }))
    };
    let access = turn.oauth.bearer(credential, turn.now).map_err(|problem| match problem {
        BearerProblem::Missing | BearerProblem::Unknown => message(401, "Unauthorized"),
        BearerProblem::Expired => {
            described("Token is expired. You can either do re-authorization or token refresh.")
        }
        BearerProblem::Revoked => {
            described("Token was revoked. You have to re-authorize from the user.")
        }
    })?;
    if !scopes.iter().any(|scope| access.has(scope)) {
        return Err(insufficient_scope(&scopes.join(" ")));
    }
    Ok(access.account)
}

pub(super) fn insufficient_scope(scopes: &str) -> Reply {
    let body = json!({
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": scopes,
    });
    Reply::json(403, &body)
}

/// The place of the path's project, if who asks may do so much there; and who asks.
pub(super) fn project(turn: &Turn<'_, GitLab>, level: u64) -> Result<(usize, String), Reply> {
    let reads = turn.request.method == "GET";
    let scopes: &[&str] = if reads { &["api", "read_api"] } else { &["api"] };
    let user = user(turn, scopes)?;
    let wanted = turn.param("id");
    let fits = |known: &Project| known.id.to_string() == wanted || known.path == wanted;
    let found = turn.state.projects.iter().position(fits);
    let seen = found.and_then(|at| Some((at, turn.state.projects[at].level(&user)?)));
    // What somebody may not see is not there.
    let (at, has) = seen.ok_or_else(|| message(404, "Project Not Found"))?;
    let is_closed = !reads && turn.state.projects[at].is_archived;
    if has < level || is_closed {
        return Err(message(403, "Forbidden"));
    }
    Ok((at, user))
}

/// One page of a list, with all that GitLab says about pages:
/// <https://docs.gitlab.com/api/rest/#offset-based-pagination>.
pub(super) fn paged(turn: &Turn<'_, GitLab>, all: &[Value]) -> Reply {
    let size = turn.request.number("per_page", 20).clamp(1, 100);
    let number = turn.request.number("page", 1).max(1);
    let shown: Vec<&Value> = all.iter().skip((number - 1) * size).take(size).collect();
    let last = all.len().div_ceil(size).max(1);
    let text = |is_there: bool, number: usize| match is_there {
        true => number.to_string(),
        false => String::new(),
    };
    let reply = Reply::json(200, &json!(shown))
        .header("x-page", number)
        .header("x-per-page", size)
        .header("x-next-page", text(number < last, number + 1))
        .header("x-prev-page", text(1 < number, number - 1))
        .header("x-total", all.len())
        .header("x-total-pages", last);
    let link = |number: usize, relation: &str| {
        let kept = turn.request.query.iter().filter(|(name, _)| name != "page");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept.map(|(name, value)| (name.as_str(), value.as_str())));
        query.append_pair("page", &number.to_string());
        let base = &turn.urls["web"];
        format!("<{base}{}?{}>; rel=\"{relation}\"", turn.request.path, query.finish())
    };
    let mut links = vec![link(1, "first"), link(last, "last")];
    if number < last {
        links.insert(0, link(number + 1, "next"));
    }
    reply.header("link", links.join(", "))
}
