//! GitHub: an App that marks commits and pull requests, and keeps findings as issues.

mod send;

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    contract::{
        AccountAccess, Call, Category, CheckStep, Choosing, ClientSettings, Connect, CredentialOf,
        Destination, Destinations, GitHubApp, Hold, Host, Pace, PickStep, Picking, Provider, Reply,
        SharedBy, Verdict,
    },
    fold::{Answers, told},
    ticket,
};

/// GitHub, through an App of the operator's.
pub(super) const GITHUB: Provider = Provider {
    id: "github",
    label: "GitHub",
    category: Category::CiCd,
    hosts: &[
        Host { name: "web", url: "https://github.com", setting: "RELAY_GITHUB_URL" },
        Host { name: "api", url: "https://api.github.com", setting: "RELAY_GITHUB_API_URL" },
    ],
    connect: Connect::GitHubApp(GitHubApp {
        app_id: "GITHUB_APP_ID",
        app_name: "GITHUB_APP_NAME",
        private_key: "GITHUB_APP_PRIVATE_KEY",
        client: ClientSettings { id: "GITHUB_CLIENT_ID", secret: "GITHUB_CLIENT_SECRET" },
        callback: "callback",
    }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations { noun: "repository", list, check }),
    // A second between writes keeps clear of the limits that GitHub does not publish as numbers:
    // https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
    pace: Pace {
        burst: 1,
        count: 1,
        per: Duration::from_secs(1),
        shared_by: SharedBy::Installation,
    },
    event_types: ticket::EVENT_TYPES,
    advance: send::advance,
    limits: "title 255, issue and comment 65,536, commit status 140 characters",
};

/// How long a limit lasts at least where the answer does not say.
const LIMITED: Duration = Duration::from_secs(60);
/// Which part of the hour's budget is left to the rest of Deptex, and to admins who wait for a list.
const RESERVED: f64 = 0.02;
/// What an installation may ask for in an hour at least.
const HOURLY_MIN: f64 = 5_000.0;
/// Repositories on one page.
const PAGE: u64 = 50;

/// A call to the API. A renamed repository answers with a redirect to where it is now.
fn api(call: Call, account: &AccountAccess<'_>) -> Call {
    call.header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
        .bearer(account.credential)
        .following()
        .heeding(budget)
}

/// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>
fn verdict(reply: &Reply) -> Verdict {
    let message = reply.json()["message"].as_str().unwrap_or_default().to_ascii_lowercase();
    match reply.status {
        403 | 429 if is_limited(reply, &message) => {
            Verdict::hold(limited_for(reply), SharedBy::Installation)
        }
        403 if message.contains("suspended") => Verdict::Suspended("suspended"),
        403 if message.contains("not accessible") => {
            Verdict::WrongDestination("missing_permission".into())
        }
        403 if message.contains("archived") => Verdict::WrongDestination("archived".into()),
        410 if message.contains("issues") => Verdict::WrongDestination("issues_disabled".into()),
        422 if message.contains("no commit found") => Verdict::Rejected("commit_not_found".into()),
        300..=399 => Verdict::WrongDestination("moved".into()),
        _ => Verdict::from_status(reply),
    }
}

fn is_limited(reply: &Reply, message: &str) -> bool {
    reply.status == 429
        || reply.header("x-ratelimit-remaining") == Some("0")
        || reply.header("retry-after").is_some()
        || message.contains("rate limit")
}

/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
fn limited_for(reply: &Reply) -> Duration {
    let is_primary = reply.header("x-ratelimit-remaining") == Some("0");
    let reset = if is_primary { until_reset(reply) } else { None };
    reply.retry_after().max(reset).unwrap_or(LIMITED)
}

fn until_reset(reply: &Reply) -> Option<Duration> {
    reply.until_epoch("x-ratelimit-reset").map(|left| left.max(Duration::from_secs(1)))
}

/// Deliveries stop before the hour's budget is at its end, and go on with the next.
fn budget(reply: &Reply) -> Option<Hold> {
    let limit = reply.number("x-ratelimit-limit").unwrap_or(HOURLY_MIN);
    let is_scarce = reply.number("x-ratelimit-remaining")? <= limit * RESERVED;
    let wait = until_reset(reply).filter(|_| is_scarce)?;
    Some(Hold { wait, shared_by: SharedBy::Installation })
}

/// The repositories that the installation was given. GitHub has no way to search among them.
fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    let page: u64 = picking.page.and_then(|page| page.parse().ok()).unwrap_or(1).max(1);
    let call = Call::get(picking.account.hosts.url("api", "/installation/repositories"))
        .query("per_page", &PAGE.to_string())
        .query("page", &page.to_string());
    let story = || {
        let reply = Answers::new(replies, verdict).need(api(call, &picking.account))?;
        let answer = reply.json();
        let Some(listed) = answer["repositories"].as_array() else {
            return Ok(Verdict::retry(reply).into());
        };
        let open = listed.iter().filter(|repository| repository["archived"] != true);
        let total = answer["total_count"].as_u64().unwrap_or_default();
        let next = (page.saturating_mul(PAGE) < total).then(|| (page + 1).to_string());
        Ok(PickStep::Page(open.filter_map(destination).collect(), next))
    };
    told(story())
}

/// By its id, which survives renames, or as people write it, `acme/shop`.
fn check(choosing: &Choosing<'_>, replies: &[Reply]) -> CheckStep {
    let is_id = !choosing.id.is_empty() && choosing.id.bytes().all(|b| b.is_ascii_digit());
    let path = match choosing.id {
        id if is_id => format!("/repositories/{id}"),
        name if is_full_name(name) => format!("/repos/{name}"),
        _ => return CheckStep::Unusable("Choose a repository from the list.".to_owned()),
    };
    let call = Call::get(choosing.account.hosts.url("api", &path));
    let story = || {
        let mut answers = Answers::new(replies, verdict);
        let Some(reply) = answers.find(api(call, &choosing.account))? else {
            return Ok(CheckStep::Unusable(
                "GitHub does not show this repository to the app. Give the app access to it first."
                    .to_owned(),
            ));
        };
        let repository = reply.json();
        Ok(match destination(&repository) {
            None => Verdict::retry(reply).into(),
            Some(found) if repository["archived"] == true => CheckStep::Unusable(format!(
                "{} is archived: nothing can be written to it.",
                found.name
            )),
            Some(found) => CheckStep::Fine(found),
        })
    };
    told(story())
}

fn destination(repository: &Value) -> Option<Destination> {
    let full_name = repository["full_name"].as_str().filter(|name| is_full_name(name))?;
    Some(Destination {
        id: repository["id"].as_u64()?.to_string(),
        name: full_name.to_owned(),
        settings: json!({ "full_name": full_name }),
    })
}

/// `owner/repository`, in the letters that GitHub allows: it becomes part of a path.
fn is_full_name(text: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty()
            && !matches!(part, "." | "..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    text.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

#[cfg(test)]
mod tests;
