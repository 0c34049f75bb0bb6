//! Which step of an issue's own workflow closes it, and which one opens it again.
//!
//! Every project may have its own steps under its own names. What they have in common is the
//! category of the status that they lead to: `new`, `indeterminate` or `done`.

use serde_json::{Value, json};

use crate::provider::ticket::Aim;

/// A step that can be taken.
#[derive(Debug, PartialEq)]
pub(super) struct Way {
    id: String,
    fields: Value,
}

impl Way {
    /// The request that takes it.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({ "transition": { "id": self.id } });
        if self.fields.is_object() {
            body["fields"] = self.fields.clone();
        }
        body
    }
}

/// Whether an issue, read with its status, is done.
pub(super) fn is_done(issue: &Value) -> bool {
    issue["fields"]["status"]["statusCategory"]["key"] == "done"
}

/// Statuses that are done without the work being done.
const GIVEN_UP: &[&str] = &[
    "cancel",
    "won't",
    "wont",
    "duplicate",
    "reject",
    "invalid",
    "declin",
    "abandon",
    "reproduce",
];
/// Resolutions that fit, the best first.
const RESOLUTIONS: &[&str] = &["Done", "Fixed", "Resolved", "Complete"];

/// The first of the possible steps by what it is called, where it leads and its id: always the same.
pub(super) fn best(transitions: &Value, aim: Aim) -> Option<Way> {
    let (categories, names): (&[&str], &[&str]) = match aim {
        Aim::Done => (&["done"], &["done", "resolve", "fixed", "close", "complete"]),
        Aim::Open => (&["new", "indeterminate"], &["reopen", "to do", "todo", "open", "backlog"]),
    };
    let possible = transitions["transitions"].as_array()?.iter().filter_map(|transition| {
        let key = transition["to"]["statusCategory"]["key"].as_str()?;
        let category = categories.iter().position(|wanted| *wanted == key)?;
        if transition["isAvailable"] == false {
            return None;
        }
        let id = transition["id"].as_str()?;
        let fields = fill(&transition["fields"])?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
        let called = [text(&transition["to"]["name"]), text(&transition["name"])];
        let fit = |name: &str| called.iter().any(|called| called.contains(name));
        let given_up = GIVEN_UP.iter().any(|word| fit(word));
        let rank = names.iter().position(|name| fit(name)).unwrap_or(names.len());
        let number = id.parse::<u64>().unwrap_or(u64::MAX);
        Some(((given_up, category, rank, number, id), Way { id: id.to_owned(), fields }))
    });
    possible.min_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, way)| way)
}

/// What a step's screen needs, null for nothing; `None` if it needs something that we cannot know.
fn fill(fields: &Value) -> Option<Value> {
    let Some(fields) = fields.as_object() else { return Some(Value::Null) };
    let mut needed = fields
        .iter()
        .filter(|(_, field)| field["required"] == true && field["hasDefaultValue"] != true);
    match (needed.next(), needed.next()) {
        (None, _) => Some(Value::Null),
        (Some((name, field)), None) if name == "resolution" => {
            let id = resolution(&field["allowedValues"])?;
            Some(json!({ "resolution": { "id": id } }))
        }
        _ => None,
    }
}

fn resolution(allowed: &Value) -> Option<&str> {
    let rank = |value: &&Value| {
        let name = value["name"].as_str().unwrap_or_default();
        let known = RESOLUTIONS.iter().position(|known| known.eq_ignore_ascii_case(name));
        known.unwrap_or(RESOLUTIONS.len())
    };
    allowed.as_array()?.iter().min_by_key(rank)?["id"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, name: &str, to: &str, category: &str) -> Value {
        json!({ "id": id, "name": name, "to": { "name": to, "statusCategory": { "key": category } } })
    }

    fn ids(steps: &[Value]) -> (Option<String>, Option<String>) {
        let steps = json!({ "transitions": steps });
        (best(&steps, Aim::Done).map(|way| way.id), best(&steps, Aim::Open).map(|way| way.id))
    }

    #[test]
    fn a_step_is_chosen_by_where_it_leads_and_then_by_its_name() {
        let (todo, doing) =
            (step("11", "To Do", "To Do", "new"), step("21", "Start", "Doing", "indeterminate"));
        let done = step("31", "Finish", "Done", "done");
        let wont = step("30", "Reject", "Won't do", "done");
        let closed = step("5", "Close issue", "Closed", "done");
        let odd = step("7", "Erledigt", "Fertig", "done");
        let reopen = step("9", "Reopen issue", "In progress", "indeterminate");
        for (steps, close, open) in [
            (vec![todo.clone(), doing.clone(), done.clone()], Some("31"), Some("11")),
            (vec![wont.clone(), closed.clone(), done.clone()], Some("31"), None),
            (vec![wont.clone(), closed], Some("5"), None),
            (vec![wont.clone(), odd], Some("7"), None),
            (vec![wont], Some("30"), None),
            (vec![doing, reopen], None, Some("9")),
            (vec![], None, None),
        ] {
            let (close, open) = (close.map(str::to_owned), open.map(str::to_owned));
            assert_eq!(ids(&steps), (close.clone(), open.clone()));
            let turned: Vec<_> = steps.into_iter().rev().collect();
            assert_eq!(ids(&turned), (close, open), "the order of the list does not matter");
        }
    }

    #[test]
    fn a_step_that_is_not_available_or_needs_what_we_cannot_know_is_not_taken() {
        let mut hidden = step("1", "Done", "Done", "done");
        hidden["isAvailable"] = json!(false);
        let mut demanding = step("2", "Done", "Done", "done");
        demanding["fields"] = json!({ "customfield_1": { "required": true } });
        let mut kind = step("3", "Close", "Closed", "done");
        kind["fields"] = json!({
            "comment": { "required": false },
            "assignee": { "required": true, "hasDefaultValue": true },
        });
        assert_eq!(ids(&[hidden, demanding.clone(), kind]), (Some("3".into()), None));
        assert_eq!(ids(&[demanding]), (None, None));
    }

    #[test]
    fn a_needed_resolution_is_given_the_one_that_fits_best() {
        let resolutions = |names: &[(&str, &str)]| {
            let allowed: Vec<_> =
                names.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
            let mut done = step("5", "Done", "Done", "done");
            done["fields"] =
                json!({ "resolution": { "required": true, "allowedValues": allowed } });
            best(&json!({ "transitions": [done] }), Aim::Done).map(|way| way.body())
        };
        for (names, id) in [
            (&[("1", "Won't do"), ("2", "Fixed"), ("3", "Done")][..], Some("3")),
            (&[("1", "Won't do"), ("2", "fixed")], Some("2")),
            (&[("8", "Behoben"), ("9", "Anderes")], Some("8")),
            (&[], None),
        ] {
            let expected = id.map(|id| {
                json!({ "transition": { "id": "5" }, "fields": { "resolution": { "id": id } } })
            });
            assert_eq!(resolutions(names), expected, "{names:?}");
        }
    }
}
