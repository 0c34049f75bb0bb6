//! Who asks Bitbucket's API, and in what shape it answers.

use serde_json::{Value, json};

use super::Bitbucket;
use crate::{
    oauth::BearerProblem,
    server::{
        reply::{Outcome, Reply},
        request::Request,
        route::Turn,
    },
};

/// A refusal as Bitbucket words it.
pub(super) fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "type": "error", "error": { "message": message } }))
}

/// A refusal of what a request says. Only a mistake of the caller's explains it.
pub(super) fn invalid(field: &str, why: &str) -> Reply {
    let fields = json!({ field: [why] });
    let body = json!({ "type": "error", "error": { "message": "Bad request", "fields": fields } });
    Reply::json(400, &body).violating(format!("{field}: {why}"))
}

/// Since 4 May 2026 a token is read in the `Authorization` header only.
pub(super) fn admit(request: &Request) -> Result<(), Reply> {
    if request.host != "api" {
        return Ok(());
    }
    let in_form = request.form().iter().any(|(name, _)| name == "access_token");
    if in_form || request.query("access_token").is_some() {
        let what = "the token stands outside of the Authorization header";
        return Err(error(401, what).violating(what));
    }
    Ok(())
}

/// The username of who asks, if the consumer may so much.
pub(super) fn user(turn: &Turn<'_, Bitbucket>, scope: &str) -> Result<String, Reply> {
    let credential = turn.request.authorization("Bearer");
    let access = turn.oauth.bearer(credential, turn.now).map_err(|problem| match problem {
        BearerProblem::Expired => {
            error(401, "Access token expired. Use your refresh token to obtain a new access token.")
        }
        BearerProblem::Missing | BearerProblem::Unknown | BearerProblem::Revoked => {
            error(401, "Token is invalid, expired, or not supported for this endpoint.")
        }
    })?;
    let granted = &turn.state.scopes;
    // Whoever may write may read.
    let has = |scope: &str| granted.iter().any(|known| known == scope);
    if !has(scope) && !has(&format!("{scope}:write")) {
        let body = json!({
            "type": "error",
            "error": {
                "message": "Your credentials lack one or more required privilege scopes.",
                "detail": { "granted": granted, "required": [scope] },
            },
        });
        return Err(Reply::json(403, &body));
    }
    Ok(access.account)
}

/// One page of a list, with the address of the next.
pub(super) fn paged(turn: &Turn<'_, Bitbucket>, all: &[Value]) -> Outcome {
    let size = turn.request.number("pagelen", 10);
    if !(1..=100).contains(&size) {
        return Err(invalid("pagelen", "Invalid pagelen"));
    }
    let number = turn.request.number("page", 1);
    if number == 0 {
        return Err(invalid("page", "Invalid page"));
    }
    let shown: Vec<&Value> = all.iter().skip((number - 1) * size).take(size).collect();
    let address = |number: usize| {
        let kept = turn.request.query.iter().filter(|(name, _)| name != "page");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept.map(|(name, value)| (name.as_str(), value.as_str())));
        query.append_pair("page", &number.to_string());
        format!("{}{}?{}", turn.urls["api"], turn.request.path, query.finish())
    };
    let mut answer = json!({ "values": shown, "pagelen": size, "size": all.len(), "page": number });
    if number * size < all.len() {
        answer["next"] = address(number + 1).into();
    }
    if 1 < number {
        answer["previous"] = address(number - 1).into();
    }
    Ok(Reply::json(200, &answer))
}
