//! What somebody might write into a package's name to be read as more than a name.

use serde_json::Value;

/// How many bytes the longest text has. With the others it stays an event that is recorded.
const LONG: usize = 100_000;
/// How many bytes each other long text has.
const REST: usize = 5_000;

/// A text that is active in every markup that any provider reads.
pub(super) const MARKED: &str = "evil <!channel> <@U0EVIL> @everyone @octocat <@&7> \
    [Deptex](https://evil.example/a) [Deptex|https://evil.example/b] \
    <https://evil.example/c|Deptex> ![x](https://evil.example/x.png) !evil.png! [~admin] {code} \
    #123 GH-12 **b** `c` <img src=x> /close";

const NAMES: &[&str] = &[
    "vulnerability_id",
    "package",
    "version",
    "project",
    "title",
    "message",
    "summary",
    "action",
    "email",
    "removedEmail",
    "role",
    "setting",
    "changed_by",
    "updatedBy",
    "rule",
    "codeType",
    "new_status",
    "displayName",
    "projectName",
    "reason",
    "sla_deadline_at",
];

/// Data in which that text is wherever people are told anything.
pub(super) fn data_of(text: &str) -> Value {
    Value::Object(NAMES.iter().map(|name| ((*name).to_owned(), text.into())).collect())
}

/// The same with far more of it than people want to read.
pub(super) fn long_data_of(text: &str) -> Value {
    let mut data = data_of(&long(text, REST));
    data["message"] = long(text, LONG).into();
    data
}

/// The longest text.
pub(super) fn longest(text: &str) -> String {
    long(text, LONG)
}

fn long(text: &str, bytes: usize) -> String {
    text.repeat(bytes / text.len())
}
