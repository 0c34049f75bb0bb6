//! What Linear's answers mean. Failures come with status 200 as well as 400, so the body counts.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use crate::provider::{Hold, Reply, SharedBy, Verdict, fold::NOT_FOUND};

/// What an answer means.
pub(super) fn verdict(reply: &Reply) -> Verdict {
    let body = reply.json();
    let errors = body["errors"].as_array().into_iter().flatten();
    match errors.map(|error| of_error(reply, error)).min_by_key(place) {
        Some(verdict) => verdict,
        None if reply.status == 429 => limited(reply),
        None if reply.status == 400 && spent(reply).next().is_some() => limited(reply),
        None if reply.is_success() && !body["data"].is_object() => Verdict::retry(reply),
        None if reply.is_success() && unsuccessful(&body["data"]) => {
            Verdict::Rejected("not_successful".into())
        }
        None => Verdict::from_status(reply),
    }
}

/// The order in which refusals of one answer are to be set right: without a token nothing goes,
/// without room or time nothing more, and only then does it matter what was asked and of whom.
fn place(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Unauthorized => 0,
        Verdict::Suspended(_) => 1,
        Verdict::Retry { hold: Some(_), .. } => 2,
        Verdict::WrongDestination(_) => 3,
        Verdict::Rejected(_) => 4,
        _ => 5,
    }
}

/// The types are those of Linear's SDK, which are spelled in several ways.
///
/// <https://github.com/linear/linear/blob/master/packages/sdk/src/error.ts>
fn of_error(reply: &Reply, error: &Value) -> Verdict {
    let extensions = &error["extensions"];
    let kinds = [plain(&extensions["code"]), plain(&extensions["type"])];
    let is = |names: &[&str]| kinds.iter().any(|kind| names.contains(&kind.as_str()));
    let message = error["message"].as_str().unwrap_or_default().to_lowercase();
    if is(&["ratelimited"]) || reply.status == 429 {
        limited(reply)
    } else if is(&["authenticationerror"]) || reply.status == 401 {
        Verdict::Unauthorized
    } else if is(&["featurenotaccessible"]) {
        Verdict::WrongDestination("feature_not_accessible".into())
    } else if is(&["forbidden"]) || reply.status == 403 {
        Verdict::WrongDestination("forbidden".into())
    } else if is(&["usagelimitexceeded", "quotaexceeded"]) {
        // Until somebody frees or buys room: parked, and the admin is told.
        Verdict::Suspended("usage_limit_exceeded")
    } else if message.contains("entity not found") {
        Verdict::WrongDestination(NOT_FOUND.into())
    } else if is(&["invalidinput"]) {
        Verdict::Rejected("invalid_input".into())
    } else if is(&["usererror"]) {
        Verdict::Rejected("user_error".into())
    } else if is(&["graphqlerror", "graphqlvalidationfailed", "badusererror", "baduserinput"]) {
        Verdict::Rejected("graphql_error".into())
    } else {
        Verdict::retry(reply)
    }
}

/// `AuthenticationError`, `AUTHENTICATION_ERROR` and `authentication error` are one.
fn plain(kind: &Value) -> String {
    let letters = kind.as_str().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

fn unsuccessful(data: &Value) -> bool {
    data.as_object().is_some_and(|data| data.values().any(|payload| payload["success"] == false))
}

/// The budget is one of the app in this workspace. Resets are in milliseconds.
///
/// <https://linear.app/developers/rate-limiting>
fn limited(reply: &Reply) -> Verdict {
    let after = spent(reply).chain(reply.retry_after()).max();
    Verdict::hold(after.unwrap_or(Duration::from_secs(60)), SharedBy::Installation)
}

/// The answer that used up a budget says so itself: the next call would only be refused.
pub(super) fn budget(reply: &Reply) -> Option<Hold> {
    spent(reply).max().map(|wait| Hold { wait, shared_by: SharedBy::Installation })
}

/// When the budgets that are used up are filled again.
fn spent(reply: &Reply) -> impl Iterator<Item = Duration> {
    let budgets = [
        ("x-ratelimit-requests-remaining", "x-ratelimit-requests-reset"),
        ("x-ratelimit-complexity-remaining", "x-ratelimit-complexity-reset"),
        ("x-ratelimit-endpoint-requests-remaining", "x-ratelimit-endpoint-requests-reset"),
    ];
    budgets.into_iter().filter_map(|(remaining, reset)| {
        if reply.number(remaining)? >= 1.0 {
            return None;
        }
        let reset = DateTime::from_timestamp_millis(reply.number(reset)? as i64)?;
        Some((reset - reply.at).to_std().unwrap_or_default())
    })
}
