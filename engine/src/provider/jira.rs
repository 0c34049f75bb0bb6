//! What Jira Cloud and Jira Data Center share: the life of an issue, the choice of a project and
//! issue type, and what refusals mean. Their addresses, texts and ways in are their own.

mod check;
mod life;
mod verdict;
mod workflow;

use serde_json::Value;
use url::Url;

use super::{AccountAccess, Call, Hold, Reply, Verdict, ticket::Words, under};

pub(super) use check::check;
pub(super) use life::advance;
pub(super) use verdict::{named_field, too_often};

/// What differs between the two.
#[derive(Debug)]
pub(super) struct Edition {
    /// Where the REST API of an account is; `None` if its metadata does not say.
    pub(super) api: fn(&AccountAccess<'_>) -> Option<Url>,
    /// Where people look at issues, a key of the metadata.
    pub(super) site: &'static str,
    /// Where JQL is asked, below the API.
    pub(super) search: &'static str,
    /// Puts words into the edition's kind of text.
    pub(super) document: fn(&Words) -> Value,
    /// Whether an issue can carry properties from its creation on.
    pub(super) properties: bool,
    /// The request that tells of one project, by its id or key.
    pub(super) project: fn(&Api<'_>, &str) -> Call,
    /// What an answer means.
    pub(super) verdict: fn(&Reply) -> Verdict,
    /// Whether a good answer says that the budget is nearly used up.
    pub(super) budget: fn(&Reply) -> Option<Hold>,
}

/// The REST API of one account.
pub(super) struct Api<'a> {
    pub(super) edition: &'static Edition,
    base: Url,
    account: AccountAccess<'a>,
}

impl<'a> Api<'a> {
    /// `None` if the metadata does not say where it is: the admin must connect again.
    pub(super) fn of(edition: &'static Edition, account: AccountAccess<'a>) -> Option<Self> {
        let base = (edition.api)(&account)?;
        Some(Self { edition, base, account })
    }

    /// Reads.
    pub(super) fn get(&self, path: &str) -> Call {
        self.dressed(Call::get(under(&self.base, path)))
    }

    /// Makes or changes something, or asks with a body.
    pub(super) fn post(&self, path: &str, body: &Value) -> Call {
        self.dressed(Call::post(under(&self.base, path)).json(body))
    }

    /// Where people look at an issue.
    fn page(&self, key: &str) -> Option<String> {
        let site = self.account.metadata.get(self.edition.site)?.as_str()?;
        Some(format!("{}/browse/{key}", site.trim_end_matches('/')))
    }

    fn dressed(&self, call: Call) -> Call {
        let call = call.header("accept", "application/json").bearer(self.account.credential);
        call.heeding(self.edition.budget)
    }
}

/// The verdict on an account whose metadata does not say where it is.
pub(super) fn unknown_place() -> Verdict {
    Verdict::Reauth("place_unknown".into())
}

/// A project, as pickers and checks show it.
pub(super) fn project_name(project: &Value) -> Option<(&str, &str, String)> {
    let (id, key) = (project["id"].as_str()?, project["key"].as_str()?);
    let name = project["name"].as_str().filter(|name| !name.is_empty());
    Some((id, key, name.map_or_else(|| key.to_owned(), |name| format!("{key} — {name}"))))
}

/// Whether a text can be an id or key, and so part of a path.
pub(super) fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// How Jira wants something named: by its id, if that is what the text is.
fn by_id_or(name: &str, text: &str) -> Value {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let by = if is_number { "id" } else { name };
    serde_json::json!({ by: text })
}
