//! Jira Data Center: as Jira Cloud, on a server of the customer's own, with a personal access token.

mod wiki;

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{
    AccessToken, Account, AccountAccess, AccountStep, Call, Category, Connect, CredentialOf,
    Destination, Destinations, Hold, NewAccess, Pace, PickStep, Picking, Provider, Reply, SharedBy,
    Verdict,
    fold::{Answers, told},
    jira::{self, Api, Edition},
    ticket, under,
};

/// Jira Data Center. Its connections are stored as Jira's, with `data_center` as their type.
pub(super) const JIRA_DATA_CENTER: Provider = Provider {
    id: "jira_data_center",
    label: "Jira Data Center",
    category: Category::Ticketing,
    hosts: &[],
    connect: Connect::AccessToken(AccessToken { account }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations {
        noun: "project",
        list,
        check: |choosing, replies| jira::check(&EDITION, choosing, replies),
    }),
    // Its rate limit is off unless an admin sets one.
    pace: Pace {
        burst: 10,
        count: 5,
        per: Duration::from_secs(1),
        shared_by: SharedBy::Installation,
    },
    event_types: ticket::EVENT_TYPES,
    advance: |out, replies| jira::advance(&EDITION, out, replies),
    limits: "summary 255 characters, description and comments 32,767",
};

static EDITION: Edition = Edition {
    api: |account| Some(under(&base_url(account)?, "/rest/api/2")),
    site: "base_url",
    search: "/search",
    document: |words| Value::from(wiki::document(words)),
    properties: false,
    project: |api, id| api.get(&format!("/project/{id}")),
    verdict,
    budget,
};

fn base_url(account: &AccountAccess<'_>) -> Option<Url> {
    Url::parse(account.metadata["base_url"].as_str()?).ok()
}

fn account(access: &NewAccess<'_>, replies: &[Reply]) -> AccountStep {
    told(who(access, &mut Answers::new(replies, verdict)))
}

/// Whose token it is, and whether it is a Jira that answers.
fn who(
    access: &NewAccess<'_>,
    answers: &mut Answers<'_, AccountStep>,
) -> Result<AccountStep, Box<AccountStep>> {
    let mut ask = |path| {
        let call = Call::get(under(access.base_url, path)).header("accept", "application/json");
        answers.ask(call.bearer(access.token))
    };
    let unreadable = |why| Ok(AccountStep::Unreadable(why));
    let myself = ask("/rest/api/2/myself")?;
    match myself.status {
        200..=299 if !is_page(myself) => {}
        401 | 403 => {
            return unreadable("Jira does not take this token. It may be expired or mistyped.");
        }
        200..=399 => {
            return unreadable(
                "A login page answered instead of Jira: is there a proxy before it?",
            );
        }
        404 => {
            return unreadable("No Jira answers at this address. Is a path missing, as in /jira?");
        }
        _ => return unreadable("Jira did not say whose token this is. Try again later."),
    }
    let server = ask("/rest/api/2/serverInfo")?;
    let (myself, server) = (myself.json(), server.json());
    if server["deploymentType"] == "Cloud" {
        return unreadable("This is a Jira Cloud site: connect Jira Cloud instead.");
    }
    let username = myself["name"].as_str().or(myself["key"].as_str());
    let (Some(username), true) = (username, server["version"].is_string()) else {
        return unreadable("What answers at this address is not a Jira Data Center.");
    };
    let base_url = access.base_url.as_str().trim_end_matches('/');
    let named = myself["displayName"].as_str().filter(|name| !name.is_empty());
    let display_name = named.unwrap_or(username);
    Ok(AccountStep::Accounts(vec![Account {
        installation_id: format!("dc:{base_url}"),
        display_name: display_name.to_owned(),
        metadata: json!({
            "type": "data_center",
            "base_url": base_url,
            "username": username,
            "display_name": display_name,
        }),
        destination: None,
    }]))
}

/// How many projects a page of ours has; Jira gives all at once.
const PAGE: usize = 100;

fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    let Some(api) = Api::of(&EDITION, picking.account) else {
        return PickStep::Refused(jira::unknown_place());
    };
    told(projects(&api, picking, &mut Answers::new(replies, verdict)))
}

fn projects(
    api: &Api<'_>,
    picking: &Picking<'_>,
    answers: &mut Answers<'_, PickStep>,
) -> Result<PickStep, Box<PickStep>> {
    let body = answers.need(api.get("/project"))?.json();
    let start: usize = picking.page.and_then(|page| page.parse().ok()).unwrap_or(0);
    let search = picking.search.unwrap_or_default().to_lowercase();
    let fitting = body.as_array().into_iter().flatten().filter_map(|project| {
        let (id, key, name) = jira::project_name(project)?;
        if project["archived"] == true || !name.to_lowercase().contains(&search) {
            return None;
        }
        Some(Destination { id: id.to_owned(), name, settings: json!({ "project_key": key }) })
    });
    let mut choices: Vec<_> = fitting.skip(start).take(PAGE + 1).collect();
    let next = (choices.len() > PAGE).then(|| (start + PAGE).to_string());
    choices.truncate(PAGE);
    Ok(PickStep::Page(choices, next))
}

/// Whether a page for people came instead of an answer: a proxy or single sign-on stands before it.
fn is_page(reply: &Reply) -> bool {
    reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

/// What an answer means. There is nothing to refresh: a token that is not taken is over.
fn verdict(reply: &Reply) -> Verdict {
    match reply.status {
        300..=399 => Verdict::WrongDestination("login_page".into()),
        200..=299 if is_page(reply) => Verdict::WrongDestination("login_page".into()),
        400 => jira::named_field(reply),
        401 => Verdict::Reauth("unauthorized".into()),
        409 => Verdict::retry(reply),
        413 => Verdict::Rejected("too_large".into()),
        422 => Verdict::WrongDestination("unprocessable".into()),
        429 => jira::too_often(reply, refill(reply)),
        _ => Verdict::from_status(reply),
    }
}

/// The answer that took the last token says when there is another.
fn budget(reply: &Reply) -> Option<Hold> {
    let is_empty = reply.number("x-ratelimit-remaining")? < 1.0;
    let wait = reply.retry_after().unwrap_or_else(|| refill(reply));
    is_empty.then_some(Hold { wait, shared_by: SharedBy::Installation })
}

/// When the bucket gets its next tokens.
///
/// <https://confluence.atlassian.com/adminjiraserver/adjusting-your-code-for-rate-limiting-987143384.html>
fn refill(reply: &Reply) -> Duration {
    let seconds = reply.header("x-ratelimit-interval-seconds").and_then(|s| s.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

#[cfg(test)]
mod tests;
