//! Where events go: what an admin may choose between, and whether a choice can be sent to.

use serde_json::Value;

use super::{Call, Hosts, Reply, Verdict};
use crate::secret::Secret;

/// What an admin may choose between.
#[derive(Debug)]
pub struct Destinations {
    /// `channel`, `project`, `team` or `repository`.
    pub noun: &'static str,
    /// What to ask for one page of choices. Pure, like [`Provider::advance`](super::Provider::advance).
    pub list: fn(&Picking<'_>, &[Reply]) -> PickStep,
    /// What to ask to make sure that a choice can be sent to. Pure, like [`Provider::advance`](super::Provider::advance).
    pub check: fn(&Choosing<'_>, &[Reply]) -> CheckStep,
}

/// A page of choices is wanted.
#[derive(Debug)]
pub struct Picking<'a> {
    /// The connection, with a fresh credential.
    pub account: AccountAccess<'a>,
    /// The provider's own mark of the page, from the page before.
    pub page: Option<&'a str>,
    /// What the admin typed; filtered by us too, so a provider may ignore it.
    pub search: Option<&'a str>,
}

/// A choice was made.
#[derive(Debug)]
pub struct Choosing<'a> {
    /// The connection, with a fresh credential.
    pub account: AccountAccess<'a>,
    /// What was chosen: `id`, and `issue_type` where there is one.
    pub id: &'a str,
    /// For Jira: the name or id of the issue type.
    pub issue_type: Option<&'a str>,
}

/// A connection that calls are made for.
#[derive(Clone, Copy, Debug)]
pub struct AccountAccess<'a> {
    /// What requests carry.
    pub credential: &'a Secret,
    /// The connection's metadata.
    pub metadata: &'a Value,
    /// The provider's id for it.
    pub installation_id: &'a str,
    /// Where the provider is.
    pub hosts: &'a Hosts,
}

/// What to do to list choices.
#[derive(Debug)]
pub enum PickStep {
    /// Ask this.
    Call(Call),
    /// A page, and the mark of the next one.
    Page(Vec<Destination>, Option<String>),
    /// The provider refused.
    Refused(Verdict),
}

/// What to do to check a choice.
#[derive(Debug)]
pub enum CheckStep {
    /// Ask this.
    Call(Call),
    /// It can be sent to.
    Fine(Destination),
    /// It cannot; a sentence for the admin.
    Unusable(String),
    /// The provider refused.
    Refused(Verdict),
}

/// Where a connection's events go. Stored as `metadata.destination`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Destination {
    /// The provider's id.
    pub id: String,
    /// As people see it, `#security` or `SEC — Security`.
    pub name: String,
    /// What else requests need: `issue_type`, `full_name`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub settings: Value,
}
