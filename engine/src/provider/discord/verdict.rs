//! What Discord's answers mean: a status, and a code in its JSON.
//! <https://discord.com/developers/docs/topics/opcodes-and-status-codes>

use std::time::Duration;

use serde_json::Value;

use crate::provider::{Delivered, Destination, Hold, Outgoing, Reply, SharedBy, Verdict};

/// How long a busy Discord is left alone if it does not say.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long Discord is left alone when its gatekeeper refuses us: answers of that kind, repeated,
/// bring a ban of the address.
const BLOCKED: Duration = Duration::from_secs(60);

/// What an answer to a posted message means.
pub(super) fn verdict(reply: &Reply, out: &Outgoing<'_>, channel: &Destination) -> Verdict {
    match of_asking(reply) {
        // The message comes back with the answer; without its end it is there all the same.
        Verdict::Delivered(_) => {
            let id = reply.json()["id"].as_str().map(str::to_owned);
            let path =
                |id| format!("/channels/{}/{}/{id}", out.account.installation_id, channel.id);
            let url = id.as_deref().map(|id| out.account.hosts.url("web", &path(id)).into());
            Verdict::Delivered(Delivered { external_id: id, url, ticket: None })
        }
        refusal => refusal,
    }
}

/// What an answer means to anybody who asked.
pub(super) fn of_asking(reply: &Reply) -> Verdict {
    let answer = reply.json();
    match (reply.status, answer["code"].as_u64()) {
        (200..=299, _) => Verdict::delivered(),
        (429, _) => too_many(reply, &answer),
        // The bot's token is everybody's.
        (401, _) => Verdict::OperatorFault("discord_bot_token"),
        (500.., _) => Verdict::retry(reply),
        (_, Some(code)) => meaning(code, reply),
        // Not Discord's own answer.
        (403, None) if answer.is_null() => {
            Verdict::hold(reply.retry_after().unwrap_or(BLOCKED), SharedBy::Provider)
        }
        _ => Verdict::from_status(reply),
    }
}

fn meaning(code: u64, reply: &Reply) -> Verdict {
    match code {
        40001 | 50014 => Verdict::OperatorFault("discord_bot_token"),
        10003 => Verdict::WrongDestination("unknown_channel".into()),
        10004 => Verdict::Disconnected("unknown_guild"),
        50001 => Verdict::WrongDestination("missing_access".into()),
        50013 => Verdict::WrongDestination("missing_permission".into()),
        50008 => Verdict::WrongDestination("not_a_text_channel".into()),
        50024 => Verdict::WrongDestination("wrong_channel_type".into()),
        50083 => Verdict::WrongDestination("thread_archived".into()),
        50035 => Verdict::Rejected("invalid_form_body".into()),
        50006 => Verdict::Rejected("empty_message".into()),
        50109 => Verdict::Rejected("invalid_json".into()),
        200_000 => Verdict::Rejected("blocked_by_moderation".into()),
        240_000 => Verdict::Rejected("blocked_link".into()),
        // Slow mode, writes to a channel or server, a resource that is limited or overloaded.
        20016 | 20028 | 20029 | 40062 | 130_000 => too_many(reply, &reply.json()),
        _ => Verdict::from_status(reply),
    }
}

/// A channel takes a few messages in a time. The one that was the last of them says so: the next
/// would only be refused, and too many refusals bring a ban.
///
/// <https://discord.com/developers/docs/topics/rate-limits#header-format>
pub(super) fn budget(reply: &Reply) -> Option<Hold> {
    if reply.number("x-ratelimit-remaining")? >= 1.0 {
        return None;
    }
    let wait = Duration::try_from_secs_f64(reply.number("x-ratelimit-reset-after")?).ok()?;
    Some(Hold { wait, shared_by: SharedBy::Destination })
}

/// How long, and for whom. The spans are seconds with a fraction; the longest that is given counts.
fn too_many(reply: &Reply, answer: &Value) -> Verdict {
    let spans = [
        answer["retry_after"].as_f64(),
        reply.retry_after().map(|after| after.as_secs_f64()),
        reply.number("x-ratelimit-reset-after"),
    ];
    let after = spans
        .into_iter()
        .flatten()
        .filter_map(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .max();
    let is_global = answer["global"] == true
        || reply.header("x-ratelimit-global") == Some("true")
        || reply.header("x-ratelimit-scope") == Some("global");
    // An answer that is not JSON is the gatekeeper's, who means our address.
    match (answer.is_null(), is_global) {
        (true, _) => Verdict::hold(after.unwrap_or(BLOCKED), SharedBy::Provider),
        (false, true) => Verdict::hold(after.unwrap_or(PATIENCE), SharedBy::Provider),
        (false, false) => Verdict::hold(after.unwrap_or(PATIENCE), SharedBy::Destination),
    }
}
