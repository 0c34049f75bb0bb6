//! What refusals mean at both Jiras. Rate limits are told differently, so each edition reads its own.

use std::{borrow::Cow, time::Duration};

use serde_json::Value;

use crate::provider::{Reply, SharedBy, Verdict};

/// Fields whose content is ours: a complaint about them is about this event's text.
const OURS: &[&str] = &["summary", "description", "comment", "body"];

/// What a 400 is about: this event's text, or a project that wants fields which we do not fill.
///
/// <https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/#status-codes>
pub(in crate::provider) fn named_field(reply: &Reply) -> Verdict {
    let body = reply.json();
    let fields = body["errors"].as_object();
    let theirs = fields.and_then(|fields| fields.keys().find(|f| !OURS.contains(&f.as_str())));
    if let Some(field) = theirs {
        return Verdict::WrongDestination(code_of(field));
    }
    let messages = body["errorMessages"].as_array().into_iter().flatten();
    let wants_more = |message: &Value| {
        message.as_str().is_some_and(|text| text.to_lowercase().contains("is required"))
    };
    match fields.is_some_and(|fields| !fields.is_empty()) {
        false if messages.into_iter().any(wants_more) => {
            Verdict::WrongDestination("required_field".into())
        }
        _ => Verdict::Rejected("http_400".into()),
    }
}

fn code_of(field: &str) -> Cow<'static, str> {
    let plain = field.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64);
    format!("field_{}", plain.collect::<String>()).into()
}

/// Nothing more for this account for as long as the answer says, else for `usual`.
pub(in crate::provider) fn too_often(reply: &Reply, usual: Duration) -> Verdict {
    Verdict::hold(reply.retry_after().unwrap_or(usual), SharedBy::Installation)
}
