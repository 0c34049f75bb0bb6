//! What Slack's answers mean. It answers 200 to refusals too and tells why by a code.
//! <https://docs.slack.dev/reference/methods/chat.postMessage#errors>

use std::time::Duration;

use crate::provider::{Delivered, Outgoing, Reply, SharedBy, Verdict};

/// How long a busy Slack is left alone if it does not say.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a workspace that used up its messages is left alone.
const MESSAGES_USED_UP: Duration = Duration::from_secs(4 * 60 * 60);
/// How long a workspace that moves into an organization is left alone between two attempts.
const WORKSPACE_MOVES: Duration = Duration::from_secs(10 * 60);
/// How many attempts may meet a code that we do not know, or a workspace that moves.
const ATTEMPTS_IN_DOUBT_MAX: i32 = 4;

/// What an answer to a delivery's call means.
pub(super) fn verdict(reply: &Reply, out: &Outgoing<'_>) -> Verdict {
    match refusal(reply, out.attempt) {
        Some(refusal) => refusal,
        None => Verdict::Delivered(delivered(reply, out)),
    }
}

/// What an answer means that is not a success, to an admin who asked.
pub(super) fn of_asking(reply: &Reply) -> Verdict {
    refusal(reply, 1).unwrap_or_else(|| Verdict::retry(reply))
}

/// The code of a refusal: `channel_not_found`. `None` for a success and for what is not Slack's.
pub(super) fn error_code(reply: &Reply) -> Option<String> {
    let answer = reply.json();
    let code = answer["error"].as_str().filter(|_| answer["ok"] == false)?;
    Some(code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect())
}

fn delivered(reply: &Reply, out: &Outgoing<'_>) -> Delivered {
    let answer = reply.json();
    let team = out.account.metadata["team_id"].as_str().unwrap_or_default();
    // https://docs.slack.dev/interactivity/deep-linking: a message has no address without asking.
    let page = answer["channel"].as_str().map(|channel| {
        let mut url = out.account.hosts.url("web", "/app_redirect");
        url.query_pairs_mut().append_pair("team", team).append_pair("channel", channel);
        url.into()
    });
    Delivered { external_id: answer["ts"].as_str().map(str::to_owned), url: page, ticket: None }
}

fn refusal(reply: &Reply, attempt: i32) -> Option<Verdict> {
    if reply.status == 429 {
        let after = reply.retry_after().unwrap_or(PATIENCE);
        return Some(Verdict::hold(after, SharedBy::Destination));
    }
    match error_code(reply) {
        Some(code) => Some(meaning(code, reply, attempt)),
        None if !reply.is_success() => Some(Verdict::from_status(reply)),
        // The message comes back with the answer, so its end may be missing.
        None if reply.body.starts_with(br#"{"ok":true"#) || reply.json()["ok"] == true => None,
        None => Some(Verdict::retry(reply)),
    }
}

fn meaning(code: String, reply: &Reply, attempt: i32) -> Verdict {
    match code.as_str() {
        "token_expired" => Verdict::Unauthorized,
        "org_login_required" if attempt < ATTEMPTS_IN_DOUBT_MAX => {
            Verdict::hold(WORKSPACE_MOVES, SharedBy::Installation)
        }
        "invalid_auth"
        | "not_authed"
        | "token_revoked"
        | "account_inactive"
        | "missing_scope"
        | "not_allowed_token_type"
        | "no_permission"
        | "org_login_required"
        | "app_access_restricted"
        | "two_factor_setup_required" => Verdict::Reauth(code.into()),
        "channel_not_found"
        | "not_in_channel"
        | "is_archived"
        | "messages_tab_disabled"
        | "ekm_access_denied"
        | "team_not_found"
        | "access_denied"
        | "channel_is_limited_access"
        | "too_many_members" => Verdict::WrongDestination(code.into()),
        // What joining a private channel is answered with: somebody must invite us.
        "method_not_supported_for_channel_type" => {
            Verdict::WrongDestination("not_in_channel".into())
        }
        "ratelimited" | "rate_limited" => {
            Verdict::hold(reply.retry_after().unwrap_or(PATIENCE), SharedBy::Destination)
        }
        "message_limit_exceeded" => Verdict::hold(MESSAGES_USED_UP, SharedBy::Installation),
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => Verdict::retry(reply),
        code_of_ours if is_our_mistake(code_of_ours) => Verdict::Rejected(code.into()),
        action if action.starts_with("restricted_action") => Verdict::WrongDestination(code.into()),
        _ if attempt < ATTEMPTS_IN_DOUBT_MAX => Verdict::retry(reply),
        _ => Verdict::Rejected(code.into()),
    }
}

/// Whether the same request would be refused for ever.
fn is_our_mistake(code: &str) -> bool {
    let exactly = [
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_arguments",
        "invalid_arg_name",
        "invalid_array_arg",
        "invalid_charset",
        "invalid_form_data",
        "invalid_json",
        "invalid_post_type",
        "json_not_object",
        "missing_argument",
        "missing_post_type",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
        "attachment_payload_limit_exceeded",
        "markdown_text_conflict",
        "metadata_too_large",
        "metadata_must_be_sent_from_app",
        "cannot_reply_to_message",
        "unknown_method",
        "method_deprecated",
        "deprecated_endpoint",
    ];
    exactly.contains(&code) || code.starts_with("invalid_metadata_")
}
